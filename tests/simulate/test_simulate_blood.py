"""Blood: the train moves by the integral of its speed, and is a row of cells that never overlap."""

from dataclasses import replace

import numpy as np
import pytest
import scenes
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stallscan.simulate import blood as blood_room
from stallscan.simulate.blood import STALL_KINDS, STALL_SHARES, TABLE_STEP_UM, Blood, Kind
from stallscan.simulate.settings import PRESETS, load_settings

SETTINGS = PRESETS["clogloss"]
EMPTY = np.zeros(16384)


def a_train(speed_um_s: float, pulses: list[tuple[float, float, float]]) -> Blood:
    return scenes.blood(EMPTY, speed_um_s, pulses=np.array(pulses, float).reshape(-1, 3))


def shown(blood: Blood, length_um: float, time_s: float) -> np.ndarray:
    """Darkness along a vessel at a moment, every 0.25 µm."""
    place = np.arange(0, length_um, TABLE_STEP_UM) - blood.displacement_um(np.array([time_s]))[0]
    n = len(blood.cells.darkness)
    return blood.cells.darkness[np.floor(place / TABLE_STEP_UM + 1e-6).astype(int) % n]


# --- Motion -----------------------------------------------------------------------------------


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    speed_um_s=st.floats(-8000, 8000),
    slow=st.floats(0, 0.3),
    fast=st.floats(0, 0.3),
    heart_hz=st.floats(6, 10),
    phases=st.tuples(st.floats(0, 6.3), st.floats(0, 6.3)),
    phase_um=st.floats(0, 4000),
)
def test_displacement_is_the_integral_of_the_modulated_speed(
    speed_um_s: float,
    slow: float,
    fast: float,
    heart_hz: float,
    phases: tuple[float, float],
    phase_um: float,
) -> None:
    pulses = [(slow, 0.1, phases[0]), (fast, heart_hz, phases[1])]
    blood = replace(a_train(speed_um_s, pulses), phase_um=phase_um)
    dt = 2e-4
    middle = (np.arange(50_000) + 0.5) * dt  # 10 s, midpoint rule
    modulation = 1 + sum(a * np.sin(2 * np.pi * hz * middle + phase) for a, hz, phase in pulses)
    expected = phase_um + np.cumsum(speed_um_s * modulation) * dt
    np.testing.assert_allclose(blood.displacement_um(middle + dt / 2), expected, atol=0.01)
    assert blood.displacement_um(np.zeros(1))[0] == pytest.approx(phase_um)


def test_single_micrometres_count_after_metres() -> None:
    found = a_train(8000.0, []).displacement_um(np.array([300.0001375]))
    assert found[0] == pytest.approx(2_400_001.1, abs=1e-6)


def test_between_onset_and_release_the_train_stands() -> None:
    free = a_train(700.0, [(0.2, 0.1, 1.0), (0.1, 8.0, 2.0)])
    stalled = replace(free, stall_s=(5.0, 12.0))
    time_s = np.linspace(0, 30, 3001)
    found, undisturbed = stalled.displacement_um(time_s), free.displacement_um(time_s)
    before, after = time_s <= 5.0, time_s >= 12.0
    np.testing.assert_array_equal(found[before], undisturbed[before])
    assert np.ptp(found[~before & ~after]) < 1e-9
    assert found[~before][0] == pytest.approx(undisturbed[before][-1], abs=1e-9)
    # Afterwards it goes on as if the stall had taken no time.
    np.testing.assert_allclose(found[after], free.displacement_um(time_s[after] - 7.0))
    assert np.ptp(found[after]) > 100


def test_after_the_turn_blood_goes_back_the_way_it_came() -> None:
    free = a_train(300.0, [(0.2, 0.1, 1.0)])
    turned = blood_room.turning(free, 8.0)
    assert turned.kind is Kind.REVERSAL
    ahead = np.linspace(0, 8, 100)
    np.testing.assert_allclose(
        turned.displacement_um(ahead), free.displacement_um(ahead), atol=1e-9
    )
    np.testing.assert_allclose(
        turned.displacement_um(8.0 + ahead), free.displacement_um(8.0 - ahead), atol=1e-9
    )


