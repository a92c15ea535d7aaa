"""The figure of the width of reads: script and library say the same."""

import math

import numpy as np
import pytest
import torch

from tests.figures.node import answers, kilobytes
from tree_world.models.memory import SpatialMemory
from tree_world.models.memory.kernel.affinity import log_affinity
from tree_world.models.memory.tuning import tune, usual_deviations
from tree_world.plotting import MapGrid, data
from tree_world.plotting.dark import COLORMAPS
from tree_world.plotting.data.width import MOST, ORDERS
from tree_world.plotting.style import PAPER_TO_LEAF

NAMES = ("ln lead", "height", "share")
CORNER = np.array([178_600.0, 329_700.0])  # far from the origin, as on a map of a country
SCALES = {"light": PAPER_TO_LEAF, "dark": COLORMAPS[PAPER_TO_LEAF.name]}


def ground(number=155, seed=0):
    """Places along a bent strip, and three numbers in other units that change with them."""
    random = np.random.default_rng(seed)
    along, across = random.uniform(0, 1, number), random.normal(0, 1, number)
    x, y = 2000 * along + 350 * across, 3600 * along**2 + 150 * across
    field = np.sin(x / 400) + np.cos(y / 700) + 0.4 * random.normal(0, 1, number)
    senses = np.column_stack([6 + field, 1000 + 30 * field * along, 1e-3 * across])
    return CORNER + np.column_stack([x, y]), senses


PLACES, SENSES = ground()


def made(**changed):
    given = {"places": PLACES, "senses": SENSES, "names": NAMES}
    return data.width(**given | changed)


@pytest.fixture(scope="module")
def figure():
    return made(deviation=100.0, order="linear")


def settings(state, number):
    random = np.random.default_rng(0)
    low, high = state["deviations"][0], state["deviations"][-1]
    edge = state["half_width"]
    ends = [
        {"place": place, "deviation": deviation, "sense": sense, "order": order, "paper": paper}
        for place in ([-edge, edge], state["places"][7])
        for deviation in (low, state["deviation"], high)
        for sense in range(len(NAMES))
        for order in ORDERS
        for paper in (state["colours"][scheme]["paper"] for scheme in SCALES)
    ]
    drawn = [
        {
            "place": random.uniform(-edge, edge, 2).tolist(),
            "deviation": float(np.exp(random.uniform(math.log(low), math.log(high)))),
            "sense": int(random.integers(len(NAMES))),
            "order": ORDERS[random.integers(2)],
        }
        for _ in range(number - len(ends))
    ]
    return ends + drawn


def scale_of(state, values):
    paper = values.get("paper", state["colours"]["light"]["paper"])
    (scheme,) = (name for name in SCALES if state["colours"][name]["paper"] == paper)
    return SCALES[scheme]


def test_every_answer_is_that_of_the_library(figure):
    state = figure.data
    asked = settings(state, 210)
    found_all = answers("width", state, asked)
    cells = math.isqrt(len(found_all[0]["field"]))
    grid = MapGrid(state["half_width"], cells)
    places, senses = torch.tensor(state["places"]), torch.tensor(state["senses"])
    for values, found in zip(asked, found_all, strict=True):
        sense, deviation, order = (values[name] for name in ("sense", "deviation", "order"))
        column = SENSES[:, sense]
        sd, low, extent = column.std(), column.min(), np.ptp(column)
        memory = SpatialMemory(2, 1)
        memory.write(places, deviation, senses[:, [sense]] - senses[:, sense].mean())
        middle = float(senses[:, sense].mean())
        both = torch.full(places.shape, deviation, dtype=torch.float64)
        there = torch.cat([grid.points, torch.tensor([values["place"]])])
        read = memory.read_with_support(there, deviation, order=order)
        mean = read.mean[:, 0].double().numpy() + middle
        largest = max(np.abs(mean - middle).max(), extent)
        np.testing.assert_allclose(found["field"], mean[:-1], atol=1e-3 * largest)
        assert found["value"] == pytest.approx(mean[-1], abs=1e-3 * largest)
        number = float(read.effective_sample_size[-1])
        affinity = log_affinity(there[-1:].double(), both[:1], places.double(), both)
        weights = affinity.softmax(dim=-1)[0]
        np.testing.assert_allclose(found["weights"], weights, atol=1e-3 * float(weights.max()))
        assert found["effective_number"] == pytest.approx(number, rel=1e-3)
        scale = scale_of(state, values)
        for shown, truly in (("cells", mean[:-1]), ("discs", column)):
            colours = scale(np.clip((truly - low) / extent, 0, 1))[:, :3]
            np.testing.assert_allclose(found[shown], colours, atol=2 / 255)
        left_out = tune(PLACES, SENSES[:, [sense]], order=order, deviations=[deviation])
        error = math.sqrt(left_out.squared_errors[0, 0])
        assert found["error"] == pytest.approx(error, abs=1e-3 * sd)
        # As uncertain as that are both places, of which the kernel adds the variances.
        assert found["width"] == pytest.approx(math.hypot(deviation, deviation))


