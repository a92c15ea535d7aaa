"""Data of real ground, those who tell it, and how they are compared."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from benchmarks import ground_data, ground_rivals, study_ground
from benchmarks.ground_data import Ground
from benchmarks.ground_rivals import RIVALS
from benchmarks.studies import FleetingParts

WITHOUT_DEVIATION = ("inverse distances", "kernel regression, statsmodels")
PACKAGES = {
    "kriging, scikit-gstat": "skgstat",
    "kriging, PyKrige": "pykrige",
    "kernel regression, statsmodels": "statsmodels",
}


def rival(name):
    pytest.importorskip(
        PACKAGES.get(name, "sklearn"), reason="make setup installs what the benchmarks need"
    )
    return RIVALS[name]


# --- data -----------------------------------------------------------------------------------------


def test_the_meuse_is_what_it_is_known_for():
    shown = warnings.showwarning
    ground = ground_data.meuse()
    assert warnings.showwarning is shown
    assert ground.places.shape == (155, 2)
    assert ground.senses.shape == (155, 4)
    assert 3500 < np.ptp(ground.places[:, 1]) < 4500  # metres
    assert np.exp(ground.senses[0]) == pytest.approx([11.7, 85, 299, 1022])  # as its table begins


NAMES = ("a", "b")
GOOD = {"places": np.zeros((3, 2)), "senses": np.zeros((3, 2))}
TEST = {"test_places": np.zeros((5, 2)), "test_senses": np.zeros((5, 2))}


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"places": np.zeros((3, 3))}, "places must have the shape"),
        ({"senses": np.zeros((2, 2))}, r"senses \(n, 2\)"),
        ({"senses": np.zeros((3, 1))}, r"senses \(n, 2\)"),
        ({"senses": np.full((3, 2), np.nan)}, "finite"),
        ({"places": np.zeros((3, 2), dtype=np.float32)}, "float64"),
        ({**TEST, "test_senses": None}, "come together"),
        ({**TEST, "test_places": np.zeros((4, 2))}, "field, test: places"),
    ],
)
def test_a_container_refuses_what_does_not_fit(wrong, complaint):
    Ground("field", names=NAMES, **GOOD, **TEST)
    with pytest.raises(ValueError, match=complaint):
        Ground("field", names=NAMES, **{**GOOD, **wrong})


def table(**columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def test_sets_are_taken_apart_and_brought_to_metres(monkeypatch):
    days = table(x=[1.0, 2.0], y=[3.0, 4.0], dayx=[5.0, 6.0], joker=[7.0, 8.0])
    metals = {metal: [float(number)] for number, metal in enumerate(ground_data.JURA_METALS)}
    rain = table(ID=[7, 8, 9], rainfall=[70, 80, 90])
    stations = np.arange(6).reshape(3, 2)
    files = {
        "sic97": {
            "sic_full": SimpleNamespace(coords=stations, data=rain),
            "sic_obs": SimpleNamespace(coords=stations[1:2], data=rain[1:2]),
        },
        "sic2004": {"sic.val": days[:1], "sic.test": days[1:]},
        "jura": {
            "prediction.dat": table(Xloc=[2.5], Yloc=[0.5], **metals),
            "validation.dat": table(Xloc=[1.5], Yloc=[3.5], **metals),
        },
    }
    monkeypatch.setattr(ground_data, "tables_of", files.__getitem__)
    swiss, jura = ground_data.sic97(), ground_data.jura()
    assert swiss.places.tolist() == [[2, 3]]
    assert swiss.senses.tolist() == [[80]]
    assert swiss.test_places.tolist() == [[0, 1], [4, 5]]
    assert swiss.test_senses.tolist() == [[70], [90]]
    assert jura.places.tolist() == [[2500, 500]]
    assert jura.test_places.tolist() == [[1500, 3500]]
    assert jura.test_senses.tolist() == [list(range(7))]
    for emergency, here, there in ((False, 5, 6), (True, 7, 8)):
        german = ground_data.sic2004(emergency)
        assert german.senses.tolist() == [[here]]
        assert german.test_places.tolist() == [[2, 4]]
        assert german.test_senses.tolist() == [[there]]


def test_sets_have_the_sizes_that_their_documentation_says():
    if not (ground_data.FOLDER / "unpacked").exists():
        pytest.skip("python -m benchmarks.study_ground fetches the data of R's gstat")
    pytest.importorskip("rdata", reason="make setup installs what the benchmarks need")
    sizes = {
        name: (len(ground.places), len(ground.test_places), len(ground.names))
        for name, ground in ((name, load()) for name, load in study_ground.SETS.items())
    }
    assert sizes == {
        "SIC97": (100, 367, 1),
        "SIC2004, ordinary day": (200, 808, 1),
        "SIC2004, emergency": (200, 808, 1),
        "Jura": (259, 100, 7),
    }


def test_what_cannot_be_fetched_says_what_was_tried_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ground_data.NotFetched) as caught:
        ground_data.gstat_folder(tmp_path / "ground")
    told = str(caught.value)
    assert "'apt-get download r-cran-gstat'" in told
    assert str(tmp_path / "ground" / "unpacked") in told


# --- rivals ---------------------------------------------------------------------------------------


@pytest.fixture
def few_settings(monkeypatch):
    """As many settings as show that there is a choice."""
    monkeypatch.setattr(ground_rivals, "GSTAT_MODELS", ("spherical", "gaussian"))
    monkeypatch.setattr(ground_rivals, "GSTAT_ESTIMATORS", ("matheron",))
    monkeypatch.setattr(ground_rivals, "GSTAT_LAGS", (10,))
    monkeypatch.setattr(ground_rivals, "GSTAT_NEIGHBOURS", (16, 32))
    monkeypatch.setattr(ground_rivals, "PYKRIGE_MODELS", ("linear", "spherical"))
    monkeypatch.setattr(ground_rivals, "PYKRIGE_LAGS", (12,))
    monkeypatch.setattr(ground_rivals, "STARTS", 0)


def simulated(known=50, asked=150):
    """A smooth field with noise: training places and values, test places and new measurements."""
    generator = np.random.default_rng(0)
    places = np.array([180_000.0, 330_000.0]) + generator.uniform(0, 1000, (known + asked, 2))
    values = 5 + np.sin(places[:, 0] / 150) + np.cos(places[:, 1] / 200)
    values += generator.normal(0, 0.3, len(values))
    return places[:known], values[:known], places[known:], values[known:]


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_beats_the_mean_and_knows_how_far_it_is_off(name, few_settings, capfd, recwarn):
    known, values, asked, truth = simulated()
    shown, filters = warnings.showwarning, list(warnings.filters)
    mean, deviation = rival(name)(known, values, asked)
    assert (warnings.showwarning, list(warnings.filters)) == (shown, filters)
    assert capfd.readouterr().out == ""
    assert [str(warning.message) for warning in recwarn] == []
    assert mean.shape == truth.shape
    squares = float(((mean - truth) ** 2).mean())
    assert squares < 0.4 * truth.var()
    assert squares > 0.3**2 / 2  # nobody foresees the noise
    if name in WITHOUT_DEVIATION:
        assert deviation is None
    else:
        assert deviation.shape == truth.shape
        assert 0.8 < (abs(mean - truth) < scipy.stats.norm.ppf(0.95) * deviation).mean() < 0.98


def test_inverse_distances_are_those_of_least_error_when_each_place_is_left_out():
    known, values, asked, _ = simulated(20, 5)

    def told(places, senses, where, power, number):
        away = np.linalg.norm(places - where, axis=1)
        near = np.argsort(away)[:number]
        return np.average(senses[near], weights=away[near] ** -power)

    def error(setting):
        rest = [np.arange(len(known)) != one for one in range(len(known))]
        found = [
            told(known[r], values[r], where, *setting) for r, where in zip(rest, known, strict=True)
        ]
        return ((found - values) ** 2).mean()

    numbers = {min(number, len(known) - 1) for number in ground_rivals.NEIGHBOURS}
    best = min(((p, k) for p in ground_rivals.POWERS for k in numbers), key=error)
    expected = [told(known, values, where, *best) for where in asked]
    mean, _ = ground_rivals.inverse_distances(known, values, asked)
    assert mean == pytest.approx(expected, rel=1e-9)


def test_places_that_coincide_tell_each_other():
    places = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 3, axis=0)
    values = np.repeat([1.0, 2.0, 3.0], 3)
    mean, _ = ground_rivals.inverse_distances(places, values, places[::3] + 1e-12)
    assert mean == pytest.approx([1, 2, 3])


def test_settings_that_fail_are_left_out_and_if_all_do_it_is_said():
    def loss(setting):
        if setting == "bad":
            raise ZeroDivisionError("by nothing")
        return {"no number": np.nan, "worse": 2.0, "better": 1.0}[setting]

    assert ground_rivals.best_setting(["bad", "no number", "worse", "better"], loss) == "better"
    with pytest.raises(ground_rivals.NothingWorked, match="ZeroDivisionError: by nothing"):
        ground_rivals.best_setting(["no number", "bad"], loss)


# --- the study ------------------------------------------------------------------------------------


def test_scores_are_those_of_plain_formulas():
    generator = np.random.default_rng(0)
    mean, truth = generator.normal(size=(2, 9, 2))
    deviation = generator.uniform(0.2, 2, (9, 2))
    found = study_ground.scores((mean, deviation), truth)
    assert found["mae"] == pytest.approx([abs(mean - truth)[:, m].mean() for m in (0, 1)])
    assert found["rmse"] ** 2 == pytest.approx(found["mse"])
    for level, counts in found["inside"].items():
        low, high = scipy.stats.norm(mean, deviation).interval(int(level) / 100)
        assert counts.tolist() == ((low <= truth) & (truth <= high)).sum(axis=0).tolist()

    def integral(m, s, y):  # of the squared distance of the distribution function from a step
        below, _ = scipy.integrate.quad(lambda x: scipy.stats.norm.cdf(x, m, s) ** 2, m - 9, y)
        above, _ = scipy.integrate.quad(lambda x: scipy.stats.norm.sf(x, m, s) ** 2, y, m + 9)
        return below + above

    plain = np.vectorize(integral)(mean, deviation.clip(max=0.9), truth)
    assert study_ground.crps(mean, deviation.clip(max=0.9), truth) == pytest.approx(plain, rel=1e-6)
    assert set(study_ground.scores((mean, None), truth)) == {"mae", "mse", "rmse"}


def test_folds_that_share_places_tell_less_than_their_number():
    generator = np.random.default_rng(0)
    errors, baseline = generator.normal(size=(2, 50))
    found = study_ground.paired_interval(errors, baseline, 1 / 9)
    differences = errors - baseline
    squares = sum((one - differences.mean()) ** 2 for one in differences) / 49
    half = scipy.stats.t.ppf(0.975, 49) * np.sqrt((1 / 50 + 1 / 9) * squares)
    assert found["mean"] == pytest.approx(differences.mean())
    assert found["high"] - found["mean"] == pytest.approx(half)
    assert found["mean"] - found["low"] == pytest.approx(half)


def nearest(train_places, train_senses, test_places):
    away = np.linalg.norm(test_places[:, None] - train_places, axis=-1)
    return train_senses[away.argmin(axis=1)], np.ones((len(test_places), train_senses.shape[1]))


def mean_of_all(train_places, train_senses, test_places):
    return np.tile(train_senses.mean(axis=0), (len(test_places), 1)), None


@pytest.fixture
def methods(monkeypatch):
    """Two that need no search instead of all, one of them in place of the memory."""
    monkeypatch.setattr(study_ground, "OURS", {"ours": nearest})
    monkeypatch.setattr(study_ground, "METHODS", {"ours": nearest, "mean": mean_of_all})
    return ("ours", "mean")


def simulated_ground():
    known, values, asked, truth = simulated(40, 30)
    senses, tests = np.column_stack([values, -values]), np.column_stack([truth, -truth])
    return Ground("field", known, senses, NAMES, asked, tests)


def test_each_place_of_the_meuse_is_asked_once_in_each_repetition(methods, monkeypatch, tmp_path):
    ground = simulated_ground()
    monkeypatch.setattr(ground_data, "meuse", lambda: ground)
    found = study_ground.meuse(FleetingParts(tmp_path), methods, repetitions=2)
    assert found["tests"] == [[4] * 10] * 2
    for errors in found["methods"].values():
        assert errors["mse"].shape == (2, 2, 10)  # repetitions, senses, folds
    for repetition in range(2):
        divided = study_ground.divided(ground, repetition)
        assert all(not set(known) & set(asked) for known, asked in divided)
        assert sorted(one for _, asked in divided for one in asked) == list(range(40))
    rmse = found["rmse"]
    assert rmse["mean"] == pytest.approx(ground.senses.std(axis=0), rel=0.1)
    assert found["best_rivals"] == ["mean", "mean"]
    folds = {name: errors["rmse"][:, 1].ravel() for name, errors in found["methods"].items()}
    assert found["differences"]["ours"][1] == study_ground.paired_interval(
        folds["ours"], folds["mean"], 4 / 36
    )
    short = study_ground.meuse(FleetingParts(tmp_path), methods, 1, 1)
    assert short["methods"]["ours"]["mse"][0, :, 0] == pytest.approx(
        found["methods"]["ours"]["mse"][0, :, 0]
    )


def test_a_competition_asks_at_its_own_places(methods, monkeypatch, tmp_path):
    ground = simulated_ground()
    monkeypatch.setattr(study_ground, "SETS", {"field": lambda: ground})
    found = study_ground.competitions(FleetingParts(tmp_path), methods)["sets"]["field"]
    assert (found["train"], found["test"]) == (40, 30)
    expected = abs(ground.senses.mean(axis=0) - ground.test_senses).mean(axis=0)
    assert found["methods"]["mean"]["mae"] == pytest.approx(expected)
    assert len(found["methods"]["ours"]["inside"]["50"]) == 2


def test_sizes_grow_until_it_takes_too_long(methods, monkeypatch, tmp_path):
    monkeypatch.setattr(study_ground, "LONGEST_CALL", 0.0)
    found = study_ground.scale(FleetingParts(tmp_path), methods, (100, 200))
    assert found["sizes"] == {"ours": [100], "mean": [100]}
    monkeypatch.setattr(study_ground, "LONGEST_CALL", 60.0)
    found = study_ground.scale(FleetingParts(tmp_path), methods, (100, 200))
    assert found["sizes"] == {"ours": [100, 200], "mean": [100, 200]}
    assert found["rmse"]["mean"] == pytest.approx([1, 1], rel=0.2)
    assert found["exponents"]["ours"] is not None
    assert study_ground.exponent([1, 9, 10, 20, 40], [7, 7, 1, 4, 16]) == pytest.approx(2)
    assert study_ground.exponent([10], [1]) is None


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone says how much memory there is")
def test_who_wants_too_much_memory_is_left_out(methods, monkeypatch, tmp_path):
    def large(train_places, train_senses, test_places):
        if len(train_places) > 64:
            np.empty(2**27)
        return nearest(train_places, train_senses, test_places)

    monkeypatch.setitem(study_ground.METHODS, "ours", large)
    monkeypatch.setattr(study_ground, "LARGEST_CALL", 256.0)
    found = study_ground.scale(FleetingParts(tmp_path), ("ours",), (100, 200))
    assert found["sizes"]["ours"] == []
    assert found["left_out"]["ours"].startswith("100: more than 256 MiB")
    assert np.empty(2**27).size == 2**27  # and may be had again


def test_fields_of_all_sizes_are_the_same():
    places, senses, queries, truth = study_ground.field(50)
    assert senses.shape == truth.shape == (50, study_ground.SENSES)
    more = study_ground.field(2000)
    for few, many in zip((places, senses, queries, truth), more, strict=True):
        assert (few == many[:50]).all()
    assert more[3].std(axis=0) == pytest.approx(np.ones(study_ground.SENSES), rel=0.15)
    assert places.max() <= study_ground.SIDE
