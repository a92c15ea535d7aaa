"""Looking back: what two visits have in common, and how far it can be trusted."""

import math

import numpy as np
import pytest
import scipy.optimize

from tree_world.evaluation import coverage
from tree_world.models.places.graph import PoseGraph
from tree_world.models.places.matching import Matcher
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.smoother import smooth
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

CONFIG = TreeWorldConfig()
SENSOR = SimpleSensor.from_config(CONFIG)
LENGTH = math.sqrt(2 * SENSOR.diffusion_time)
COMPASS = Odometry(0.075)
GYRO = Odometry(0.075, math.radians(0.2), math.radians(0.02))
TREES = np.random.default_rng(5).uniform(-80, 80, (8, 2))


def scents(places):
    """Smells of some trees, each of its own kind."""
    squares = ((np.asarray(places)[..., None, :] - TREES) ** 2).sum(-1)
    return np.exp(-squares / (2 * 30.0**2))


def loops(number=400, seed=0):
    """A walk in figures of eight, each a little other than the last."""
    angles = 2 * math.pi * np.arange(number + 1) / 100
    rng = np.random.default_rng(seed)
    reach = 60 + np.interp(
        np.arange(number + 1),
        np.arange(0, number + 40, 40),
        rng.normal(0, 5, len(np.arange(0, number + 40, 40))),
    )
    true = np.stack([reach * np.sin(angles), 0.7 * reach * np.sin(2 * angles)], axis=-1)
    return np.diff(true, axis=0), true


def median(found, true):
    return float(np.median(np.linalg.norm(found - true, axis=-1)))


def smoothed(odometry, number=400, seed=0, **options):
    steps, true = loops(number, seed)
    moves = odometry.drift(steps, seed)
    return moves, true, smooth(moves, scents(true[1:]), odometry, length=30.0, **options)


# --- the squares ----------------------------------------------------------------------------------


@pytest.mark.parametrize("odometry", [COMPASS, GYRO])
def test_it_ends_at_the_least_squares_of_its_closures(odometry):
    moves, _, path = smoothed(odometry, 200)
    graph = PoseGraph(moves, 5, odometry, np.zeros(2))
    begun = graph.reckoned(graph.begun(), len(graph.steps))
    other = scipy.optimize.least_squares(
        graph.residuals, begun, x_scale="jac", args=(path.closures,), max_nfev=50
    )
    found = path.locations[graph.steps]
    np.testing.assert_allclose(found, graph.places(other.x), atol=0.05)
    assert np.abs(found - graph.places(begun)).max() > 1.0
    assert path.bias == pytest.approx(graph.bias(other.x), abs=1e-5)
    slopes = graph.jacobian(other.x, path.closures).toarray()
    scale = np.sqrt((slopes**2).sum(axis=0))
    inverse = np.linalg.inv((slopes / scale).T @ (slopes / scale)) / np.outer(scale, scale)
    size = graph.by_keyframe
    expected = [inverse[i : i + 2, i : i + 2] for i in size * np.arange(len(graph.steps))]
    np.testing.assert_allclose(path.covariances[graph.steps], expected, rtol=0.05, atol=1e-3)


def test_exact_odometry_stays():
    _, true, path = smoothed(Odometry(0.0))
    np.testing.assert_allclose(path.locations, true, atol=0.05)
    assert path.trusted, path.reason
    assert path.bias == 0.0


@pytest.mark.parametrize("odometry", [COMPASS, GYRO])
def test_between_keyframes(odometry):
    moves, _, path = smoothed(odometry, 203)
    assert path.locations.shape == (204, 2)
    assert path.covariances.shape == (204, 2, 2)
    assert (np.linalg.eigvalsh(path.covariances) > 0).all()
    # Steps are turned and stretched a little; areas change slowly.
    np.testing.assert_allclose(np.diff(path.locations, axis=0), moves, atol=2.5)
    areas = np.sqrt(np.linalg.det(path.covariances))[60:]
    assert (abs(np.diff(areas)) < 0.5 * areas[1:] + 0.1).all()
    # With a keyframe at each step, nothing has to be told from the steps.
    one = smoothed(odometry, 203, keyframe=1, width=20.0)[2]
    np.testing.assert_allclose(one.locations, path.locations, atol=5.0)


def test_where_the_steps_are_all_that_is_known():
    odometry = Odometry(0.1)
    moves = np.tile([3.0, 4.0], (10, 1))
    path = smooth(moves, np.zeros((10, 3)), odometry, length=30.0, start=(7.0, 8.0))
    expected = np.array([7.0, 8.0]) + np.arange(11)[:, None] * [3.0, 4.0]
    np.testing.assert_allclose(path.locations, expected, atol=1e-6)
    variances = 0.01 + 0.25 * np.arange(11)
    np.testing.assert_allclose(path.covariances, variances[:, None, None] * np.eye(2), atol=1e-4)
    assert not path.trusted
    assert "only 0 of 2 keyframes" in path.reason
    assert not len(path.closures.keyframes)


# --- closures -------------------------------------------------------------------------------------