def test_curves_and_their_least_are_those_of_the_library(figure):
    state = figure.data
    asked = [{"sense": sense} for sense in range(len(NAMES))]
    tried = usual_deviations(PLACES)
    np.testing.assert_allclose(state["deviations"], tried, rtol=1e-4)
    for order in ORDERS:
        known = tune(PLACES, SENSES, order=order, deviations=tried)
        errors = np.sqrt(known.squared_errors)
        for sense, found in enumerate(answers("width", state, asked)):
            curve = errors[:, sense]
            np.testing.assert_allclose(
                found["curves"][order], curve, atol=1e-3 * SENSES[:, sense].std()
            )
            least = found["least"][order]
            assert least["error"] == pytest.approx(curve.min(), rel=1e-3)
            near = errors[np.isclose(tried, least["deviation"], rtol=1e-4), sense]
            assert near == pytest.approx(curve.min(), rel=1e-3)
            margin = np.sort(curve)[1] / curve.min() - 1
            if margin > 5e-3:
                best = known.best_of_each()[sense, 0]
                assert least["deviation"] == pytest.approx(best, rel=1e-4)


def test_a_dot_lies_on_its_curve(figure):
    state = figure.data
    asked = [
        {"deviation": deviation, "order": order, "sense": 1}
        for order in ORDERS
        for deviation in state["deviations"]
    ]
    for number, found in enumerate(answers("width", state, asked)):
        at = number % len(state["deviations"])
        assert found["error"] == pytest.approx(found["curves"][asked[number]["order"]][at])


def test_places_are_told_from_their_middle(figure):
    state = figure.data
    places = np.array(state["places"])
    np.testing.assert_allclose(places.min(axis=0), -places.max(axis=0), atol=0.2)
    np.testing.assert_allclose(np.diff(places, axis=0), np.diff(PLACES, axis=0), atol=0.11)
    assert np.abs(places).max() < state["half_width"]
    asked = made(place=PLACES[3]).data["place"]
    np.testing.assert_allclose(asked, state["places"][3], atol=0.5)
    assert state["place"] == [0.0, 0.0]


def test_what_was_sensed_keeps_its_digits(figure):
    np.testing.assert_allclose(
        (np.array(figure.data["senses"]) - SENSES) / SENSES.std(axis=0), 0, atol=1e-3
    )
    assert figure.data["digits"] == [2, 1, 5]
    assert made(senses=1e5 * SENSES).data["digits"] == [0, 0, 0]


def test_the_first_deviation_is_in_the_middle_of_those_tried():
    state = made().data
    tried = usual_deviations(PLACES)
    assert state["deviation"] == tried[len(tried) // 2]
    assert state["order"] == "constant"
    assert made(deviations=[10.0, 90.0, 100.0]).data["deviation"] == 90.0


def test_the_state_is_small(figure):
    assert kilobytes(figure.data) <= 25
    places, senses = ground(MOST)
    assert kilobytes(data.width(places, senses, NAMES).data) <= 25


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"places": PLACES[:100]}, "as many"),
        ({"places": PLACES[:2], "senses": SENSES[:2]}, "from 3 to 300"),
        (dict(zip(("places", "senses"), ground(MOST + 1), strict=True)), "from 3 to 300"),
        ({"places": np.column_stack([PLACES, PLACES])}, "places of the plane"),
        ({"places": np.ones_like(PLACES)}, "must differ"),
        ({"places": PLACES * np.nan}, "places"),
        ({"senses": SENSES * np.inf}, "senses"),
        ({"senses": SENSES * [1.0, 0.0, 1.0]}, "height must vary"),
        ({"names": NAMES[:2]}, "one for each number"),
        ({"names": ("zinc", "zinc", "lead")}, "differ"),
        ({"names": ("zinc", "", "lead")}, "names must"),
        ({"names": "abc"}, "names must"),
        ({"deviations": [10.0]}, "two or more"),
        ({"deviations": [10.0, 10.0]}, "that rise"),
        ({"deviations": [0.0, 10.0]}, "positive"),
        ({"deviations": [1.0, math.inf]}, "two or more"),
        ({"deviations": [[1.0, 2.0]]}, "two or more"),
        ({"deviation": 1.0}, "slider"),
        ({"deviation": 1e5}, "slider"),
        ({"order": "kriging"}, "order must be one of"),
        ({"place": [0.0, 0.0]}, "place must be"),
        ({"place": [0.0, 0.0, 0.0]}, "place must be"),
    ],
)
def test_what_cannot_be_shown_is_refused(changed, told):
    with pytest.raises(ValueError, match=told):
        made(**changed)
