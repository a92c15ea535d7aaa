"""Where am I, with no idea? As a dense grid of Bayes does it; found in the world, and again."""

import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from tree_world.models.places.finder import Finder
from tree_world.models.places.odometry import Odometry
from tree_world.models.places.particles import Particles
from tree_world.models.places.survey import Survey, systematic
from tree_world.models.places.tracker import Tracker
from tree_world.simulation import SimpleSensor, TreeWorld, TreeWorldConfig

CONFIG = TreeWorldConfig()
SENSOR = SimpleSensor.from_config(CONFIG)
LENGTH = math.sqrt(2 * SENSOR.diffusion_time)
COMPASS = Odometry(0.075)
GYRO = Odometry(0.075, math.radians(0.2), math.radians(0.02))
BOX = [[-60.0, -60.0], [60.0, 60.0]]
TREES = ((0.0, 0.0), (40.0, 10.0), (-20.0, 30.0))


def scents(places, trees=TREES, length=30.0):
    """Smells of some trees, each of its own kind."""
    squares = ((np.asarray(places)[..., None, :] - np.asarray(trees)) ** 2).sum(-1)
    return np.exp(-squares / length**2)


def surveyed(number=200, seed=0, reach=60.0, **trees):
    places = np.random.default_rng(seed).uniform(-reach, reach, (number, 2))
    return places, scents(places, **trees)


def lost(odometry=COMPASS, **options):
    return Particles(*surveyed(), odometry, **({"length": 30.0, "region": BOX} | options))


# --- the survey -----------------------------------------------------------------------------------


def plain_fit(survey, places, sense, found=None):
    """What the formula says, by a read at the very places, in all directions of smells."""
    known, few = survey.known, sense  # three kinds of trees: as many directions as numbers
    found = found or known.read(places)
    apart = ((found.mean @ survey._directions - few) ** 2).sum(-1)
    noise = found.variance + known.nugget**2 * known.amplitude**2
    number, gate = len(few), survey.gate**2
    density = noise ** (-number / 2)
    density *= (1 + apart / (number * noise * gate)) ** (-number * (1 + gate) / 2)
    return np.log(density) / survey.width


def test_a_smell_fits_as_the_formula_says():
    survey = Survey(*surveyed(), length=30.0, width=4.0, gate=0.7, spacing=1.0, region=BOX)
    sense = scents([10.0, 5.0]) + np.array([0.0, 0.02, 0.0])
    expected = plain_fit(survey, survey.centres, sense)
    np.testing.assert_allclose(survey.fit_of_cells(sense), expected, atol=1e-6)
    np.testing.assert_allclose(survey.fit(survey.centres, sense), expected, atol=1e-6)
    between = np.random.default_rng(0).uniform(-60, 60, (500, 2))
    between[:2] = [[-60.0, 60.0], [60.0, -60.0]]
    np.testing.assert_allclose(
        survey.fit(between, sense), plain_fit(survey, between, sense), atol=0.03
    )
    outside = survey.fit([[60.1, 0.0], [1000.0, 0.0]], sense)
    np.testing.assert_allclose(outside, plain_fit(survey, [[1e6, 0.0]] * 2, sense))


def test_cells_fill_the_region():
    survey = Survey(*surveyed(), length=30.0, spacing=7.0, region=[[-10.0, 0.0], [20.0, 60.0]])
    assert survey.centres.shape == (5 * 9, 2)
    np.testing.assert_allclose(survey.centres.mean(axis=0), [5.0, 30.0])
    np.testing.assert_allclose(survey.centres.min(axis=0), [-7.0, 60 / 18])
    places, _ = surveyed()
    np.testing.assert_array_equal(
        Survey(*surveyed(), length=30.0).region, [places.min(0), places.max(0)]
    )