def matcher(steps, senses, **options):
    given = {"nugget": 0.02, "nearest": 16, "within": 50.0, "apart": 60, "width": 4.0}
    return Matcher(steps, senses, 30.0, **(given | {"robust": 1.0} | options))


def test_a_closure_leads_to_where_it_smells_the_same():
    _, true = loops()
    steps = np.arange(0, 401, 5)
    places = true[steps].copy()
    moved = 50
    places[moved] += [4.0, -3.0]
    ours = matcher(steps, scents(true[steps[1:]]))
    found = ours.closures(places)
    (row,) = np.flatnonzero(found.keyframes == moved)
    seen = (found.weights[row, :, None] * places[found.anchors[row]]).sum(axis=0)
    np.testing.assert_allclose(seen + found.offsets[row], true[steps[moved]], atol=0.7)
    np.testing.assert_allclose(found.information, np.swapaxes(found.information, 1, 2))
    # The shift explains the smell, so that it counts in full.
    assert ours.left[row] < 1.0
    assert (np.linalg.eigvalsh(found.information[row]) > 0.05).all()


def test_nothing_confirms_itself():
    _, true = loops()
    steps = np.arange(0, 401, 5)
    found = matcher(steps, scents(true[steps[1:]]), apart=90, within=20.0).closures(true[steps])
    assert len(found.keyframes) > 40
    np.testing.assert_array_equal(found.pairs[:, 0], steps[found.keyframes])
    np.testing.assert_array_equal(found.pairs[:, 1], steps[found.anchors[:, 0]])
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)
    counted = found.weights != 0
    apart = abs(steps[found.keyframes][:, None] - steps[found.anchors])
    away = np.linalg.norm(
        true[steps][found.keyframes][:, None] - true[steps][found.anchors], axis=-1
    )
    assert (apart[counted] >= 90).all()
    assert (away[counted] <= 20.0).all()
    assert not len(matcher(steps, scents(true[steps[1:]]), apart=401).closures(true[steps]).pairs)


def test_closures_turn_nothing():
    """A walk that is turned as a whole is as good: so no closure pulls at a lever."""
    _, true = loops()
    steps = np.arange(0, 401, 5)
    places = true[steps]
    found = matcher(steps, scents(true[steps[1:]])).closures(places)
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def off(there):
        meant = (found.weights[..., None] * there[found.anchors]).sum(axis=1)
        return there[found.keyframes] - meant - found.offsets

    turned = np.linalg.norm(off(places @ turn.T) - off(places) @ turn.T, axis=-1)
    away = np.linalg.norm(places[found.keyframes] - places[found.anchors[:, 0]], axis=-1)
    assert np.median(away) > 1.0
    assert np.median(turned) < 0.2 * angle * np.median(away)
    assert (turned < 0.4 * away + 0.1).all()
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)


def test_what_is_held_out_closes_nothing():
    _, true = loops()
    steps = np.arange(0, 401, 5)
    smells = scents(true[steps[1:]])
    held = np.arange(80) % 4 == 3
    some = matcher(steps, smells)
    some.told = ~held
    found = some.closures(true[steps])
    assert len(found.keyframes) > 30
    assert not held[found.keyframes - 1].any()
    asked = some.closures(true[steps], held)
    assert len(asked.keyframes) > 10
    assert held[asked.keyframes - 1].all()
    for closures in (found, asked):
        assert not held[closures.anchors[closures.weights != 0] - 1].any()
    other = matcher(steps, np.where(held[:, None], 0.0, smells))
    other.told = ~held
    expected = other.closures(true[steps])
    np.testing.assert_allclose(expected.offsets, found.offsets, atol=1e-9)


def test_what_no_shift_explains_counts_little():
    _, true = loops()
    steps = np.arange(0, 401, 5)
    smells = scents(true[steps[1:]])
    before = matcher(steps, smells).closures(true[steps])
    wrong = np.concatenate([smells, np.zeros((80, 1))], axis=1)
    wrong[49, -1] = 1.0  # of what is smelled nowhere else
    after = matcher(steps, wrong).closures(true[steps])
    (row,) = np.flatnonzero(after.keyframes == 50)
    assert np.trace(after.information[row]) < np.trace(before.information[row]) / 20
    wide = matcher(steps, smells, width=8.0).closures(true[steps])
    np.testing.assert_allclose(2 * wide.information, before.information)


# --- on the way -----------------------------------------------------------------------------------


@pytest.mark.parametrize("odometry", [COMPASS, GYRO])
def test_what_is_believed_on_the_way_knows_nothing_of_what_comes(odometry):
    moves, true, path = smoothed(odometry)
    reckoned = np.vstack([[0.0, 0.0], moves.cumsum(axis=0)])
    assert path.online.shape == (401, 2)
    assert path.online_covariances.shape == (401, 2, 2)
    assert (np.linalg.eigvalsh(path.online_covariances) > 0).all()
    for number in (40, 280):  # eight keyframes of five steps are added at a time
        senses = scents(true[1 : number + 1])
        early = smooth(moves[:number], senses, odometry, length=30.0)
        np.testing.assert_allclose(early.online, path.online[: number + 1], atol=1e-5)
        found, expected = early.online_covariances, path.online_covariances[: number + 1]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    # Nothing is closed at first; later, it has something of looking back.
    np.testing.assert_allclose(path.online[:41], reckoned[:41], atol=1e-6)
    assert median(path.online, true) < median(reckoned, true)
    areas = [np.linalg.det(c) for c in (path.online_covariances, path.covariances)]
    assert np.median(areas[0]) > np.median(areas[1])