# --- Cells ------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_mm", [30.0, 70.0, 100.0, 125.0])
def test_cells_never_overlap_and_are_as_many_as_asked_for(per_mm: float) -> None:
    rng = np.random.default_rng(4)
    cells = blood_room.train(rng, 60_000.0, per_mm, SETTINGS)
    centres, lengths = cells.places_um.T
    gaps = np.diff(centres) - (lengths[1:] + lengths[:-1]) / 2
    assert gaps.min() > 0.29
    assert lengths.min() >= 4 and lengths.max() <= 9
    assert len(centres) / 60 == pytest.approx(per_mm, rel=0.05)
    # Tube haematocrit, with the cell and the lumen of one width: FACTS has 0.21 at about 30–40.
    if per_mm == 30.0:
        assert lengths.sum() / 60_000 == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("per_mm", [30.0, 125.0])
def test_the_table_is_dark_where_the_cells_are(per_mm: float) -> None:
    cells = blood_room.train(np.random.default_rng(5), 20_000.0, per_mm, SETTINGS)
    s_um = np.arange(0, 20_000, TABLE_STEP_UM)
    inside = np.zeros(len(s_um), bool)
    for centre, length in cells.places_um:
        low, high = np.searchsorted(s_um, (centre - length / 2 + 0.5, centre + length / 2 - 0.5))
        inside[low:high] = True
    low, high = SETTINGS.cell_darkness.low / 2, SETTINGS.cell_darkness.high
    assert cells.darkness[inside].min() >= low and cells.darkness.max() <= high
    assert cells.darkness[inside].mean() > 0.7 * SETTINGS.cell_darkness.low + 0.1
    assert cells.darkness.dtype == np.float32
    # Between cells there is plasma, but for the soft edges of 1 µm.
    assert cells.darkness.sum() * TABLE_STEP_UM < cells.places_um[:, 1].sum()
    if per_mm == 30.0:
        assert (cells.darkness == 0).mean() > 0.6
    assert cells.total[-1] == pytest.approx(cells.darkness.sum(dtype=float))
    assert cells.period_um == 20_000


def test_darkness_of_cells_is_the_setting() -> None:
    pale = load_settings("clogloss", ["cell_darkness=0.4"])
    cells = blood_room.train(np.random.default_rng(0), 10_000.0, 65, pale)
    assert 0.35 < cells.darkness.max() <= 0.4


def test_speeds_spacings_and_directions_of_flow() -> None:
    rng = np.random.default_rng(0)
    bloods = [blood_room.sample_flow(rng, SETTINGS) for _ in range(400)]
    speeds = np.array([b.speed_um_s for b in bloods])
    assert np.abs(speeds).min() >= 150 and np.abs(speeds).max() <= 8600
    assert np.median(np.abs(speeds)) == pytest.approx(1000, rel=0.15)
    assert np.log(np.abs(speeds)).std() == pytest.approx(0.75, rel=0.15)
    assert 0.4 < (speeds > 0).mean() < 0.6
    per_mm = np.array([len(b.cells.places_um) / (b.cells.period_um / 1000) for b in bloods])
    assert np.median(per_mm) == pytest.approx(70, rel=0.1)
    assert per_mm.min() > 25 and per_mm.max() < 110
    assert per_mm.std() > 10
    slow, heart = np.array([b.pulses[:, 1] for b in bloods]).T
    assert slow.min() >= 0.07 and slow.max() <= 0.13
    assert heart.min() >= 6 and heart.max() <= 10


SPEEDS = {Kind.FAST: (4000, 8600), Kind.CREEP: (1.5, 40), Kind.PLASMA: (150, 8600)}