def test_senses_may_be_written_in_any_number_of_numbers():
    places, senses = surveyed()
    wide = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 3)))[0].T
    few = Survey(places, senses, length=30.0)
    many = Survey(places, senses @ wide, length=30.0)
    assert many.sensory_dim == 50
    for sense in scents([[10.0, 5.0], [50.0, 50.0]]):
        np.testing.assert_allclose(
            many.fit_of_cells(sense @ wide), few.fit_of_cells(sense), atol=1e-6
        )
        assert many.smells(sense @ wide) == few.smells(sense)
    # What no place smells of counts as apart.
    smell, new = scents([10.0, 5.0]) @ wide, np.linalg.svd(wide)[2][-1]
    strange = many.fit_of_cells(smell + new)
    assert strange.max() < many.fit_of_cells(smell).max() - 0.3
    np.testing.assert_allclose(many.fit(many.centres, smell + new), strange, atol=1e-6)


def test_places_are_drawn_as_often_as_they_fit():
    survey = Survey(*surveyed(), length=30.0, region=BOX, spacing=10.0)
    fits = np.log(np.random.default_rng(0).uniform(0.1, 1.0, len(survey.centres)))
    places, cells = survey.spread(fits, 20_000, torch.Generator().manual_seed(0))
    expected = 20_000 * np.exp(fits) / np.exp(fits).sum()
    assert abs(np.bincount(cells, minlength=len(fits)) - expected).max() < 1 + 1e-6
    apart = places - survey.centres[cells]
    assert abs(apart).max() <= 5.0
    np.testing.assert_allclose(apart.std(axis=0), 10 / math.sqrt(12), rtol=0.02)


# --- against a grid of Bayes ----------------------------------------------------------------------


class Grid:
    """Probabilities of all cells of a metre, with steps of whole metres and blurs of Gauss."""

    def __init__(self, survey, odometry, kidnapped):
        self.survey, self.odometry, self.kidnapped = survey, odometry, kidnapped
        axis = np.arange(-79.5, 80.0)
        self.places = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
        self.inside = (abs(self.places) < 60).all(axis=-1)
        self.uniform = self.inside / self.inside.sum()
        self.p = self.uniform
        self.where = np.where(self.inside[..., None], self.places, 1e6).reshape(-1, 2)
        self.found = survey.known.read(self.where)

    def step(self, move, sense):
        if self.p is not self.uniform:  # anywhere stays anywhere
            self.p = scipy.ndimage.shift(self.p, np.asarray(move), order=0)
            blur = self.odometry.relative_sd * np.linalg.norm(move)
            self.p = scipy.ndimage.gaussian_filter(self.p, blur, mode="constant")
            self.p = (1 - self.kidnapped) * self.p + self.kidnapped * self.uniform
        fits = plain_fit(self.survey, self.where, sense, self.found)
        self.p = self.p * np.exp(fits - fits.max()).reshape(self.p.shape)
        self.p /= self.p.sum()

    @property
    def moments(self):
        mean = np.einsum("ij,ijk->k", self.p, self.places)
        apart = self.places - mean
        return mean, np.einsum("ij,ijk,ijl->kl", self.p, apart, apart)


@pytest.mark.parametrize("kidnapped", [0.0, 0.05])
def test_as_a_grid_says(kidnapped):
    odometry = Odometry(0.3)
    options = {"num_particles": 40_000, "width": 8.0, "spacing": 1.0, "seed": 1}
    particles = lost(odometry, kidnapped=kidnapped, **options)
    grid = Grid(particles.survey, odometry, kidnapped)
    true = np.array([5.0, -15.0])
    # Where it seems to be carried off, old guesses and fresh ones compete.
    for number, move in enumerate([(4, 3), (0, 5), (-5, 0), (3, 4), (0, -5), (5, 0)]):
        true = true + np.array([-30, 30] if number == 3 else move)
        particles.step(move, scents(true))
        grid.step(move, scents(true))
        mean, covariance = grid.moments
        size = np.trace(covariance)
        own = particles.weights @ particles.places
        apart = particles.places - own
        spread = apart.T @ (particles.weights[:, None] * apart)
        assert np.linalg.norm(own - mean) < 0.012 * math.sqrt(size)
        np.testing.assert_allclose(spread, covariance, atol=0.012 * size)
    assert size < 1800.0  # of 2400 square metres: it has told something


