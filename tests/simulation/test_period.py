"""Worlds that repeat: trees are met by way of the nearest of their images."""

import itertools
import math

import numpy as np
import pydantic
import pytest
import scipy.stats
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from tree_world import plotting
from tree_world.agents.omniscient import Omniscient
from tree_world.simulation import (
    Action,
    DirectionalSensor,
    Exploring,
    HomeRange,
    SimpleSensor,
    TreeWorld,
    TreeWorldConfig,
    Worlds,
)
from tree_world.simulation.trees import draw_trees, images_of, nearest_image

PERIOD = 300.0
SHIFTS = np.array(list(itertools.product((-1, 0, 1), repeat=2)))
# Such numbers and their sums are exact in single precision.
eighths = st.integers(-1200, 1200).map(lambda number: number / 8)
places = st.tuples(eighths, eighths)
shifts = st.tuples(st.integers(-40, 40), st.integers(-40, 40))
periods = st.integers(800, 4000).map(lambda number: number / 4)


def drawn(seed=0, model=None, **choices):
    config = TreeWorldConfig(**{"period": PERIOD, "num_trees": 12, **choices})
    return TreeWorld.random_from_config(config, seed=seed, model=model)


def images(world):
    """Trees and the places of nine images of each, in double precision."""
    locations = world.locations.double().numpy()
    period = world.config.period
    return np.stack([locations + period * shift for shift in SHIFTS], axis=1)


def smell_by_loops(world, place, sensor):
    """What is smelled of the nearest image of each tree, and how far the nearest tree is."""
    total, nearest = np.zeros(world.embeddings.shape[1]), math.inf
    for tree, copies in enumerate(images(world)):
        distance = min(math.dist(copy, place) for copy in copies)
        sent = world.embeddings[tree].double().numpy()
        if distance <= sensor.can_see_fruit_distance:
            word = world.fruit_amount_indices[tree]
            sent = sent + world.fruit_amount_embeddings[word].double().numpy()
        total += sent * math.exp(-(distance**2) / (2 * sensor.diffusion_time))
        nearest = min(nearest, distance)
    return nearest, total


def seen_by_loops(world, place, heading, sensor):
    """The nearest image in the cone, of all images of all trees: tree and distance."""
    found = (None, math.inf)
    for tree, copies in enumerate(images(world)):
        for copy in copies:
            distance = math.dist(copy, place)
            along = np.dot(copy - place, heading)
            within = distance <= sensor.max_sense_distance
            if within and along > sensor.heading_tolerance * distance and distance < found[1]:
                found = tree, distance
    return found


# --- what is perceived ---------------------------------------------------------------------------


@given(
    seed=st.integers(0, 500),
    x=st.floats(-150, 150, width=32),
    y=st.floats(-150, 150, width=32),
    reach=st.floats(10, 150),
    radius=st.floats(0, 150),
)
def test_smell_is_that_of_the_nearest_of_nine_images(seed, x, y, reach, radius):
    world = drawn(seed)
    sensor = SimpleSensor(reach, 0.3, radius)
    expected, scent = smell_by_loops(world, (x, y), sensor)
    distances = [min(math.dist(copy, (x, y)) for copy in copies) for copies in images(world)]
    assume(min(abs(distance - radius) for distance in distances) > 1e-3)
    found = sensor.sense(world, [x, y])
    assert found.distance.item() == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(found.embedding.numpy(), scent, atol=1e-5 * len(world.trees))
    assert distances[found.tree.index] == pytest.approx(expected, abs=1e-4)


@given(
    seed=st.integers(0, 500),
    x=st.floats(-150, 150, width=32),
    y=st.floats(-150, 150, width=32),
    angle=st.floats(0, 2 * math.pi),
)
def test_what_is_seen_is_the_nearest_of_all_images(seed, x, y, angle):
    world, sensor = drawn(seed), DirectionalSensor(max_sense_distance=150.0)
    heading = np.array([math.cos(angle), math.sin(angle)])
    tree, distance = seen_by_loops(world, (x, y), heading, sensor)
    close = [
        abs(np.dot(copy - (x, y), heading) / math.dist(copy, (x, y)) - 0.9)
        for copy in images(world).reshape(-1, 2)
    ]
    assume(min(close) > 1e-4)  # where rounding decides
    seen = sensor.sense(world, [x, y], heading.tolist())
    if tree is None:
        assert seen.tree is None
    else:
        assert seen.distance.item() == pytest.approx(distance, abs=1e-4)
        assert seen.tree.index == tree


