"""The network is one connected whole of capillaries and a few wide vessels, as dense as tissue."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from stallscan.simulate.network import MARGIN_UM, Network, capillaries, sample_network
from stallscan.simulate.settings import load_settings

EXTENT_UM = np.array([56.0, 384.0, 512.0])
VOLUME_UM3 = float(np.prod(EXTENT_UM + 2 * MARGIN_UM))


def draw(seed: int, *changes: str) -> Network:
    settings = load_settings("clogloss", changes)
    return sample_network(np.random.default_rng(seed), EXTENT_UM, settings)


@pytest.fixture(scope="module")
def networks() -> list[Network]:
    return [draw(seed) for seed in range(12)]


def lengths_um(network: Network) -> np.ndarray:
    lines = network.lines_um(capillaries(network))
    return np.linalg.norm(np.diff(lines, axis=1), axis=2).sum(axis=1)


def test_everything_hangs_together(networks: list[Network]) -> None:
    for network in networks:
        n = len(network.nodes_um)
        ones = np.ones(len(network.edges))
        n_parts, _ = connected_components(
            coo_array((ones, network.edges.T), (n, n)), directed=False
        )
        assert n_parts == 1
        assert (network.edges[:, 0] != network.edges[:, 1]).all()
        assert len(np.unique(np.sort(network.edges, axis=1), axis=0)) == len(network.edges)


def test_three_segments_meet_at_a_branch_point(networks: list[Network]) -> None:
    for network in networks:
        degrees = np.bincount(network.edges.ravel())
        assert (degrees > 3).mean() < 0.01
        assert (degrees == 3).mean() > 0.6


def test_lengths_are_log_normal_around_fifty_to_sixty_micrometres(networks: list[Network]) -> None:
    lengths = np.concatenate([lengths_um(network) for network in networks])
    assert 50 <= np.median(lengths) <= 60
    logs = np.log(lengths)
    assert 0.3 < logs.std() < 0.6
    # Symmetric in the logarithm, skewed to the right without it.
    skews = [np.mean(((v - v.mean()) / v.std()) ** 3) for v in (logs, lengths)]
    assert abs(skews[0]) < 0.5 < skews[1]


def test_capillaries_measure_3_to_7_and_trunks_10_to_30(networks: list[Network]) -> None:
    diameters = 2 * np.concatenate([n.radii_um for n in networks])
    narrow = diameters[diameters <= 9]
    assert narrow.min() >= 3 and narrow.max() <= 7
    assert narrow.mean() == pytest.approx(5.0, abs=0.1)
    assert 0.7 < narrow.std() < 1.0
    wide = [2 * n.radii_um for n in (draw(s, "penetrating=5", "pial_share=0") for s in range(8))]
    trunks = np.concatenate([d[d > 9] for d in wide])
    assert trunks.min() >= 10 and trunks.max() <= 30
    assert len(np.unique(trunks)) == 5 * 8


def test_length_density_follows_the_setting() -> None:
    """Within 25 %: where branch points are rare, neighbours are far and segments longer."""
    found = {}
    for density in (6e-4, 1.1e-3):
        changes = (f"length_density={density}", "penetrating=0", "pial_share=0")
        found[density] = np.mean([lengths_um(draw(i, *changes)).sum() for i in range(4)])
        assert found[density] / VOLUME_UM3 == pytest.approx(density, rel=0.25)
    assert found[1.1e-3] > 1.4 * found[6e-4]


def test_penetrating_vessels_go_through_the_depth() -> None:
    network = draw(0, "penetrating=3", "pial_share=0")
    trunk = network.radii_um > 4.5
    ends = network.nodes_um[network.edges[trunk]]
    assert (ends[..., 0] == -MARGIN_UM[0]).sum() == 3
    assert (ends[..., 0] == EXTENT_UM[0] + MARGIN_UM[0]).sum() == 3
    # Steeper than flat: the slant is 0.35 of the depth.
    rise = np.abs(np.diff(ends, axis=1))[:, 0]
    assert (rise[:, 0] > np.linalg.norm(rise[:, 1:], axis=1)).mean() > 0.8


def test_pial_vessels_lie_in_the_plane_where_they_are_asked_for() -> None:
    network = draw(0, "penetrating=0", "pial_share=1")
    ends = network.nodes_um[network.edges[network.radii_um > 4.5]]
    # From one side of the field to the other, and flat.
    assert np.linalg.norm(np.ptp(ends[..., 1:], axis=(0, 1))) > np.linalg.norm(EXTENT_UM)
    assert 0 < ends[..., 0].std() < 5
    assert (draw(0, "penetrating=0", "pial_share=0").radii_um <= 4.5).all()


def test_capillaries_end_at_the_wall_of_trunks() -> None:
    """Not on the axis, and not outside: 0.8 of the radius is inside the lumen."""
    n_joints = 0
    for seed in range(6):
        network = draw(seed, "penetrating=5", "penetrating_um=20", "pial_share=0")
        trunk_nodes = np.unique(network.edges[network.radii_um > 4.5])
        for index in capillaries(network):
            at_trunk = np.isin(network.edges[index], trunk_nodes)
            vessel = network.vessel(int(index))
            for side in np.flatnonzero(at_trunk):
                axis = network.nodes_um[network.edges[index, side]]
                line = network.lines_um(np.array([index]))[0]
                whole = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
                assert vessel.length_um < whole - 1.0 or network.trim_um[index, side] == 0
                away = np.linalg.norm(vessel.points_um[(0, -1)[side]] - axis)
                assert 3.0 < away <= 8.1
                n_joints += 1
            assert not network.trim_um[index, ~at_trunk].any()
    assert n_joints > 50


def test_bends_leave_the_ends_where_they_are(networks: list[Network]) -> None:
    network = networks[0]
    index = capillaries(network)
    lines = network.lines_um(index)
    begin, end = (network.nodes_um[network.edges[index, side]] for side in (0, 1))
    np.testing.assert_allclose(lines[:, 0], begin)
    np.testing.assert_allclose(lines[:, -1], end, atol=1e-9)


def test_segments_of_a_box_are_those_that_reach_into_it(networks: list[Network]) -> None:
    network = networks[0]
    low, high = np.array([5.0, 80, 120]), np.array([40.0, 220, 320])
    reach = np.array([4.0, 1, 1])
    found = network.vessels_in(low, high, reach)
    assert 5 < len(found) < len(network.edges) / 2
    for index in range(len(network.edges)):
        vessel = network.vessel(index)
        room = reach + vessel.radius_um
        points = vessel.points_um.astype(float)
        if ((points + room > low) & (points - room < high)).all(axis=1).any():
            np.testing.assert_array_equal(found[index].points_um, vessel.points_um)
        elif index in found:  # its trimmed end may have been what reached in
            room = room + 4.0
            near = ((points + room > low) & (points - room < high)).all(axis=1).any()
            assert near or network.trim_um[index].any()


def test_horseshoes_bend_far_where_they_are_asked_for() -> None:
    """Bend 0.5 to 1 chords makes a C of it; without them few leave the chord by 0.4."""

    def far(network: Network) -> float:
        index = capillaries(network)
        lines = network.lines_um(index)
        chord = np.linalg.norm(lines[:, -1] - lines[:, 0], axis=1)
        middle = lines[:, lines.shape[1] // 2] - (lines[:, 0] + lines[:, -1]) / 2
        return float((np.linalg.norm(middle, axis=1) > 0.4 * np.minimum(chord, 70)).mean())

    straight = "horseshoe_share=0"
    assert far(draw(0, straight, "bend=0.03,0.1")) == 0
    assert far(draw(0, "horseshoe_share=1")) > 0.8
    assert 0.06 < np.mean([far(draw(seed)) for seed in range(4)]) < 0.2


def test_more_vessels_lie_in_the_plane_than_stand_upright(networks: list[Network]) -> None:
    steep = []
    for network in networks:
        ends = network.nodes_um[network.edges[capillaries(network)]]
        chord = ends[:, 1] - ends[:, 0]
        steep.append(np.abs(chord[:, 0]) / np.linalg.norm(chord, axis=1))
    assert np.mean(np.concatenate(steep)) < 0.48  # 0.5 in a space without directions


def test_the_generator_decides_the_network() -> None:
    first, again, other = draw(3), draw(3), draw(4)
    np.testing.assert_array_equal(first.edges, again.edges)
    np.testing.assert_array_equal(first.swing_um, again.swing_um)
    assert first.nodes_um.shape != other.nodes_um.shape or (first.nodes_um != other.nodes_um).any()