def test_without_a_smell_all_of_the_region_is_as_probable():
    particles = lost()
    for _ in range(50):
        belief = particles.step([3.0, 4.0])
        assert not belief.identifiable
    np.testing.assert_array_equal(particles.weights, 1 / 2000)
    counts = np.histogram2d(*particles.places.T, bins=4, range=[[-60, 60]] * 2)[0]
    assert counts.sum() == 2000
    # χ² of 15 degrees of freedom: 37.7 is exceeded once in a thousand.
    assert ((counts - 125) ** 2 / 125).sum() < 37.7
    np.testing.assert_allclose(belief.mean, 0.0, atol=3.0)
    np.testing.assert_allclose(belief.covariance, 1200 * np.eye(2), rtol=0.1, atol=60)


def test_where_all_places_smell_alike_nothing_is_told():
    places, _ = surveyed()
    particles = Particles(
        places, np.ones((200, 1)), COMPASS, length=1e4, amplitude=1.0, region=BOX, kidnapped=0.0
    )
    for _ in range(20):
        belief = particles.step([0.5, 0.0], [1.0])
        assert not belief.identifiable
    np.testing.assert_allclose(np.diag(belief.covariance), 1200, rtol=0.15)


def test_drawing_again_keeps_the_mean():
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=300)
    weights /= weights.sum()
    values = rng.normal(size=300)
    generator = torch.Generator().manual_seed(0)
    drawn = np.array([values[systematic(weights, 300, generator)].mean() for _ in range(2000)])
    standard = drawn.std() / math.sqrt(2000)
    assert abs(drawn.mean() - weights @ values) < 3.5 * standard
    assert drawn.std() < 0.7 * math.sqrt(weights @ values**2 - (weights @ values) ** 2) / 300**0.5
    counts = np.bincount(systematic(weights, 1000, generator), minlength=300)
    assert abs(counts - 1000 * weights).max() <= 1.0
    assert systematic(np.array([0.0, 1.0, 0.0]), 5, generator).tolist() == [1] * 5
    assert len(systematic(weights, 0, generator)) == 0


def test_headings_drift_apart_and_turn_steps():
    particles = lost(Odometry(0.0, 0.1, 0.0), kidnapped=0.0, largest_radius=1e-3)
    particles._anywhere = False
    particles._places[:] = 0.0
    for _ in range(2):
        particles.step([3.0, 0.0])
    assert particles._heading.std() == pytest.approx(0.1 * math.sqrt(2), rel=0.1)
    assert particles.heading_error == pytest.approx(0.0, abs=0.01)
    # A heading that is too great by ε was turned by as much: the step lay at −ε.
    ahead = np.arctan2(*particles.places.T[::-1])
    assert np.corrcoef(ahead, particles._heading)[0, 1] < -0.9
    biased = lost(Odometry(0.0, 0.0, 0.05))
    for _ in range(10):
        biased.step([1.0, 0.0])
    assert biased._heading.std() == pytest.approx(0.5, rel=0.1)


# --- when the place can be told -------------------------------------------------------------------


def gathered(places, weights=None, **options):
    """Guesses at given places, before a step that tells nothing more."""
    particles = lost(Odometry(0.0), num_particles=len(places), kidnapped=0.0, **options)
    particles._places, particles._anywhere = np.array(places, float), False
    if weights is not None:
        particles._log_weights = np.log(weights)
    return particles


def told(particles, times=1, sense=(0.5, 0.5, 0.5)):
    for _ in range(times):
        belief = particles.step([0.0, 0.0], sense)
    return belief.identifiable