@pytest.mark.parametrize("kind", SPEEDS)
def test_hard_negatives_move_as_they_are_called(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    bloods = [blood_room.sample_flow(rng, SETTINGS, kind) for _ in range(150)]
    speeds = np.abs([b.speed_um_s for b in bloods])
    low, high = SPEEDS[kind]
    assert low <= speeds.min() and speeds.max() <= high
    assert {b.kind for b in bloods} == {kind}
    if kind is Kind.PLASMA:
        per_mm = [len(b.cells.places_um) / (b.cells.period_um / 1000) for b in bloods]
        assert max(per_mm) < 70
        longest = [np.diff(np.sort(b.cells.places_um[:, 0])).max() for b in bloods]
        assert np.median(longest) > 80


def test_drift_moves_less_than_a_micrometre_a_slice_and_does_not_stand() -> None:
    rng = np.random.default_rng(1)
    for slice_s in np.linspace(0.2, 10, 100):
        time_s = np.arange(60) * slice_s
        blood = blood_room.sample_flow(rng, SETTINGS, Kind.DRIFT, float(slice_s))
        motion = np.abs(np.diff(blood.displacement_um(time_s)))
        assert motion.min() > 0.14 and motion.max() < 0.81


def test_settings_bound_the_speeds() -> None:
    slow = load_settings("clogloss", ["speed_um_s=100,400", "creep_um_s=5"])
    rng = np.random.default_rng(0)
    speeds = [abs(blood_room.sample_flow(rng, slow).speed_um_s) for _ in range(100)]
    assert min(speeds) >= 100 and max(speeds) <= 400 and np.ptp(speeds) > 50
    assert abs(blood_room.sample_flow(rng, slow, Kind.FAST).speed_um_s) <= 400
    assert abs(blood_room.sample_flow(rng, slow, Kind.CREEP).speed_um_s) == pytest.approx(5)


# --- Stalls -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stalls() -> list[Blood]:
    rng = np.random.default_rng(1)
    return [blood_room.sample_stall(rng, 60.0, SETTINGS) for _ in range(600)]


def test_stalls_stand_and_come_in_their_shares(stalls: list[Blood]) -> None:
    shares = [np.mean([s.kind is kind for s in stalls]) for kind in STALL_KINDS]
    np.testing.assert_allclose(shares, STALL_SHARES, atol=0.06)
    for stall in stalls:
        assert stall.cells.period_um >= 60.0
        assert np.ptp(stall.displacement_um(np.linspace(0, 100, 50))) == 0
        assert stall.cells.darkness.min() >= 0.0 and stall.cells.darkness.max() <= 1.0


def test_a_leukocyte_fills_7_to_10_micrometres(stalls: list[Blood]) -> None:
    for stall in stalls:
        if stall.kind is not Kind.LEUKOCYTE:
            continue
        centre, length = stall.cells.places_um[0]
        assert 7 <= length <= 10
        s_um = (np.arange(len(stall.cells.darkness)) + 0.5) * TABLE_STEP_UM
        plug = stall.cells.darkness[np.abs(s_um - centre) < length / 2 - 0.5]
        assert plug.min() >= 0.74 and np.ptp(plug) < 1e-6


def test_cells_queue_upstream_of_a_plug_and_plasma_is_downstream(stalls: list[Blood]) -> None:
    """On one side many cells, on the other few; upstream is either end, as flow is."""
    queues, rests, first = [], [], []
    for stall in stalls:
        if stall.kind is Kind.RBC:
            continue
        (place, length), *_ = stall.cells.places_um
        s_um = (np.arange(len(stall.cells.darkness)) + 0.5) * TABLE_STEP_UM
        sides = [
            stall.cells.darkness[s_um < place - length / 2 - 1].mean(),
            stall.cells.darkness[s_um > place + length / 2 + 1].mean(),
        ]
        queues.append(max(sides))
        rests.append(min(sides))
        first.append(sides[0] > sides[1])
    assert np.mean(queues) > 0.35 and np.mean(rests) < 0.12
    assert 0.4 < np.mean(first) < 0.6


def test_a_partial_stall_shows_the_jam_while_it_stands() -> None:
    """The darkness of the segment is that of a jam between onset and release, and still."""
    dark = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        blood = blood_room.sample_partial(rng, 60.0, (5.0, 20.0), SETTINGS)
        assert blood.kind in STALL_KINDS and blood.speed_um_s != 0
        standing = [shown(blood, 60.0, time_s) for time_s in (5.1, 12.0, 19.9)]
        np.testing.assert_array_equal(standing[0], standing[1])
        np.testing.assert_array_equal(standing[0], standing[2])
        for moving in (3.0, 22.0):
            assert (shown(blood, 60.0, moving) != standing[0]).any()
        if blood.kind is Kind.LEUKOCYTE:
            runs = np.flatnonzero(np.diff(np.r_[0, standing[0] > 0.7, 0]))
            dark.append((runs[1::2] - runs[::2]).max() * TABLE_STEP_UM)
    assert len(dark) > 20
    assert min(dark) > 6.0


def test_a_stall_from_the_beginning_shows_its_jam_at_once() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        blood = blood_room.sample_partial(rng, 60.0, (-1.0, 20.0), SETTINGS)
        np.testing.assert_array_equal(shown(blood, 60.0, 0.0), shown(blood, 60.0, 19.9))
        if blood.kind is Kind.LEUKOCYTE:
            assert np.count_nonzero(shown(blood, 60.0, 0.0) > 0.7) * TABLE_STEP_UM > 6.0