@given(
    place=places,
    tree=places,
    shift=shifts,
    period=periods,
    angle=st.floats(0, 2 * math.pi),
)
def test_a_shift_by_periods_changes_nothing(place, tree, shift, period, angle):
    world = planted([tree, (10.0, -20.0)], period)
    moved = (np.array(place) + period * np.array(shift)).tolist()
    heading = [math.cos(angle), math.sin(angle)]
    for sensor in (SimpleSensor(), DirectionalSensor(heading_tolerance=0.5)):
        here, there = (sensor.sense(world, where, heading) for where in (list(place), moved))
        assert here.tree is there.tree
        for one, other in zip(here[:2], there[:2], strict=True):
            assert one is other is None or torch.equal(one, other)
    many = SimpleSensor().sense(world, [list(place), moved])
    assert torch.equal(*many.embedding)


def planted(locations, period, model=None, **choices):
    """Trees where they are wanted, or at their image in the square."""
    config = TreeWorldConfig(period=period, **choices)
    wrapped = nearest_image(torch.tensor(locations), period)
    names = config.tree_ids[: len(locations)]
    return TreeWorld(config, wrapped, ["fig"] * len(locations), names, model=model)


def test_all_round_the_cone_points_to_the_nearest_image():
    """To the west, over the edge, though the tree is drawn in the east."""
    world = planted([[140.0, 0.0]], PERIOD)
    sensor = DirectionalSensor()
    assert sensor.sense(world, [-140.0, 0.0], [-1.0, 0.0]).distance == 20.0
    assert sensor.sense(world, [-140.0, 0.0], [1.0, 0.0]).distance is None


@pytest.mark.parametrize("turns", [-2, -1, 0, 1, 2])
def test_a_tree_half_a_period_away_is_in_the_west_wherever_one_is(turns):
    sensor = DirectionalSensor(max_sense_distance=150.0)
    world = planted([[10.0, 0.0]], PERIOD, model=Noting(), max_sense_distance=150.0)
    place = torch.tensor([160.0 + PERIOD * turns, 0.0])
    assert sensor.sense(world, place, [-1.0, 0.0]).distance == 150.0
    assert sensor.sense(world, place, [1.0, 0.0]).distance is None
    world.agent.position = place
    world.agent.heading = torch.tensor([-1.0, 0.0])
    world.step()
    assert world.agent.model.told[0][2].sight.distance == 150.0


def test_far_away_distances_are_as_good_as_the_place():
    """Of which single precision keeps a sixteenth of a metre: differences would keep no more."""
    world = drawn(2, Noting(), num_trees=25, max_fruit=0)
    place = torch.tensor([1e6 + 30.0, -1e6])
    turns = PERIOD * np.rint(place.double().numpy() / PERIOD)
    near = (place.double().numpy() - turns).tolist()
    expected, scent = smell_by_loops(world, near, world.agent.nose)
    found = world.agent.nose.sense(world, place)
    assert found.distance.item() == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(found.embedding.numpy(), scent, atol=5e-5)
    world.agent.position = place
    world.step()
    np.testing.assert_allclose(world.agent.model.told[0][2].smell.numpy(), scent, atol=5e-5)


def test_smell_has_a_slope_over_the_edge():
    world = planted([[140.0, 0.0]], PERIOD)
    place = torch.tensor([-140.0, 0.0], requires_grad=True)
    SimpleSensor().sense(world, place).distance.backward()
    assert place.grad.tolist() == [1.0, 0.0]


# --- lives ---------------------------------------------------------------------------------------


class Noting:
    """Walks east, and notes what it is told."""

    def __init__(self):
        self.told = []

    def reset(self):
        self.told.clear()

    def act(self, percept, body, meal, *, generator):
        self.told.append((body.position, body.heading, percept, meal))
        return Action(torch.tensor([10.0, 0.0]), body.heading)