def test_one_small_cluster_that_has_held():
    around = np.random.default_rng(0).normal(size=(400, 2))
    options = {"hold": 3, "largest_radius": 10.0, "width": 1e9}
    assert told(gathered(around, **options), 3)
    assert not told(gathered(around, **options), 2)
    assert not told(gathered(6.0 * around, **options), 9)
    two = np.concatenate([around, around + 50.0])
    assert not told(gathered(two, **options), 9)
    few = np.full(800, 1.0)
    few[400:] = 0.005
    lonely = gathered(two, few / few.sum(), **options)
    assert told(lonely, 3)
    assert np.linalg.norm(lonely.belief.mean) < 0.2  # as if the others were not
    few[400:] = 0.05
    assert not told(gathered(two, few / few.sum(), **options), 9)


def test_nothing_to_smell_neither_tells_nor_counts():
    around = np.random.default_rng(0).normal(size=(400, 2))
    particles = gathered(around, hold=3, width=1e9)
    assert not told(particles, 9, (0.0, 0.0, 0.0))
    assert not told(particles, 2)
    assert not told(particles, 1, (0.0, 0.0, 0.0))
    assert told(particles, 1)
    assert not told(particles, 1, None)


# --- in the world ---------------------------------------------------------------------------------


def lived(seed, start, number=300):
    """A survey of a default world, and a walk in it from some place."""
    world = TreeWorld.random_from_config(CONFIG, seed=seed)
    rng = np.random.default_rng(seed)
    places = rng.uniform(-400, 400, (1024, 2))
    headings = rng.uniform(0, 2 * math.pi) + np.cumsum(0.3 * rng.normal(size=number))
    steps = np.stack([np.cos(headings), np.sin(headings)], -1) * rng.uniform(0, 10, (number, 1))
    # Mirrored where it would leave.
    true = 390 - abs((start + np.cumsum(steps, axis=0) + 390) % 1560 - 780)
    steps = np.diff(true, axis=0, prepend=true[:1])
    return places, SENSOR.sense(world, places)[1], steps, true, SENSOR.sense(world, true)[1]


@pytest.mark.parametrize(("seed", "odometry"), [(0, COMPASS), (1, GYRO)])
def test_finds_itself_in_a_world(seed, odometry):
    places, senses, steps, true, smells = lived(seed, [150.0, -100.0])
    particles = Particles(places, senses, odometry, length=LENGTH, seed=seed)
    track = particles.follow(odometry.drift(steps, seed), smells)
    assert not track.identifiable[:29].any()
    assert track.identifiable.any()
    first = int(track.identifiable.argmax())
    assert np.linalg.norm(track.means[first] - true[first]) < 20.0
    assert np.median(np.linalg.norm(track.means - true, axis=-1)[first:]) < 10.0


@pytest.mark.parametrize("odometry", [COMPASS, GYRO])
def test_finds_itself_again(odometry):
    places, senses, steps, true, smells = lived(0, [150.0, -100.0])
    known = (places, senses, odometry)
    finder = Finder(Particles(*known, length=LENGTH), Tracker(*known, length=LENGTH))
    moves = odometry.drift(steps, 0)
    assert finder.lost
    first = finder.follow(moves, smells)
    assert not finder.lost
    np.testing.assert_array_equal(finder.belief.mean, finder.tracker.belief.mean)
    assert np.linalg.norm(first.means[-1] - true[-1]) < 10.0
    # And now it is where it was in the beginning, far from where it believes to be.
    assert np.linalg.norm(true[0] - true[-1]) > 100.0
    for number, (move, smell) in enumerate(zip(moves, smells, strict=True)):
        belief = finder.step(move, smell)
        if finder.lost:
            assert number < 150
            break
    assert not belief.identifiable
    again = finder.follow(moves[number + 1 :], smells[number + 1 :])
    assert not finder.lost
    assert np.linalg.norm(again.means[-1] - true[-1]) < 10.0


