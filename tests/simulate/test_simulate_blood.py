"""Blood: the train moves by the integral of its speed, and is a row of cells that never overlap."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stallscan.simulate import blood as blood_module
from stallscan.simulate.blood import TABLE_STEP_UM, Blood, Kind

PERIOD_UM = 4096.0


def a_train(speed_um_s: float, pulses: list[tuple[float, float, float]]) -> Blood:
    return Blood(
        kind=Kind.FLOW,
        cells=np.zeros(round(PERIOD_UM / TABLE_STEP_UM), np.float32),
        speed_um_s=speed_um_s,
        pulses=np.array(pulses, float).reshape(-1, 3),
    )


def apart_um(a: np.ndarray, b: np.ndarray) -> float:
    """Largest distance on the circle of the repeating table."""
    return float(np.abs((a - b + PERIOD_UM / 2) % PERIOD_UM - PERIOD_UM / 2).max())


# --- Motion -----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
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
    speed = speed_um_s * (
        1
        + sum(a * np.sin(2 * np.pi * frequency * middle + phase) for a, frequency, phase in pulses)
    )
    expected = phase_um + np.cumsum(speed) * dt
    found = blood.displacement_um(middle + dt / 2).astype(float)
    assert apart_um(found, expected) < 0.01
    assert blood.displacement_um(np.zeros(1))[0] == pytest.approx(phase_um, abs=1e-3)


def test_single_micrometres_count_after_metres() -> None:
    found = a_train(8000.0, []).displacement_um(np.array([300.0001375]))
    assert found[0] == pytest.approx(2_400_001.1 % PERIOD_UM, abs=1e-2)


def test_between_onset_and_release_the_train_stands() -> None:
    free = a_train(700.0, [(0.2, 0.1, 1.0), (0.1, 8.0, 2.0)])
    stalled = replace(free, stall_s=(5.0, 12.0))
    time_s = np.linspace(0, 30, 3001)
    found, undisturbed = stalled.displacement_um(time_s), free.displacement_um(time_s)
    before, after = time_s <= 5.0, time_s >= 12.0
    np.testing.assert_array_equal(found[before], undisturbed[before])
    assert np.ptp(found[~before & ~after]) == 0
    assert found[~before][0] == pytest.approx(undisturbed[before][-1], abs=1e-3)
    # Afterwards it goes on as if the stall had taken no time.
    later = free.displacement_um(time_s[after] - 7.0)
    assert apart_um(found[after].astype(float), later.astype(float)) < 1e-2
    assert np.ptp(found[after]) > 100


# --- Cells ------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_mm", [30.0, 70.0, 100.0])
def test_cells_per_millimetre(per_mm: float) -> None:
    """The area under the darkness is that of the cells: 6.5 µm of 0.88 each."""
    darkness = blood_module._train(np.random.default_rng(4), 60_000.0, per_mm)
    found = darkness.mean() * 1000 / (6.5 * 0.88)
    assert found == pytest.approx(per_mm, rel=0.07)


@pytest.mark.parametrize("per_mm", [30.0, 125.0])
def test_cells_are_dark_and_never_overlap(per_mm: float) -> None:
    darkness = blood_module._train(np.random.default_rng(5), 20_000.0, per_mm)
    assert darkness.min() == 0.0
    assert 0.85 < darkness.max() <= 1.0
    # Half the darkness lies at a cell's edge; gaps of at least 0.4 µm keep two cells apart.
    inside = np.flatnonzero(np.diff(np.r_[0, darkness > 0.5, 0]))
    lengths_um = (inside[1::2] - inside[::2]) * TABLE_STEP_UM
    assert lengths_um.max() <= 9.0 + TABLE_STEP_UM
    assert np.median(lengths_um) == pytest.approx(6.3, abs=0.5)


def test_speeds_and_directions() -> None:
    rng = np.random.default_rng(0)
    flow = np.array([blood_module.sample_flow(rng).speed_um_s for _ in range(300)])
    creep = np.array([blood_module.sample_creep(rng).speed_um_s for _ in range(300)])
    assert (np.abs(flow) >= 120).all() and (np.abs(flow) <= 8000).all()
    assert np.median(np.abs(flow)) == pytest.approx(900, rel=0.15)
    assert (np.abs(creep) >= 4).all() and (np.abs(creep) <= 60).all()
    assert 0.4 < (flow > 0).mean() < 0.6
    assert 0.4 < (creep > 0).mean() < 0.6


def test_stalls_of_every_kind_stand_and_are_dark() -> None:
    rng = np.random.default_rng(1)
    stalls = [blood_module.sample_stall(rng, 60.0) for _ in range(400)]
    shares = [np.mean([s.kind is kind for s in stalls]) for kind in blood_module.STALL_KINDS]
    np.testing.assert_allclose(shares, blood_module.STALL_SHARES, atol=0.07)
    for stall in stalls:
        assert stall.cells.dtype == np.float32
        assert stall.cells.min() >= 0 and stall.cells.max() <= 1
        assert len(stall.cells) * TABLE_STEP_UM >= 60.0
        assert abs(stall.speed_um_s) <= 0.15
    plugs = [s.cells for s in stalls if s.kind is Kind.LEUKOCYTE]
    # A plug of 7 µm and more, 0.8 dark and more, is somewhere in every one.
    for cells in plugs:
        dark = np.flatnonzero(np.diff(np.r_[0, cells >= 0.39, 0]))
        assert ((dark[1::2] - dark[::2]) * TABLE_STEP_UM).max() >= 6.75


@pytest.mark.parametrize("share", [0.6, 0.95])
def test_partly_stalled_blood_stands_for_its_share(share: float) -> None:
    time_s = np.linspace(10.0, 50.0, 4001)
    for seed in range(6):
        blood = blood_module.partly_stalled(np.random.default_rng(seed), (10.0, 50.0), share)
        stands = np.diff(blood.displacement_um(time_s)) == 0
        assert stands.mean() == pytest.approx(share, abs=0.01)
        assert stands[0] != stands[-1]  # it starts or ends inside the stack
