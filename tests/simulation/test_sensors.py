import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tree_world.simulation import DirectionalSensor, SimpleSensor
from tree_world.simulation.vocabulary import fruit_amount_index

shared_world = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)


def smell_by_loops(world, place, reach, share, amount_radius):
    """z(x) in float64, one tree and one line at a time."""
    time = reach**2 / (2 * math.log(1 / share))
    total = np.zeros(world.embeddings.shape[-1])
    for tree in world.trees:
        offset = np.asarray(place, dtype=np.float64) - tree.location.double().numpy()
        distance = math.sqrt((offset**2).sum())
        sent = tree.embedding.double().numpy()
        if distance <= amount_radius:
            word = fruit_amount_index(int(world.fruit_counts[tree.index]))
            sent = sent + world.fruit_amount_embeddings[word].double().numpy()
        total += sent * math.exp(-(distance**2) / (2 * time))
    return total


# --- smell ---------------------------------------------------------------------------------------


@shared_world
@given(
    seed=st.integers(0, 1000),
    num_trees=st.integers(1, 25),
    reach=st.floats(1, 1000),
    share=st.floats(0.01, 0.9),
    amount_radius=st.floats(0, 300),
)
def test_smell_against_loops_in_double_precision(
    random_world, seed, num_trees, reach, share, amount_radius
):
    """Rounding of float32 distances moves a scent by less than 1e-5 for every tree at hand."""
    world = random_world(seed, num_trees=num_trees)
    generator = torch.Generator().manual_seed(seed)
    world.fruit_counts = torch.randint(0, 9, (num_trees,), generator=generator)
    places = 300 * torch.randn(6, 2, generator=generator)
    sensor = SimpleSensor(reach, share, amount_radius)
    distance, scent, trees = sensor.sense(world, places)
    for row, place in enumerate(places.double().numpy()):
        expected = smell_by_loops(world, place, reach, share, amount_radius)
        assert np.abs(scent[row].numpy() - expected).max() < 1e-5 * num_trees
        to_trees = np.linalg.norm(world.locations.double().numpy() - place, axis=-1)
        assert distance[row].item() == pytest.approx(to_trees.min(), rel=1e-5, abs=1e-4)
        assert trees[row] is world.trees[int(to_trees.argmin())]


def test_a_known_scent(make_world):
    world = make_world([[0.0, 0.0]])
    _, scent, _ = SimpleSensor(100.0, 0.1, 50.0).sense(world, [100.0, 0.0])
    torch.testing.assert_close(scent, 0.1 * world.embeddings[0])


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (2, 3), (0, 4)])
@pytest.mark.parametrize("num_trees", [1, 25])
def test_shapes(random_world, shape, num_trees):
    """One place, none or many, in a world of one tree or of many; never (P, P)."""
    world = random_world(num_trees=num_trees)
    generator = torch.Generator().manual_seed(0)
    places = 100 * torch.randn(*shape, 2, generator=generator)
    distance, scent, trees = SimpleSensor().sense(world, places)
    assert distance.shape == shape
    assert scent.shape == (*shape, 384)
    assert (trees in world.trees) if shape == () else trees.shape == shape
    flat = places.reshape(-1, 2)
    for row in range(len(flat)):
        one = SimpleSensor().sense(world, flat[row])
        torch.testing.assert_close(one[0], distance.reshape(-1)[row])
        torch.testing.assert_close(one[1], scent.reshape(-1, 384)[row], rtol=1e-5, atol=1e-6)


