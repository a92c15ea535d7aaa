import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tree_world.agents.routes import Routes

POINTS = st.floats(-80, 80).map(lambda number: round(number, 2))


def points(least, most):
    shape = st.tuples(st.integers(least, most), st.just(2))
    return shape.flatmap(lambda shape: arrays(np.float64, shape, elements=POINTS))


def away(point, others):
    return np.hypot(*(np.reshape(others, (-1, 2)) - point).T).min(initial=np.inf)


def walk(routes, start, goal, longest=10.0, most=200):
    """Positions after each step, until the goal is reached or there is no way on."""
    found = [np.asarray(start, float)]
    for _ in range(most):
        step = routes.step_towards(found[-1], goal, longest)
        if not step.any():
            break
        assert np.hypot(*step) <= longest * (1 + 1e-9)
        found.append(found[-1] + step)
    return np.array(found)


@settings(deadline=None, max_examples=60)
@given(points(1, 4), points(0, 5))
def test_no_step_lies_in_reach_of_what_is_avoided(places, avoid):
    routes = Routes(places, avoid, radius=10.5)
    start = np.array([120.0, 0.0])
    for stand, length in zip(routes.stands, routes.lengths_from(start), strict=True):
        if np.isfinite(length):
            path = walk(routes, start, stand)
            assert np.hypot(*(path[-1] - stand)) < 1e-6
            assert min(away(point, avoid) for point in path) > 10.5 - 1e-9
            walked = np.hypot(*np.diff(path, axis=0).T).sum()
            assert walked <= length + 1e-6  # corners may be cut on the way


@settings(deadline=None, max_examples=60)
@given(points(2, 5), points(0, 4))
def test_ways_are_a_metric_and_no_shorter_than_straight(places, avoid):
    routes = Routes(places, avoid)
    lengths, number = routes.lengths, len(places)
    there = np.isfinite(routes.stands).all(axis=1)
    assert np.isinf(lengths[~there]).all()
    assert np.allclose(lengths, lengths.T)
    for one in range(number):
        for other in range(number):
            straight = np.hypot(*(routes.stands[one] - routes.stands[other]))
            if there[one] and there[other]:
                assert lengths[one, other] >= straight - 1e-9
                over = lengths[one] + lengths[:, other]
                assert lengths[one, other] <= over.min() + 1e-9


@settings(deadline=None, max_examples=60)
@given(points(1, 3), points(1, 4))
def test_where_one_stands_to_eat_is_in_reach_of_food_alone(places, avoid):
    routes = Routes(places, avoid, radius=10.5, reach=10.0)
    for index, (place, stand) in enumerate(zip(places, routes.stands, strict=True)):
        if np.isfinite(stand).all():
            for point in (stand, routes.stand_for(np.array([120.0, 0.0]), index, 0)):
                assert np.hypot(*(point - place)) <= 10
                assert away(point, avoid) > 10.5


def test_a_way_round_one_disc_is_at_most_a_twentieth_longer_than_need_be():
    routes = Routes([[-40.0, 0.0], [40.0, 0.0]], [[0.0, 0.0]], radius=20.0)
    tangent = np.sqrt(40.0**2 - 20.0**2)
    exact = 2 * tangent + 20.0 * (np.pi - 2 * np.arccos(20.0 / 40.0))
    assert exact <= routes.lengths[0, 1] <= 1.05 * exact


def test_on_the_way_it_stands_where_both_legs_are_short():
    routes = Routes([[0.0, 50.0], [100.0, 0.0]])
    here = np.array([-100.0, 0.0])
    nearest, stand = routes.stand_for(here, 0), routes.stand_for(here, 0, 1)
    assert away(nearest, [here]) == pytest.approx(np.hypot(100, 50) - 9.8, abs=0.1)
    # In as many steps, the last of which would else be short.
    assert 105 < away(stand, [here]) <= 110 + 1e-3
    assert away(stand, routes.places[1:]) < away(nearest, routes.places[1:]) - 10