# --- what it is worth -----------------------------------------------------------------------------


@pytest.mark.parametrize("odometry", [Odometry(0.1), Odometry(0.1, 0.01, 0.001)])
def test_loops_are_closed(odometry):
    moves, true, path = smoothed(odometry)
    reckoned = np.vstack([[0.0, 0.0], moves.cumsum(axis=0)])
    assert median(path.locations, true) < 0.4 * median(reckoned, true)
    assert path.trusted, path.reason


def lived(seed, number):
    """Walk about in a default world."""
    world = TreeWorld.random_from_config(CONFIG, seed=seed)
    rng = np.random.default_rng(seed)
    headings = rng.uniform(0, 2 * math.pi) + np.cumsum(0.3 * rng.normal(size=number))
    steps = np.stack([np.cos(headings), np.sin(headings)], -1) * rng.uniform(0, 10, (number, 1))
    true = 190 - abs((steps.cumsum(axis=0) + 190) % 760 - 380)  # mirrored where it would leave
    steps = np.diff(true, axis=0, prepend=true[:1])
    return steps, true, SENSOR.sense(world, true)[1]


def test_in_a_world():
    ours, reckoned, held = [], [], []
    for seed in range(2):
        steps, true, smells = lived(seed, 1500)
        moves = COMPASS.drift(steps, seed)
        path = smooth(moves, smells, COMPASS, length=LENGTH, start=true[0])
        assert path.trusted, path.reason
        ours.append(median(path.locations[1:], true))
        reckoned.append(median(true[0] + moves.cumsum(axis=0), true))
        held.append(coverage(path.locations[1:], path.covariances[1:], true))
    assert np.mean(ours) < np.mean(reckoned) / 2
    assert np.mean(held) > 0.7


def test_smells_of_another_walk_are_not_trusted():
    steps, true = loops()
    moves = COMPASS.drift(steps, 0)
    other = 60 * np.random.default_rng(1).normal(size=true[1:].shape)
    path = smooth(moves, scents(other), COMPASS, length=30.0)
    assert not path.trusted
    assert path.reason


# --- what must not matter -------------------------------------------------------------------------


def test_turned_and_shifted_and_in_any_number_of_numbers():
    moves, true, path = smoothed(GYRO, 200)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    wide = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 8)))[0].T
    senses = scents(true[1:]) @ wide
    other = smooth(moves @ turn.T, senses, GYRO, length=30.0, start=[500.0, -3.0])
    expected = path.locations @ turn.T + [500.0, -3.0]
    np.testing.assert_allclose(other.locations, expected, atol=0.02)
    spread = turn @ path.covariances @ turn.T
    np.testing.assert_allclose(other.covariances, spread, rtol=0.02, atol=1e-3)


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"displacements": [[0.0], [1.0]]}, r"displacements must have shape \(\.\.\., 2\)"),
        ({"displacements": [0.0, 1.0]}, r"displacements must have shape \(n_steps, 2\)"),
        ({"displacements": [[math.nan, 0.0]] * 2}, "displacements must be finite"),
        ({"senses": [[1.0]]}, "at least one step"),
        ({"senses": [[math.inf], [0.0]]}, "senses must be finite"),
        ({"displacements": np.zeros((0, 2)), "senses": np.zeros((0, 3))}, "at least one step"),
        ({"length": 0.0}, "length must be a positive"),
        ({"nugget": -1.0}, "nugget must be zero or more"),
        ({"keyframe": 0}, "keyframe must be"),
        ({"keyframe": 2.5}, "keyframe must be a whole number"),
        ({"nearest": 0}, "nearest must be"),
        ({"within": -3.0}, "within must be a positive, finite distance"),
        ({"apart": 0}, "apart must be"),
        ({"width": 0.0}, "width must be positive"),
        ({"robust": math.inf}, "robust must be positive"),
        ({"iterations": 0}, "iterations must be"),
        ({"start": (0.0, 1.0, 2.0)}, r"start must have shape \(\.\.\., 2\)"),
        ({"start": [[0.0, 1.0]]}, r"start must be one place, of shape \(2,\)"),
    ],
)
def test_what_cannot_be_smoothed_is_refused(arguments, message):
    given = {"displacements": np.eye(2), "senses": np.ones((2, 1)), "odometry": COMPASS}
    with pytest.raises(ValueError, match=message):
        smooth(**(given | {"length": 9.0} | arguments))


def test_what_is_no_odometry_is_refused():
    with pytest.raises(TypeError, match="odometry must be an Odometry, not float"):
        smooth(np.eye(2), np.ones((2, 1)), 0.1, length=9.0)