def test_in_compiled_code_it_is_the_same_as_for_the_sensors():
    """In a life of three periods, whose places go on and on."""
    world = drawn(3, Noting(), num_trees=25, max_fruit=0)
    world.run(90)
    assert world.agent.position.tolist() == [900.0, 0.0]
    seen = 0
    for position, heading, percept, _ in world.agent.model.told:
        smelled = world.agent.nose.sense(world, position).embedding
        torch.testing.assert_close(percept.smell, smelled, rtol=1e-5, atol=1e-5)
        found = world.agent.eyes.sense(world, position, heading)
        if found.distance is None:
            assert percept.sight.distance is None
        else:
            seen += 1
            torch.testing.assert_close(percept.sight.distance, found.distance)
            torch.testing.assert_close(percept.sight.embedding, found.embedding)
    assert seen > 10


def test_who_has_walked_a_period_is_at_the_same_tree():
    """Of five fruits three are eaten in passing, the others a period later."""
    world = planted([[100.0, 0.0]], PERIOD, model=Noting())
    world.run(90)
    meals = [float(place[0]) for place, _, _, meal in world.agent.model.told if meal is not None]
    assert meals == [90.0, 100.0, 110.0, 390.0, 400.0]


def test_one_eats_over_the_edge():
    world = planted([[146.0, 0.0]], PERIOD, model=Noting())
    world.agent.position = torch.tensor([-449.0, 3.0])
    meal = world.step()
    assert meal is not None
    assert meal[0].index == 0


@pytest.mark.parametrize("shift", [(0, 0), (1, -2), (-7, 3)])
def test_lives_are_the_same_wherever_they_begin(shift):
    """Up to the rounding of places, which is coarser far away."""
    found = []
    for begin in (np.zeros(2), PERIOD * np.array(shift)):
        world = drawn(1, Exploring(), num_trees=8)
        world.agent.position = torch.tensor(begin, dtype=torch.float32)
        life = world.run(60)
        found.append((life.positions - begin, life.meal_trees))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=0.05)
    assert np.array_equal(found[0][1], found[1][1])


def test_worlds_side_by_side_keep_their_own_periods():
    alone = [drawn(seed, period=period) for seed, period in enumerate([None, 250.0, 300.0])]
    worlds = Worlds(alone)
    lives = worlds.run(200)
    for world, life in zip(alone, lives, strict=True):
        own = world.run(200)
        assert np.array_equal(life.positions, own.positions)
        assert np.array_equal(life.meal_trees, own.meal_trees)


def test_one_may_walk_about_far_beyond_the_square():
    world = drawn(0, HomeRange(), num_trees=5, move_cost=0.0, poison_health=0.0)
    assert np.abs(world.run(2000).positions).max() > PERIOD


# --- where trees stand ---------------------------------------------------------------------------


def test_trees_are_those_of_the_world_without_a_period_wrapped_into_the_square():
    flat, round_ = (drawn(4, period=period, num_trees=50) for period in (None, PERIOD))
    turns = ((flat.locations - round_.locations).double() / PERIOD).numpy()
    np.testing.assert_allclose(turns, np.rint(turns), atol=1e-5)
    assert np.abs(turns).max() > 0.5
    assert round_.locations.abs().max() <= PERIOD / 2
    assert [tree.name for tree in flat.trees] == [tree.name for tree in round_.trees]
    assert torch.equal(flat.agent.heading, round_.agent.heading)


def test_trees_are_spread_evenly_over_a_period_of_twice_their_deviation():
    config = TreeWorldConfig(period=400.0, num_trees=84)
    generator = torch.Generator().manual_seed(0)
    found = torch.cat([draw_trees(config, generator)[0] for _ in range(60)]).numpy()
    for along in found.T:
        even = scipy.stats.uniform(-200, 400).cdf
        assert scipy.stats.kstest(along, even).pvalue > 0.01


def test_a_tree_outside_the_square_is_refused():
    config = TreeWorldConfig(period=PERIOD)
    message = r"trees stand from -150 to 150 m along each axis, but tree 1 stands at \[0.0, 151.0\]"
    with pytest.raises(ValueError, match=message):
        TreeWorld(config, [[0.0, 150.0], [0.0, 151.0]], ["fig"] * 2, config.tree_ids[:2])


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["max_sense_distance", "can_see_fruit_distance", "eat_distance"])
def test_a_reach_is_at_most_half_of_the_period(field):
    others = {"max_sense_distance": 1.0, "can_see_fruit_distance": 1.0, "eat_distance": 1.0}
    config = TreeWorldConfig(period=PERIOD, **others | {field: 150.0})
    message = f"{field} must be at most half of the period, 150 m"
    with pytest.raises(pydantic.ValidationError, match=message):
        TreeWorldConfig(period=PERIOD, **others | {field: 150.5})
    with pytest.raises(pydantic.ValidationError, match=message):
        setattr(config, field, 151.0)
    with pytest.raises(pydantic.ValidationError, match=r"half of the period, 149\.5 m"):
        config.period = 299.0
    assert (config.period, getattr(config, field)) == (PERIOD, 150.0)
    config.period = None
    setattr(config, field, 1000.0)