class Scripted:
    """A tracker that is surprised as it is told, one step after the other."""

    def __init__(self, tracker, surprises):
        self.tracker, self.surprises = tracker, iter(surprises)

    def __call__(self, displacement, sense):
        belief = Tracker.step(self.tracker, displacement, sense)
        self.tracker.surprise = next(self.surprises)
        return belief


def steps_until(surprises, monkeypatch, **options):
    """After how many steps a finder doubts its place, and after how many it is lost."""
    known = (*surveyed(), COMPASS)
    finder = Finder(
        Particles(*known, length=30.0, region=BOX), Tracker(*known, length=30.0), **options
    )
    finder.reset(start=[20.0, 5.0])
    monkeypatch.setattr(finder.tracker, "step", Scripted(finder.tracker, surprises))
    doubts = None
    for number in range(1, len(surprises) + 1):
        belief = finder.step([0.0, 0.0], scents([20.0, 5.0]))
        if doubts is None and not belief.identifiable:
            doubts = number
        if finder.lost:
            return doubts, number
    return doubts, None


def test_it_is_lost_when_most_of_the_last_smells_surprise_it(monkeypatch):
    calm, off = [0.5] * 25, [5.0] * 40
    # Of the last seven four, and of the last twenty-five thirteen.
    assert steps_until(calm + off, monkeypatch) == (25 + 4, 25 + 13)
    assert steps_until(calm + off, monkeypatch, window=11) == (25 + 4, 25 + 6)
    assert steps_until(calm + off, monkeypatch, surprise=6.0) == (None, None)
    # Smells that jump now and then, and steps that smell of nothing, say no such thing.
    assert steps_until(calm + [5.0, 0.5, 5.0, 0.5, 0.5] * 8, monkeypatch) == (None, None)
    assert steps_until(calm + [None, *off[:13]] * 1, monkeypatch) == (25 + 5, 25 + 14)
    # Before there are as many it cannot tell.
    assert steps_until(off[:24], monkeypatch)[1] is None