def test_whoever_stands_in_reach_of_poison_does_not_eat_there():
    routes = Routes([[0.0, 0.0]], [[12.0, 0.0]], radius=10.5)
    stand = routes.stand_for(np.array([9.0, 0.0]), 0)
    assert away(stand, routes.avoid) > 10.5
    assert away(stand, routes.places) <= 10


def test_there_is_no_way_out_of_a_ring():
    angles = 2 * np.pi * np.arange(12) / 12
    ring = 30 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    routes = Routes([[100.0, 0.0], [0.0, 0.0]], ring, radius=10.5)
    assert np.isinf(routes.lengths[0, 1])
    assert not routes.step_towards(np.zeros(2), routes.places[0], 10.0).any()


def test_whoever_stands_in_reach_of_it_leaves():
    routes = Routes([[100.0, 0.0]], [[-3.0, 0.0]], radius=10.5)
    path = walk(routes, np.zeros(2), routes.places[0])
    assert away(path[2], [[-3.0, 0.0]]) > 10.5
    assert np.allclose(path[-1], [100.0, 0.0])


def test_what_lies_in_no_plane_is_refused():
    with pytest.raises(ValueError, match=r"points of the plane.*shape \(2, 3\)"):
        Routes(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="avoid must be points of the plane"):
        Routes([[0.0, 0.0]], [[np.nan, 0.0]])


DISCS = st.lists(st.tuples(POINTS, POINTS, st.floats(1, 25)), max_size=5)


@settings(max_examples=60)
@given(DISCS, st.tuples(POINTS, POINTS))
def test_no_way_comes_nearer_to_a_disc_than_its_own_radius(discs, start):
    """Or than where one stands at first, if one stands inside."""
    middles = np.array([disc[:2] for disc in discs]).reshape(-1, 2)
    radii = np.array([disc[2] for disc in discs])
    routes = Routes([[120.0, 0.0], [0.0, 60.0]], middles, radius=radii)
    np.testing.assert_array_equal(routes.radii, radii)
    for stand in routes.stands[np.isfinite(routes.stands).all(axis=1)]:
        path = walk(routes, np.array(start), stand)
        # Along the way, too, not only where steps end.
        between = np.linspace(path[:-1], path[1:], 20).reshape(-1, 2) if len(path) > 1 else path
        for middle, radius in zip(middles, radii, strict=True):
            nearest = min(radius, np.hypot(*(path[0] - middle)))
            assert np.hypot(*(between - middle).T).min() >= nearest - 1e-6


def test_each_disc_is_passed_as_near_as_it_allows():
    small, large = [[50.0, 0.0]], [[50.0, 100.0]]
    here, places = np.zeros(2), [[100.0, 0.0], [100.0, 100.0]]
    routes = Routes(places, [*small, *large], radius=[5.0, 30.0])
    low = walk(routes, here, routes.places[0])
    high = walk(routes, np.array([0.0, 100.0]), routes.places[1])
    assert 5 < away(small[0], low) < 8
    assert 30 < away(large[0], high) < 33
    equal = Routes(places, [*small, *large], radius=5.0)
    assert Routes(places, [*small, *large], radius=[5.0, 5.0]).lengths.tolist() == (
        equal.lengths.tolist()
    )


@pytest.mark.parametrize(
    ("radius", "words"),
    [
        ([5.0], r"one for each of the 2 places to avoid, but an array of shape \(1,\)"),
        ([[5.0, 5.0]], r"array of shape \(1, 2\)"),
        ([5.0, 0.0], r"radius must be .*0\.0"),
        ([5.0, np.nan], "radius must be .*nan"),
        (-1.0, r"radius must be .*-1\.0"),
    ],
)
def test_radii_that_fit_no_discs_are_refused(radius, words):
    with pytest.raises(ValueError, match=words):
        Routes([[0.0, 0.0]], [[50.0, 0.0], [60.0, 0.0]], radius=radius)