@pytest.mark.parametrize("period", [0.0, -300.0, math.nan, math.inf, True])
def test_bad_periods(period):
    with pytest.raises(pydantic.ValidationError, match="period"):
        TreeWorldConfig(period=period)


def test_a_configuration_with_a_period_is_written_and_read():
    config = TreeWorldConfig(period=PERIOD)
    assert TreeWorldConfig.model_validate_json(config.model_dump_json()) == config
    assert config != TreeWorldConfig()


@pytest.mark.parametrize("field", ["max_sense_distance", "can_see_fruit_distance"])
@pytest.mark.parametrize("kind", [SimpleSensor, DirectionalSensor])
def test_sensors_that_reach_too_far_are_refused(kind, field):
    """When they are asked, and when compiled code would ask in their place."""
    sensor, world = kind(**{field: 151.0}), drawn()
    message = f"{field} must be at most half of the period, 150 m"
    with pytest.raises(ValueError, match=message):
        sensor.sense(world, [0.0, 0.0], [1.0, 0.0])
    setattr(world.agent, "nose" if kind is SimpleSensor else "eyes", sensor)
    for live in (world.step, lambda: world.run(3), lambda: Worlds([world])):
        with pytest.raises(ValueError, match=message):
            live()
    assert world.time == 0
    setattr(sensor, field, 150.0)
    assert world.run(3).num_steps == 3


def test_plans_are_refused_where_the_plane_repeats():
    with pytest.raises(ValueError, match="this world repeats after 300 m"):
        Omniscient(drawn())


# --- images --------------------------------------------------------------------------------------


@given(
    locations=st.lists(places, min_size=1, max_size=4, unique=True),
    period=st.floats(300, 900),
    half_width=st.floats(1, 2000),
)
def test_images_are_all_those_on_the_map(locations, period, half_width):
    places = np.array(locations)
    which, found = images_of(places, period, half_width)
    expected = {
        (tree, *(np.round(place + period * np.array(shift), 3)))
        for tree, place in enumerate(places)
        for shift in itertools.product(range(-8, 9), repeat=2)
        if np.abs(place + period * np.array(shift)).max() <= half_width
    }
    assert {(tree, *np.round(place, 3)) for tree, place in zip(which, found, strict=True)} == (
        expected
    )
    assert len(which) == len(expected)


def test_without_a_period_all_trees_are_where_they_are():
    places = np.array([[700.0, 0.0], [0.0, 1.0]])
    which, found = images_of(places, None, 500.0)
    assert which.tolist() == [0, 1]
    assert found is places


def test_a_map_shows_all_images():
    config = TreeWorldConfig(period=PERIOD)
    world = TreeWorld(config, [[100.0, 0.0], [0.0, 0.0]], ["fig", "nightshade"], ["Ada", "Bram"])
    ax = plotting.plot_world(world, half_width=350.0, label_kinds=True, legend=False)
    food, poison = (np.array(group.get_offsets()) for group in ax.collections)
    columns, rows = [-200.0, 100.0], [-300.0, 0.0, 300.0]
    assert {tuple(place) for place in food} == set(itertools.product(columns, rows))
    assert {tuple(place) for place in poison} == set(itertools.product(rows, rows))
    labels = [text.get_text() for text in ax.texts]
    assert (labels.count("fig"), labels.count("nightshade")) == (6, 9)


def test_a_picture_shows_all_images():
    from tree_world.simulation.picture import picture_of

    config = TreeWorldConfig(period=PERIOD)
    single = Worlds([TreeWorld(config, [[100.0, 100.0]], ["fig"], ["Ada"])])
    picture = picture_of(single, 0, 250.0)
    green = (picture == (0, 158, 115)).all(axis=-1)
    for x, y in itertools.product([-200, 100], repeat=2):
        assert green[250 - y, 250 + x]
    assert not green[250 + 100, 250 + 100]