def test_it_begins_where_it_is_told():
    known = (*surveyed(), COMPASS)
    finder = Finder(Particles(*known, length=30.0, region=BOX), Tracker(*known, length=30.0))
    assert finder.lost
    finder.reset(start=[20.0, 5.0], start_covariance=[[4.0, 0.0], [0.0, 1.0]])
    assert not finder.lost
    np.testing.assert_array_equal(finder.belief.mean, [20.0, 5.0])
    np.testing.assert_array_equal(finder.belief.covariance, [[4.0, 0.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="start_covariance needs the start"):
        finder.reset(start_covariance=np.eye(2))
    finder.reset()
    assert finder.lost


def test_what_is_known_of_the_heading_is_kept():
    """By one that is carried off after its heading has crept to one side for long."""
    places, senses, steps, true, smells = lived(0, [150.0, -100.0])
    crept = Odometry(0.05, 0.002, 0.001)
    turns = 0.001 * np.arange(1, len(steps) + 1)
    cos, sin = np.cos(turns), np.sin(turns)
    moves = np.stack(
        [cos * steps[:, 0] - sin * steps[:, 1], sin * steps[:, 0] + cos * steps[:, 1]], -1
    )
    known = (places, senses, crept)
    finder = Finder(Particles(*known, length=LENGTH), Tracker(*known, length=LENGTH))
    finder.reset(start=true[0] - steps[0])
    finder.follow(moves, smells)
    assert not finder.lost
    heading = finder.tracker.heading_error
    assert heading == pytest.approx(turns[-1], abs=0.1)
    for move, smell in zip(moves, smells, strict=True):  # as if it had been put at the start
        finder.step(move, smell)
        if finder.lost:
            break
    assert finder.particles.heading_error == pytest.approx(heading, abs=0.2)
    assert 0 < finder.particles.heading_sd < 0.2


def test_what_cannot_be_kidnapped_stays_sure():
    known = (*surveyed(), COMPASS)
    finder = Finder(
        Particles(*known, length=30.0, kidnapped=0.0, hold=1), Tracker(*known, length=30.0)
    )
    finder.tracker.reset([50.0, 50.0])
    finder.lost = False
    for _ in range(100):
        finder.step([0.0, 0.0], [1.0, 1.0, 1.0])
    assert not finder.lost


def test_steps_one_by_one_and_anew():
    particles = lost(GYRO, num_particles=100, seed=torch.Generator().manual_seed(3))
    steps = np.random.default_rng(0).normal(size=(20, 2))
    smells = scents(steps.cumsum(axis=0))
    track = particles.follow(steps, smells)
    other = lost(GYRO, num_particles=100, seed=3)
    for number in range(20):
        belief = other.step(steps[number], smells[number])
        np.testing.assert_array_equal(belief.mean, track.means[number])
        np.testing.assert_array_equal(belief.covariance, track.covariances[number])
        np.testing.assert_array_equal(other.belief.mean, belief.mean)
    assert particles.weights.sum() == pytest.approx(1.0)
    particles.reset()
    np.testing.assert_allclose(particles.weights, 0.01)
    assert np.ptp(particles.places) > 80.0
    assert not particles.belief.identifiable
    assert particles.follow(np.zeros((0, 2)), []).means.shape == (0, 2)


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"places": [[0.0], [1.0]]}, r"places must have shape \(\.\.\., 2\)"),
        ({"senses": [1.0, 2.0]}, r"senses must have shape \(n_observations"),
        ({"senses": [[1.0]]}, "as many, but there are 2 and 1"),
        ({"length": -1.0}, "length must be a positive"),
        ({"width": 0.0}, "width must be positive"),
        ({"gate": 0.0}, "gate must be positive"),
        ({"num_particles": 1}, "num_particles must be"),
        ({"kidnapped": 1.0}, "kidnapped must be a probability"),
        ({"resample_below": 1.0}, "resample_below must lie strictly"),
        ({"largest_radius": 0.0}, "largest_radius must be a positive"),
        ({"hold": 0}, "hold must be"),
        ({"spacing": 0.0}, "spacing must be a positive"),
        ({"spacing": 1e-4}, "greater spacing"),
        ({"region": [[0.0, 0.0], [0.0, 1.0]]}, "lower left and the upper right"),
        ({"region": [0.0, 1.0]}, "lower left and the upper right"),
    ],
)
def test_what_makes_no_particles_is_refused(arguments, message):
    given_ = {"places": np.eye(2), "senses": np.ones((2, 1)), "odometry": COMPASS, "length": 9.0}
    with pytest.raises(ValueError, match=message):
        Particles(**(given_ | arguments))


def test_what_is_no_step_is_refused():
    with pytest.raises(TypeError, match="odometry must be an Odometry, not float"):
        Particles(np.eye(2), np.ones((2, 1)), 0.1, length=9.0)
    known = (np.eye(2), np.ones((2, 1)))
    particles = Particles(*known, COMPASS, length=9.0)
    with pytest.raises(ValueError, match="displacement must be one"):
        particles.step([[0.0, 1.0]])
    with pytest.raises(ValueError, match=r"sense must be one, of shape \(1,\)"):
        particles.step([0.0, 1.0], [[1.0]])
    with pytest.raises(ValueError, match=r"sense must have shape \(\.\.\., 1\)"):
        particles.step([0.0, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="as many senses"):
        particles.follow([[0.0, 1.0]], [])
    with pytest.raises(TypeError, match="made of Particles and a Tracker"):
        Finder(particles, particles)
    with pytest.raises(ValueError, match="one odometry"):
        Finder(particles, Tracker(*known, GYRO, length=9.0))
