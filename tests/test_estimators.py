"""The memory as an estimator: scikit-learn's own checks, and what people's ground asks for."""

import pickle

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from benchmarks import ground_data
from tree_world.estimators import SpatialMemoryRegressor
from tree_world.models.memory import ReadOptions, SpatialMemory
from tree_world.models.memory.recall.noise import smoothness, turned


@pytest.mark.parametrize(
    "estimator",
    [
        SpatialMemoryRegressor(),
        SpatialMemoryRegressor(order="leave-one-out", axes="own", per_output=False),
    ],
    ids=["as it comes", "otherwise"],
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_finds_nothing_wrong(estimator, monkeypatch):
    """All its checks; one needs SciPy told to take arrays of other kinds, of which it asks this."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    done = check_estimator(estimator, on_fail=None)
    assert len(done) > 50
    failed = [
        (each["check_name"], each["exception"]) for each in done if each["status"] != "passed"
    ]
    assert failed == []


def waves(places, length):
    """Sum of plane waves: a smooth field, whose correlation is a Gaussian of this length."""
    generator = np.random.default_rng(7)
    frequencies = generator.normal(0, 1 / length, (64, places.shape[1]))
    phases = generator.uniform(0, 2 * np.pi, 64)
    return np.cos(places @ frequencies.T + phases).sum(axis=1) * np.sqrt(2 / 64)


def ground(number=300, seed=0, noise=0.3, outputs=1, side=1000.0):
    generator = np.random.default_rng(seed)
    places = generator.uniform(0, side, (number, 2))
    senses = np.stack([waves(places, 80.0 * (1 + k)) for k in range(outputs)], -1)
    senses += generator.normal(0, noise, senses.shape)
    return places, senses[:, 0] if outputs == 1 else senses


# --- what is predicted ----------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["constant", "linear", "kriging", "leave-one-out"])
def test_a_field_is_told_but_for_its_noise(order):
    places, senses = ground(400)
    asked, truth = ground(300, seed=1)
    model = SpatialMemoryRegressor(order).fit(places, senses)
    assert model.score(asked, truth) > 0.7  # of 0.92 that can be told
    assert np.isfinite(model.predict([[1e7, -1e7]])).all()


def test_predictions_are_what_a_memory_reads():
    places, senses = ground(100, outputs=2)
    model = SpatialMemoryRegressor(deviation=40.0, error=None).fit(places, senses)
    asked = places[:7] + 5.0
    assert len(model.memories_) == 1
    how = ReadOptions(order="linear")
    read = model.memory_.read(model.to_memory(asked), 40.0, how=how)
    np.testing.assert_allclose(model.predict(asked), read, atol=1e-5)
    np.testing.assert_array_equal(model.deviation_, np.full((2, 2), 40.0))


def test_coordinates_of_millions_of_metres_lose_nothing():
    places, senses = ground(200)
    places = np.round(places, 2)
    far = np.array([3_500_000.0, 5_400_000.0])
    asked = np.round(ground(50, seed=2)[0], 2)
    near_by = SpatialMemoryRegressor().fit(places, senses).predict(asked)
    far_off = SpatialMemoryRegressor().fit(places + far, senses).predict(asked + far)
    np.testing.assert_allclose(far_off, near_by, atol=1e-7)


def test_each_output_has_its_own_width_unless_told_otherwise():
    places, senses = ground(400, outputs=3)
    each = SpatialMemoryRegressor().fit(places, senses)
    widths = each.deviation_.prod(axis=1)
    assert widths[2] > widths[0]
    assert len(each.memory_) == 400
    assert each.memory_.sensory_dim == 3
    alone = SpatialMemoryRegressor().fit(places, senses[:, 1])
    np.testing.assert_allclose(each.predict(places)[:, 1], alone.predict(places), atol=1e-9)
    np.testing.assert_allclose(
        each.predict(places, return_std=True)[1][:, 1], alone.predict(places, return_std=True)[1]
    )
    shared = SpatialMemoryRegressor(per_output=False).fit(places, senses)
    assert len(shared.memories_) == 1
    assert (shared.deviation_ == shared.deviation_[0]).all()


def test_units_of_outputs_do_not_matter():
    places, senses = ground(150, outputs=2)
    scales = np.array([1e-3, 1e5])
    for per_output in (True, False):
        model = SpatialMemoryRegressor(per_output=per_output)
        one = model.fit(places, senses).predict(places)
        other = model.fit(places, senses * scales + 1e4).predict(places)
        np.testing.assert_allclose((other - 1e4) / scales, one, atol=1e-4)


def test_a_river_is_found_and_followed():
    """Along one direction the field changes six times more slowly."""
    generator = np.random.default_rng(0)
    places, asked = (generator.uniform(0, 1000, (number, 2)) for number in (250, 400))
    turn = np.deg2rad(35)

    def field(where):
        return waves(turned(where, turn) / np.array([3.0, 0.5]), 150.0)

    senses = field(places) + generator.normal(0, 0.3, 250)
    model = SpatialMemoryRegressor().fit(places, senses)
    off = (model.turn_[0] - turn + np.pi / 4) % np.pi - np.pi / 4  # an axis has no direction
    assert abs(off) < 0.15
    assert model.deviation_[0, 0] / model.deviation_[0, 1] > 3
    alike = SpatialMemoryRegressor(axes="alike").fit(places, senses)
    errors = [np.square(one.predict(asked) - field(asked)).mean() for one in (model, alike)]
    assert errors[0] < 0.85 * errors[1]
    back = model.from_memory(model.memory_[0].observations().locations)
    np.testing.assert_allclose(back, places, atol=1e-9)
    own = SpatialMemoryRegressor(axes="own").fit(places, senses)
    assert own.turn_ == [0.0]


def test_where_all_directions_are_alike_axes_stay_so():
    places, senses = ground(250)
    found = smoothness(places, senses[:, None])
    np.testing.assert_array_equal(found.stretch, [[1.0, 1.0]])


def test_the_evidence_is_that_of_a_gaussian_process():
    """In plain numbers: that a field is as likely as a normal vector with this covariance."""
    import scipy.stats

    places, senses = ground(60)
    found = smoothness(places, senses[:, None])
    told = turned(places, found.turn[0]) / found.stretch[0]
    squares = np.square(told[:, None] - told[None]).sum(axis=-1)

    def density(length, nugget, amplitude):
        covariance = np.exp(-squares / (2 * length**2)) + nugget**2 * np.eye(60)
        rest = senses - senses.mean()
        return scipy.stats.multivariate_normal.logpdf(rest, cov=amplitude**2 * covariance)

    best = density(found.length[0], found.nugget[0], found.amplitude[0])
    for factor in (0.8, 1.25):
        assert density(found.length[0] * factor, found.nugget[0], found.amplitude[0]) < best
        assert density(found.length[0], found.nugget[0] * factor, found.amplitude[0]) < best
        assert density(found.length[0], found.nugget[0], found.amplitude[0] * factor) < best


def test_the_search_finds_the_greatest_evidence_of_two():
    """Of the cadmium of the Meuse it is great at a long length, and where axes are stretched."""
    import scipy.optimize

    ground = ground_data.meuse()
    cadmium = ground.senses[:, :1]
    generator = np.random.default_rng(0)
    for _ in range(2):
        which = generator.permutation(len(cadmium))[:140]
        places, senses = ground.places[which], cadmium[which]
        rest = (senses - senses.mean())[:, 0]

        def evidence(point, places=places, rest=rest):
            (length, nugget), (u, v) = np.exp(point[:2]), point[2:]
            stretch = np.exp(np.hypot(u, v) * np.array([1.0, -1.0]))
            told = turned(places, 0.5 * np.arctan2(v, u)) / stretch
            squares = np.square(told[:, None] - told[None]).sum(axis=-1)
            matrix = np.exp(-squares / (2 * length**2)) + nugget**2 * np.eye(len(rest))
            power = rest @ np.linalg.solve(matrix, rest) / len(rest)
            return -0.5 * (len(rest) * np.log(power) + np.linalg.slogdet(matrix)[1])

        found = smoothness(places, senses)
        (size, _), turn = np.log(found.stretch[0]), 2 * found.turn[0]
        point = [np.log(found.length[0]), np.log(found.nugget[0])]
        told = evidence(np.array([*point, size * np.cos(turn), size * np.sin(turn)]))
        others = [
            scipy.optimize.minimize(lambda point: -evidence(point), start, method="Nelder-Mead")
            for start in ([5.0, -0.8, -0.3, 0.5], [5.8, 0.4, 0.0, 0.0])
        ]
        assert told >= max(-other.fun for other in others) - 0.1


# --- how far it may be off ------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["linear", "constant", "kriging"])
def test_intervals_hold_what_they_promise(order):
    inside, number = 0, 0
    for seed in range(6):
        places, senses = ground(200, seed=seed, noise=0.2 + 0.2 * seed)
        asked, truth = ground(200, seed=seed + 100, noise=0.2 + 0.2 * seed)
        mean, std = SpatialMemoryRegressor(order).fit(places, senses).predict(asked, True)
        inside += (np.abs(mean - truth) <= 1.645 * std).sum()
        number += len(truth)
    assert 0.87 < inside / number < 0.93


def test_who_is_far_from_everything_is_less_sure():
    places, senses = ground(200)
    model = SpatialMemoryRegressor().fit(places, senses)
    _, std = model.predict([[500.0, 500.0], [3000.0, 3000.0]], return_std=True)
    assert std[1] > 1.5 * std[0]


def test_errors_must_be_prepared():
    model = SpatialMemoryRegressor(error=None).fit(*ground(50))
    with pytest.raises(ValueError, match="error='kriging'"):
        model.predict([[0.0, 0.0]], return_std=True)


# --- observations as they come --------------------------------------------------------------------


def test_observations_may_come_one_after_the_other():
    places, senses = ground(120)
    at_once = SpatialMemoryRegressor(deviation=60.0).fit(places, senses)
    bit_by_bit = SpatialMemoryRegressor(deviation=60.0)
    for start in range(0, 120, 7):
        part = slice(start, start + 7)
        bit_by_bit.partial_fit(places[part], senses[part])
    assert len(bit_by_bit.memory_) == 120
    np.testing.assert_allclose(bit_by_bit.predict(places), at_once.predict(places), atol=1e-6)


def test_what_was_chosen_is_chosen_anew_when_there_is_twice_as_much():
    places, senses = ground(400)
    model = SpatialMemoryRegressor().partial_fit(places[:30], senses[:30])
    assert model.tuned_at_ == 30
    first = model.deviation_.copy()
    model.partial_fit(places[30:50], senses[30:50])
    assert model.tuned_at_ == 30
    model.partial_fit(places[50:], senses[50:])
    assert model.tuned_at_ == len(model.memory_) == 400
    assert (model.deviation_ != first).any()
    whole = SpatialMemoryRegressor().fit(places, senses)
    np.testing.assert_allclose(model.deviation_, whole.deviation_)
    mean, std = model.predict(places[:9], return_std=True)
    theirs, their_std = whole.predict(places[:9], return_std=True)
    np.testing.assert_allclose(mean, theirs, atol=1e-6)
    np.testing.assert_allclose(std, their_std, rtol=1e-6)


def test_an_interrupt_between_memories_loses_nothing(monkeypatch):
    """All that came to the first memory comes to the others, too; a fit happens, or does not."""
    places, senses = ground(200, outputs=3)
    model = SpatialMemoryRegressor(max_memory_size=500).fit(places[:150], senses[:150])
    assert len(model.memories_) > 1
    whole = pickle.loads(pickle.dumps(model)).partial_fit(places[150:], senses[150:])
    before, write = model.predict(places), SpatialMemory.write

    def interrupt(at, work, *given):
        calls = []

        def interrupted(memory, *arguments):
            calls.append(memory)
            if len(calls) == at:
                raise KeyboardInterrupt
            return write(memory, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(SpatialMemory, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                work(*given)

    for at in (1, 2):
        interrupt(at, model.fit, places[:90] + 7e4, senses[:90])
        np.testing.assert_array_equal(model.predict(places), before)
    interrupt(1, model.partial_fit, places[150:], senses[150:])
    np.testing.assert_array_equal(model.predict(places), before)
    interrupt(2, model.partial_fit, places[150:], senses[150:])
    np.testing.assert_allclose(model.predict(places), whole.predict(places), atol=1e-9)
    assert {len(memory) for memory in model.memories_} == {200}


def test_senses_of_hundreds_of_numbers_share_what_they_can():
    """As scents do: one length and one noise for all, and a memory for each width."""
    generator = np.random.default_rng(0)
    places, senses = ground(120, outputs=3)
    many = senses @ generator.normal(size=(3, 100))
    model = SpatialMemoryRegressor().fit(places, many)
    assert len(set(model.smoothness_.length)) == 1
    assert len(model.memories_) < 30
    mean, std = model.predict(places[:5] + 1.0, return_std=True)
    assert mean.shape == std.shape == (5, 100)
    assert (std > 0).all()


def test_the_oldest_make_room():
    places, senses = ground(60)
    model = SpatialMemoryRegressor(deviation=50.0, max_memory_size=20)
    model.fit(places[:40], senses[:40]).partial_fit(places[40:], senses[40:])
    last = SpatialMemoryRegressor(deviation=50.0).fit(places[40:], senses[40:])
    np.testing.assert_allclose(model.predict(places), last.predict(places), atol=1e-6)


def test_uncertain_places_count_for_less():
    places = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [300.0, 300.0]])
    senses, sds = np.array([0.0, 1.0, 1.0, 1.0]), np.array([50.0, 1.0, 1.0, 1.0])
    model = SpatialMemoryRegressor("constant", 10.0)
    exact = model.fit(places, senses).predict([[0.0, 0.0]])
    unsure = model.fit(places, senses, location_sds=sds).predict([[0.0, 0.0]])
    assert unsure > exact + 0.2
    again = clone(model).partial_fit(places[:2], senses[:2], location_sds=sds[:2])
    again.partial_fit(places[2:], senses[2:], location_sds=sds[2:])
    np.testing.assert_allclose(again.predict([[0.0, 0.0]]), unsure, atol=1e-9)


def test_where_nothing_is_near_enough_it_is_the_mean_of_all():
    places, senses = ground(50)
    model = SpatialMemoryRegressor(deviation=30.0, match_threshold=200.0).fit(places, senses)
    np.testing.assert_allclose(model.predict([[9e4, 9e4]]), senses.mean())


# --- manners --------------------------------------------------------------------------------------


def test_it_goes_through_pipelines_searches_copies_and_files():
    places, senses = ground(90)
    model = SpatialMemoryRegressor("constant", error=None)
    piped = make_pipeline(StandardScaler(), model).fit(places, senses)
    assert piped.score(places, senses) > 0.5
    search = GridSearchCV(model, {"order": ["constant", "linear"]}, cv=3).fit(places, senses)
    assert search.best_params_["order"] in ("constant", "linear")
    assert len(cross_val_score(model, places, senses, cv=3)) == 3
    fitted = SpatialMemoryRegressor().fit(places, senses)
    again = pickle.loads(pickle.dumps(fitted))
    for one, other in zip(
        again.predict(places, return_std=True), fitted.predict(places, return_std=True), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert clone(fitted).get_params() == fitted.get_params()


def test_deviations_of_places_are_passed_on():
    places, senses = ground(60)
    sds = np.full(60, 3.0)
    with sklearn.config_context(enable_metadata_routing=True):
        model = SpatialMemoryRegressor(error=None).set_fit_request(location_sds=True)
        piped = make_pipeline(StandardScaler(with_std=False), model)
        piped.fit(places, senses, location_sds=sds)
        written = piped[-1].memory_[0].observations().location_sds.numpy()
        np.testing.assert_allclose(written, np.hypot(3.0, np.broadcast_to(
            piped[-1].deviation_, written.shape
        )))  # fmt: skip


def test_degrees_are_refused_with_a_way_out():
    generator = np.random.default_rng(0)
    degrees = generator.uniform([5.9, 45.8], [10.5, 47.8], (30, 2))  # Switzerland
    senses = generator.normal(size=30)
    for given in (degrees, degrees[:, ::-1]):
        with pytest.raises(ValueError, match="Project them first"):
            SpatialMemoryRegressor().fit(given, senses)
    SpatialMemoryRegressor(coordinates="plane").fit(degrees, senses)
    import pandas

    table = pandas.DataFrame(degrees - [8.0, 46.0], columns=["Lon", "latitude"])
    with pytest.raises(ValueError, match="named Lon, latitude"):
        SpatialMemoryRegressor().fit(table, senses)
    for plain in (generator.uniform(0, 1, (30, 2)), generator.uniform(0, 60, (30, 2))):
        SpatialMemoryRegressor().fit(plain, senses)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"order": "cubic"}, "order must be one of"),
        ({"deviation": "wide"}, "deviation must be"),
        ({"deviation": -3.0}, "deviation"),
        ({"deviation": [1.0, 2.0, 3.0]}, "deviation"),
        ({"order": "kriging", "deviation": 5.0}, "leave it out"),
        ({"axes": "round"}, "axes must be one of"),
        ({"error": "yes"}, "error must be"),
        ({"coordinates": "moon"}, "coordinates must be"),
        ({"match_threshold": 0.0}, "match_threshold"),
        ({"order": "kriging", "match_threshold": 5.0}, "leave it out"),
        ({"max_memory_size": 0}, "max_memory_size"),
        ({"most": 0}, "most"),
    ],
)
def test_choices_that_cannot_be_meant_are_named(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        SpatialMemoryRegressor(**wrong).fit(*ground(20))


def test_what_is_given_later_must_fit_and_loses_nothing():
    places, senses = ground(40)
    model = SpatialMemoryRegressor().fit(places, senses)
    before = model.predict(places)
    for wrong in (
        (places[:, :1], senses),
        (places, np.stack([senses, senses], -1)),
        (places, np.full(40, np.nan)),
    ):
        with pytest.raises(ValueError, match=r"features|outputs|NaN"):
            model.partial_fit(*wrong)
    with pytest.raises(ValueError, match="location_sds"):
        model.partial_fit(places, senses, location_sds=-1.0)
    np.testing.assert_array_equal(model.predict(places), before)
    with pytest.raises(NotFittedError):
        SpatialMemoryRegressor().predict(places)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("order", ["constant", "linear", "kriging", "leave-one-out"])
def test_few_places_or_senses_that_never_change_are_no_error(order, number):
    places = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])[:number]
    mean, std = (
        SpatialMemoryRegressor(order)
        .fit(places, np.full(number, 4.0))
        .predict([[1.0, 1.0], [50.0, 0.0]], return_std=True)
    )
    np.testing.assert_allclose(mean, 4.0)
    np.testing.assert_allclose(std, 0.0, atol=1e-9)
    same = SpatialMemoryRegressor(order).fit(np.zeros((3, 2)), [1.0, 2.0, 6.0])
    np.testing.assert_allclose(same.predict([[0.0, 0.0], [1.0, 1.0]]), 3.0)