@shared_world
@given(angle=st.floats(0, 2 * math.pi), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_smell_does_not_depend_on_the_axes(make_world, angle, x, y):
    trees = torch.tensor([[10.0, 20.0], [-60.0, 5.0], [30.0, -80.0]])
    places = torch.tensor([[0.0, 0.0], [50.0, -20.0]])
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shift = torch.tensor([x, y])
    kinds = ["apple", "nightshade", "plum"]
    before = SimpleSensor().sense(make_world(trees.tolist(), kinds), places)[1]
    moved = make_world((trees @ turn.T + shift).tolist(), kinds)
    after = SimpleSensor().sense(moved, places @ turn.T + shift)[1]
    torch.testing.assert_close(after, before, rtol=0, atol=2e-5)


def test_scents_add_up(make_world):
    places = [[20.0, 10.0], [-40.0, 0.0]]
    world = make_world([[0.0, 0.0], [50.0, 0.0]], ["apple", "fig"])
    both = SimpleSensor().sense(world, places)[1]
    alone = torch.zeros_like(both)
    for index in range(2):
        single = make_world([world.locations[index].tolist()], [world.trees[index].name])
        single.embeddings = world.embeddings[index : index + 1]
        alone += SimpleSensor().sense(single, places)[1]
    torch.testing.assert_close(both, alone, rtol=1e-5, atol=1e-6)


def test_far_from_the_origin_distances_keep_their_digits(make_world):
    """The shortcut through the scalar product would be off by many metres here."""
    world = make_world([[1e6, 1e6], [1e6 + 30, 1e6]])
    distance, scent, tree = SimpleSensor().sense(world, [1e6 + 3.0, 1e6 + 4.0])
    assert distance.item() == pytest.approx(5.0, abs=0.1)
    assert tree is world.trees[0]
    assert torch.isfinite(scent).all()


def test_strength_is_one_at_the_tree_and_the_chosen_share_at_the_reach():
    sensor = SimpleSensor(80.0, 0.25)
    deviation = math.sqrt(sensor.diffusion_time)
    strength = sensor.strength(torch.tensor([0.0, 80.0, deviation, 2 * 80.0]))
    expected = torch.tensor([1.0, 0.25, math.exp(-0.5), 0.25**4])
    torch.testing.assert_close(strength, expected)


@given(r=st.floats(0.5, 300), time=st.floats(500, 5000))
def test_the_kernel_solves_the_heat_equation_with_the_half_on_the_laplacian(r, time):
    """The strength times 1 / 2πt obeys ∂u/∂t = ½ Δu, by automatic differentiation in float64."""

    def density(place, t):
        reach = math.sqrt(2 * math.log(2))  # with a = 1/2 this makes the diffusion time 1
        kernel = SimpleSensor(reach, 0.5)
        assert math.isclose(kernel.diffusion_time, 1.0)
        return kernel.strength(torch.linalg.vector_norm(place) / t.sqrt()) / (2 * math.pi * t)

    place = torch.tensor([0.6 * r, 0.8 * r], dtype=torch.float64)
    t = torch.tensor(time, dtype=torch.float64)
    by_time = torch.func.grad(density, argnums=1)(place, t)
    laplacian = torch.trace(torch.func.hessian(density)(place, t))
    torch.testing.assert_close(by_time, laplacian / 2, rtol=1e-8, atol=1e-18)


@pytest.mark.parametrize("radius", [30.0, 100.0])
def test_the_amount_is_smelled_only_within_its_distance(make_world, radius):
    """The source document smells the amount at any range."""
    world = make_world([[0.0, 0.0]])
    sensor = SimpleSensor(can_see_fruit_distance=radius)
    inside = sensor.sense(world, [radius - 0.01, 0.0])[1]
    outside = sensor.sense(world, [radius + 0.01, 0.0])[1]
    strength = sensor.strength(torch.tensor(radius))
    several = world.fruit_amount_embeddings[3]
    torch.testing.assert_close(inside - outside, strength * several, rtol=0, atol=1e-3)
    assert (inside - outside).norm().item() == pytest.approx(strength.item(), abs=2e-3)


def test_the_amount_follows_the_fruit(make_world):
    world = make_world([[0.0, 0.0]])
    for count, word in ((0, 0), (1, 1), (2, 2), (3, 3), (5, 3), (6, 4), (50, 4)):
        world.fruit_counts[0] = count
        scent = SimpleSensor().sense(world, [0.0, 0.0])[1]
        expected = world.embeddings[0] + world.fruit_amount_embeddings[word]
        torch.testing.assert_close(scent, expected)


# --- sight ---------------------------------------------------------------------------------------


def see_by_loops(world, place, heading, reach, tolerance):
    best = None
    for tree in world.trees:
        offset = tree.location.double().numpy() - np.asarray(place, dtype=np.float64)
        distance = float(np.linalg.norm(offset))
        if distance > reach:
            continue
        if distance > 0 and float(offset @ heading) / distance <= tolerance:
            continue
        if best is None or distance < best[0]:
            best = (distance, tree)
    return best


@shared_world
@given(
    seed=st.integers(0, 1000),
    angle=st.floats(0, 2 * math.pi),
    reach=st.floats(10, 400),
    tolerance=st.floats(-0.95, 0.95),
)
def test_sight_against_loops(random_world, seed, angle, reach, tolerance):
    world = random_world(seed)
    generator = torch.Generator().manual_seed(seed)
    places = 150 * torch.randn(8, 2, generator=generator)
    heading = np.array([math.cos(angle), math.sin(angle)])
    sensor = DirectionalSensor(reach, tolerance)
    distance, embedding, trees = sensor.sense(world, places, heading)
    for row, place in enumerate(places):
        seen = see_by_loops(world, place.double().numpy(), heading, reach, tolerance)
        single = sensor.sense(world, place, heading)
        if seen is None:
            assert single == (None, None, None)
            assert trees[row] is None
            assert math.isinf(distance[row])
            assert not embedding[row].any()
        else:
            assert trees[row] is single[2] is seen[1]
            assert distance[row].item() == pytest.approx(seen[0], rel=1e-4, abs=1e-4)
            torch.testing.assert_close(single[1], embedding[row])


def test_sight_returns_three_values_one_by_one_and_many_at_a_time(make_world):
    """The source's notebook returns two where three are unpacked."""
    world = make_world([[10.0, 0.0]])
    sensor = DirectionalSensor()
    assert sensor.sense(world, [0.0, 0.0], [-1.0, 0.0]) == (None, None, None)
    distance, embedding, tree = sensor.sense(world, [0.0, 0.0], [1.0, 0.0])
    assert (distance.shape, embedding.shape, tree) == ((), (384,), world.trees[0])
    headings = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    distance, embedding, trees = sensor.sense(world, torch.zeros(2, 2), headings)
    assert distance.tolist() == [10.0, math.inf]
    assert trees.tolist() == [world.trees[0], None]
    empty = sensor.sense(world, torch.zeros(0, 2), [1.0, 0.0])
    assert [part.shape for part in empty] == [(0,), (0, 384), (0,)]


def test_a_tree_underfoot_is_seen_whatever_the_heading(make_world):
    world = make_world([[3.0, 4.0]])
    for heading in ([1.0, 0.0], [0.0, -1.0], [-0.6, 0.8]):
        assert DirectionalSensor().sense(world, [3.0, 4.0], heading)[2] is world.trees[0]


def test_the_cone_is_the_angle_that_the_tolerance_says(make_world):
    """arccos 0.9 is 25.8 degrees, not 18."""
    edge = math.acos(0.9)
    assert math.degrees(edge) == pytest.approx(25.84, abs=0.01)
    for angle, visible in ((edge - 0.01, True), (edge + 0.01, False)):
        world = make_world([[50 * math.cos(angle), 50 * math.sin(angle)]])
        seen = DirectionalSensor().sense(world, [0.0, 0.0], [1.0, 0.0])[2]
        assert (seen is not None) == visible


def test_sight_perceives_the_amount_only_near(make_world):
    world = make_world([[60.0, 0.0]])
    near = DirectionalSensor(can_see_fruit_distance=60.0).sense(world, [0.0, 0.0], [1.0, 0.0])[1]
    far = DirectionalSensor(can_see_fruit_distance=59.9).sense(world, [0.0, 0.0], [1.0, 0.0])[1]
    torch.testing.assert_close(far, world.embeddings[0])
    torch.testing.assert_close(near, world.embeddings[0] + world.fruit_amount_embeddings[3])


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sensor", [SimpleSensor(), DirectionalSensor()])
@pytest.mark.parametrize(
    ("position", "message"),
    [
        ([1.0, 2.0, 3.0], r"position must have shape \(\.\.\., 2\)"),
        (5.0, r"position must have shape"),
        ([[0.0, 0.0], [float("nan"), 0.0]], r"entry \[1, 0\] is nan"),
        ([float("inf"), 0.0], "must be finite"),
    ],
)
def test_bad_places(make_world, sensor, position, message):
    with pytest.raises(ValueError, match=message):
        sensor.sense(make_world([[0.0, 0.0]]), position, [1.0, 0.0])


@pytest.mark.parametrize(
    ("heading", "message"),
    [
        (None, "sight needs a direction"),
        ([3.0, 4.0], "one of length 5 was given"),
        ([0.0, 0.0], "one of length 0 was given"),
        ([1.0], "heading must have shape"),
        ([[1.0, 0.0]] * 3, "one for each position"),
    ],
)
def test_bad_headings(make_world, heading, message):
    with pytest.raises(ValueError, match=message):
        DirectionalSensor().sense(make_world([[0.0, 0.0]]), [[0.0, 0.0], [1.0, 1.0]], heading)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SimpleSensor(0.0),
        lambda: SimpleSensor(math.nan),
        lambda: SimpleSensor(100.0, 1.0),
        lambda: SimpleSensor(100.0, 0.0),
        lambda: SimpleSensor(can_see_fruit_distance=-1.0),
        lambda: DirectionalSensor(-5.0),
        lambda: DirectionalSensor(heading_tolerance=1.0),
        lambda: DirectionalSensor(heading_tolerance=-1.5),
    ],
)
def test_bad_parameters(make):
    with pytest.raises(ValueError, match="must"):
        make()
