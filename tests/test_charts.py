"""What is drawn of an agent's knowledge and fate must be what the arrays say."""

import warnings

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.patches import Circle, Rectangle

from tests import made_up_charts
from tree_world import plotting
from tree_world.plotting import dark
from tree_world.plotting.dark import drawn_for_dark
from tree_world.plotting.narrow import drawn_narrow, small_letters

pytestmark = pytest.mark.usefixtures("book_style")


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def pixel_at(ax, place):
    """Colour that is drawn at a place given in the units of the axes."""
    drawn = pixels(ax.figure)
    column, row_from_below = np.round(ax.transData.transform(place)).astype(int)
    return drawn[drawn.shape[0] - 1 - row_from_below, column]


def labelled(ax):
    """What is drawn under each name."""
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def in_legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# --- known ground --------------------------------------------------------------------------------

GRID = plotting.MapGrid(10.0, 2)
WEST = [True, False, True, False]


def share_of(ax, color, west, east):
    """Which share of a strip of a map has some colour."""
    drawn = pixels(ax.figure)
    (left, low), (right, high) = ax.transData.transform([(west, -9), (east, 9)]).astype(int)
    strip = drawn[len(drawn) - high : len(drawn) - low, left:right]
    return (np.abs(strip - to_rgb(color)).max(axis=-1) <= 1 / 255).mean()


def test_known_ground_is_paper_and_all_else_hatched():
    ax = plotting.plot_known_ground(WEST, GRID, title="T")
    assert share_of(ax, plotting.PAPER, -9, -1) == 1
    assert share_of(ax, plotting.PAPER, 1, 9) == 0
    (hatching,) = ax.patches
    assert hatching.get_hatch() == plotting.unknown_patch().get_hatch()
    assert in_legend(ax) == ["unknown"]
    assert ax.get_title(loc="left") == "T"
    for _ in range(2):
        pixels(ax.figure)
    with drawn_for_dark(ax.figure):
        assert share_of(ax, dark.PAPER, -9, -1) == 1
        assert share_of(ax, dark.PAPER, 1, 9) == 0


def test_known_trees_are_drawn_by_their_verdicts():
    places = np.array([[1.0, 2.0], [3.0, 4.0], [-5.0, 6.0], [7.0, 8.0]])
    way = [[0.0, 0.0], [1.0, 5.0], [2.0, 3.0]]
    ax = plotting.plot_known_ground(
        WEST, GRID, way=way, places=places, verdicts=[1, -1, 0, 1], position=[2.0, 3.0]
    )
    shown = labelled(ax)
    assert list(shown) == ["way", "edible", "poisonous", "not judged", "agent", "unknown"]
    assert in_legend(ax) == list(shown)
    assert shown["edible"].get_offsets().tolist() == [[1, 2], [7, 8]]
    assert shown["poisonous"].get_offsets().tolist() == [[3, 4]]
    assert shown["not judged"].get_offsets().tolist() == [[-5, 6]]
    assert to_hex(shown["edible"].get_facecolor()[0]) == plotting.EDIBLE.lower()
    assert to_hex(shown["poisonous"].get_facecolor()[0]) == plotting.POISONOUS.lower()
    assert to_hex(shown["not judged"].get_facecolor()[0]) == plotting.PAPER
    assert len(shown["edible"].get_paths()[0]) != len(shown["poisonous"].get_paths()[0])
    assert shown["way"].get_xydata().tolist() == way
    assert shown["agent"].get_xydata().tolist() == [[2, 3]]
    assert shown["agent"].get_marker() == "s"
    np.testing.assert_allclose(pixel_at(ax, (7, 8)), to_rgb(plotting.EDIBLE), atol=0.01)


def test_trees_are_not_judged_unless_told():
    ax = plotting.plot_known_ground(WEST, GRID, places=[[1.0, 2.0]])
    assert list(labelled(ax)) == ["not judged", "unknown"]
    nothing = plotting.plot_known_ground(WEST, GRID, places=np.empty((0, 2)), verdicts=[])
    assert list(labelled(nothing)) == ["unknown"]


def test_maps_side_by_side_leave_the_legend_to_who_made_them():
    _, axes = plotting.map_panels(2)
    assert plotting.plot_known_ground(WEST, GRID, axes[0]) is axes[0]
    assert axes[0].get_legend() is None
    plotting.plot_known_ground(WEST, GRID, axes[1], legend=True)
    assert axes[1].get_legend() is not None
    assert plotting.plot_known_ground(WEST, GRID, legend=False).get_legend() is None


@pytest.mark.parametrize("verdicts", [[1], [1, 2], [[1, 1]]])
def test_a_tree_has_one_verdict_of_three(verdicts):
    with pytest.raises(ValueError, match="1, −1 or 0 for each of the 2 places"):
        plotting.plot_known_ground(WEST, GRID, places=np.zeros((2, 2)), verdicts=verdicts)


def test_ground_is_known_or_not_in_each_cell():
    with pytest.raises(ValueError, match="needs 4 values"):
        plotting.plot_known_ground([True], GRID)


# --- sightings -----------------------------------------------------------------------------------

STANDS = np.array([[-100.0, 0.0], [-50.0, -20.0], [-10.0, -40.0]])
ESTIMATES = np.array([[10.0, 30.0], [4.0, 12.0], [1.0, 2.0]])
SDS = np.array([30.0, 12.0, 3.0])


def test_circles_are_around_what_was_remembered_and_grow_stronger():
    ax = plotting.plot_sightings(STANDS, ESTIMATES, SDS, [0.0, 1.0], title="T")
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    np.testing.assert_allclose([circle.center for circle in circles], ESTIMATES)
    np.testing.assert_allclose([circle.radius for circle in circles], SDS)
    for part in ("get_edgecolor", "get_facecolor"):
        assert (np.diff([getattr(circle, part)()[3] for circle in circles]) > 0).all()
    assert circles[-1].get_edgecolor() == to_rgba(plotting.SERIES[0])
    shown = labelled(ax)
    np.testing.assert_allclose(shown["seen from"].get_offsets(), STANDS)
    assert shown["true place"].get_xydata().tolist() == [[0, 1]]
    assert shown["true place"].get_marker() == "+"
    lines = [line.get_xydata().tolist() for line in ax.lines if len(line.get_xdata()) == 2]
    assert lines == [[stand.tolist(), [0, 1]] for stand in STANDS]
    assert ax.get_title(loc="left") == "T"


def test_the_map_of_sightings_holds_all_and_is_not_stretched():
    ax = plotting.plot_sightings(STANDS, ESTIMATES, SDS, [0.0, 1.0])
    (west, east), (south, north) = ax.get_xlim(), ax.get_ylim()
    assert west < -100 < east
    assert south < -40 < ESTIMATES[0, 1] + SDS[0] < north
    assert east - west < 1.2 * 140  # no wider than need be
    assert ax.get_aspect() == 1
    pixels(ax.figure)
    box = ax.get_window_extent()
    assert box.width / box.height == pytest.approx((east - west) / (north - south), rel=0.01)


def test_sightings_are_numbered_beside_their_stands_and_circles():
    ax = plotting.plot_sightings(STANDS, ESTIMATES, SDS, [0.0, 1.0])
    room = 0.055 * np.ptp(ax.get_xlim())
    of_circles, of_stands = (
        {int(t.get_text()) - 1: t.get_position() for t in ax.texts if t.get_color() == color}
        for color in (plotting.SERIES[0], plotting.INK)
    )
    assert set(of_stands) == {0, 1, 2}
    assert {0, 2} <= set(of_circles)
    for number, place in of_circles.items():
        beyond = np.linalg.norm(place - ESTIMATES[number]) - SDS[number]
        assert beyond == pytest.approx(0.6 * room)
    for number, place in of_stands.items():
        assert np.linalg.norm(place - STANDS[number]) == pytest.approx(0.6 * room)


@pytest.mark.parametrize("spread", [0.1, 0.0])
def test_where_it_is_crowded_first_and_last_are_numbered(spread):
    many = np.arange(30)[:, None] * [spread, spread / 2]
    ax = plotting.plot_sightings(many - 50, many, np.full(30, 5.0), [0.0, 0.0])
    shown = [text.get_text() for text in ax.texts if text.get_color() == plotting.SERIES[0]]
    assert {"1", "30"} <= set(shown)
    assert len(shown) < 10
    with drawn_narrow(ax.figure):
        boxes = [text.get_window_extent() for text in ax.texts]
    for number, one in enumerate(boxes):
        assert one.count_overlaps(boxes[:number]) == 0


def test_one_sighting_is_enough():
    ax = plotting.plot_sightings(STANDS[:1], ESTIMATES[:1], SDS[:1], [0.0, 1.0])
    (circle,) = (patch for patch in ax.patches if isinstance(patch, Circle))
    assert circle.get_edgecolor()[3] == 1
    assert [text.get_text() for text in ax.texts] == ["1", "1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # all at one place
        plotting.plot_sightings(np.zeros((1, 2)), np.zeros((1, 2)), [0.0], [0.0, 0.0])


@pytest.mark.parametrize("number", [0, 2])
def test_sightings_have_a_stand_a_place_and_a_deviation(number):
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        plotting.plot_sightings(STANDS, ESTIMATES, SDS[:number], [0.0, 0.0])


# --- harvests ------------------------------------------------------------------------------------


def bars(ax):
    """Begin, end and row of each bar."""
    return [
        (bar.get_x(), bar.get_x() + bar.get_width(), bar.get_y() + bar.get_height() / 2)
        for bar in ax.patches
        if isinstance(bar, Rectangle)
    ]


def test_each_harvest_has_a_mark_and_a_time_of_nothing():
    steps = [10, 20, 70, 121, 300, 350, 1500, 1600]
    trees = [7, 7, 7, 7, 3, 3, 7, 5]
    worth = [25, 25, 25, 25, -150, -150, 25, 25]
    ax = plotting.plot_harvests(steps, trees, worth, 1000, 1550, title="T")
    # Tree 7 is left for 51 steps before step 121; what is after step 1,550 is not shown.
    assert bars(ax) == [(70, 121, 1), (121, 1121, 1), (1500, 1550, 1), (350, 1350, 2)]
    shown = labelled(ax)
    assert shown["edible fruit"].get_offsets().tolist() == [[10, 1], [121, 1], [1500, 1]]
    assert shown["poisonous fruit"].get_offsets().tolist() == [[300, 2]]
    assert to_hex(shown["poisonous fruit"].get_facecolor()[0]) == plotting.POISONOUS.lower()
    assert to_hex(shown["edible fruit"].get_facecolor()[0]) == plotting.EDIBLE.lower()
    spans = [(*line.get_xdata(), *line.get_ydata(), to_hex(line.get_color())) for line in ax.lines]
    assert spans == [
        (10, 70, 1, 1, plotting.EDIBLE.lower()),
        (121, 121, 1, 1, plotting.EDIBLE.lower()),
        (1500, 1500, 1, 1, plotting.EDIBLE.lower()),
        (300, 350, 2, 2, plotting.POISONOUS.lower()),
    ]
    assert in_legend(ax).count("bears nothing") == 1
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1", "2"]
    assert " ".join(ax.get_ylabel().split()) == "tree, in the order of the first meal"
    assert ax.get_xlim() == (0, 1550)
    assert ax.get_title(loc="left") == "T"
    first, second = (ax.transData.transform((0, row))[1] for row in (1, 2))
    assert first > second


def test_numbers_of_many_trees_stand_apart():
    trees = np.arange(60)
    _, (ax,) = plotting.graph_panels(1)
    plotting.plot_harvests(10 * trees, trees, np.ones(60), 100, 1000, ax)
    pixels(ax.figure)
    boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
    assert 3 < len(boxes) < 30
    assert ax.get_yticklabels()[0].get_text() == "1"
    for number, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:number]) == 0
    new = plotting.plot_harvests(10 * trees[:25], trees[:25], np.ones(25), 100, 1000)
    assert len(new.get_yticks()) == 25


def test_a_life_without_meals_has_no_rows():
    ax = plotting.plot_harvests([], [], [], 1000, 500)
    assert not ax.patches
    assert ax.get_legend() is None
    pixels(ax.figure)


def test_a_meal_has_a_step_a_tree_and_a_worth():
    with pytest.raises(ValueError, match=r"\(2,\), \(1,\) and \(2,\)"):
        plotting.plot_harvests([1, 2], [1], [25, 25], 1000, 500)


# --- the ledger ----------------------------------------------------------------------------------


def test_what_was_eaten_spent_and_lost_adds_up():
    healths = [95.0, 98.0, 97.0, 94.0, 100.0 - 2.0]
    ax = plotting.plot_ledger(healths, [1, 4], [25.0, 25.0], [2.0, 1.0, 3.0, 2.0], title="T")
    shown = {label: line.get_ydata().tolist() for label, line in labelled(ax).items()}
    assert shown == {
        "eaten": [0, 25, 25, 25, 50],
        "spent": [0, 2, 3, 6, 8],
        "lost, being full": [0, 20, 20, 20, 39],
    }
    lines = labelled(ax).values()
    assert all(line.get_xdata().tolist() == [0, 1, 2, 3, 4] for line in lines)
    assert [line.is_dashed() for line in lines] == [False, True, True]
    assert len({line.get_color() for line in lines}) == 3
    assert in_legend(ax) == list(shown)
    assert ax.get_ylim()[0] == 0
    assert ax.get_title(loc="left") == "T"


def test_the_ledger_of_a_life_of_this_world(random_world):
    world = random_world(3)
    life = world.run(300)
    walked = np.linalg.norm(np.diff(life.positions, axis=0), axis=1) > 0
    costs = np.where(walked, world.config.move_cost, world.config.rest_cost)
    ax = plotting.plot_ledger(life.healths, life.meal_steps, life.meal_healths, costs)
    eaten, spent, lost = (line.get_ydata()[-1] for line in ax.lines)
    assert eaten - spent - lost == pytest.approx(life.healths[-1] - life.healths[0])


def test_who_dies_has_lost_nothing_by_that():
    ax = plotting.plot_ledger([3.0, 1.0, 0.0], [], [], [2.0, 2.0])
    assert labelled(ax)["lost, being full"].get_ydata().tolist() == [0, 0, 0]


def test_poison_takes_the_ledger_below_zero():
    ax = plotting.plot_ledger([100.0, 48.0], [1], [-50.0], [2.0])
    assert labelled(ax)["eaten"].get_ydata().tolist() == [0, -50]
    assert ax.get_ylim()[0] < -50


@pytest.mark.parametrize(
    ("healths", "meal_steps", "message"),
    [
        ([100.0, 98.0], [1], "2 costs need 3 healths"),
        ([100.0, 98.0, 96.0], [0], "steps 1 to 2, but are in 0 to 0"),
        ([100.0, 98.0, 96.0], [3], "steps 1 to 2, but are in 3 to 3"),
        ([50.0, 48.0, 71.0], [1], "in step 2 health grew by 25 points more"),
    ],
)
def test_a_ledger_that_does_not_add_up_is_refused(healths, meal_steps, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_ledger(healths, meal_steps, [25.0], [2.0, 2.0])


# --- who is alive --------------------------------------------------------------------------------

# Clopper and Pearson's for 3 of 10 and 10 of 10, from their tables of 1934 to three digits.
THREE_OF_TEN = (0.067, 0.652)
TEN_OF_TEN = (0.692, 1.0)


def test_shares_have_their_intervals_and_groups_stand_side_by_side():
    counts = [6, 8, 12]
    ax = plotting.plot_alive_by_count(
        {"one": (counts, [3, 10, 0], [10, 10, 5]), "two": ([8, 12], [10, 3], [10, 10])}, title="T"
    )
    one, two = labelled(ax).values()
    np.testing.assert_allclose(one.get_ydata(), [0.3, 1.0, 0.0])
    np.testing.assert_allclose(two.get_ydata(), [1.0, 0.3])
    for group, at in ((one, counts), (two, [8, 12])):
        aside = group.get_xdata() - at
        np.testing.assert_allclose(aside, aside[0])
        assert 0 < abs(aside[0]) < 0.5  # counts are at least 2 apart
    assert one.get_xdata()[1] < 8 < two.get_xdata()[0]
    assert one.get_marker() != two.get_marker()
    assert one.get_color() != two.get_color()
    for group, bars in zip((one, two), ax.collections, strict=True):
        segments = np.array(bars.get_segments())
        np.testing.assert_allclose(segments[:, 0, 0], group.get_xdata())
        np.testing.assert_allclose(segments[:, 1, 0], group.get_xdata())
    first, second = (np.array(group.get_segments())[..., 1] for group in ax.collections)
    np.testing.assert_allclose(first[:2], [THREE_OF_TEN, TEN_OF_TEN], atol=5e-4)
    np.testing.assert_allclose(second, [TEN_OF_TEN, THREE_OF_TEN], atol=5e-4)
    assert ax.get_ylim() == (0, 1)
    assert ax.get_ylabel() == "share alive"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["6", "8", "12"]
    assert in_legend(ax) == ["one", "two"]
    assert ax.get_title(loc="left") == "T"


def test_many_counts_have_fewer_numbers():
    counts = np.arange(40)
    ax = plotting.plot_alive_by_count({"a": (counts, counts, counts + 1)}, xlabel="trees")
    assert len(ax.get_xticks()) < 15
    assert ax.get_xlabel() == "trees"


def test_more_than_all_cannot_be_alive():
    with pytest.raises(ValueError, match="of 3 lives 4 cannot be alive"):
        plotting.plot_alive_by_count({"a": ([5], [4], [3])})


# --- parts ---------------------------------------------------------------------------------------


def test_parts_have_rows_with_shares_and_lowest_healths():
    lowest = {"some": [0.0, 50.0, 400.0], "all": [100.0, 300.0, 500.0, 700.0]}
    left, right = plotting.plot_parts({"all": 10, "some": 3}, 10, lowest, reference="some")
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["all", "some"]
    tops = [ax.transData.transform((0, row))[1] for ax in (left, right) for row in (0, 1)]
    assert tops[0] > tops[1]  # the first is at the top
    assert tops[0] == pytest.approx(tops[2])
    points = [line.get_xydata()[0].tolist() for line in left.lines if line.get_marker() == "o"]
    assert points == [[1.0, 0], [0.3, 1]]
    spans = [line for line in left.lines if line.get_marker() == "None"]
    spans, across = [line for line in spans if np.ptp(line.get_xdata()) > 0], spans[-1]
    np.testing.assert_allclose(spans[0].get_xdata(), TEN_OF_TEN, atol=5e-4)
    np.testing.assert_allclose(spans[1].get_xdata(), THREE_OF_TEN, atol=5e-4)
    assert list(across.get_xdata()) == [0.3, 0.3]
    for row, (dots, label) in enumerate(zip(right.collections, ("all", "some"), strict=True)):
        x, y = np.array(dots.get_offsets()).T
        np.testing.assert_allclose(x, lowest[label])
        assert (np.abs(y - row) < 0.3).all()
        assert len(np.unique(y)) == len(y)
    medians = [line.get_xdata()[0] for line in right.lines]
    assert medians == [400, 50, 50]  # and the line across
    assert right.lines[-1].get_ydata() == [0, 1]
    assert left.get_xlim() == (0, 1)
    assert right.get_xlim()[0] == 0
    assert right.get_xlabel() == "lowest health (points)"


def test_without_a_reference_there_is_no_line_across():
    figure, axes = plotting.graph_panels(2)
    made = plotting.plot_parts({"all": 1}, 2, {"all": [3.0]}, axes)
    assert made == axes
    assert [len(ax.lines) for ax in axes] == [2, 1]
    pixels(figure)


def test_many_parts_have_room_on_a_phone():
    kinds = [f"{kind}{more}" for more in ("", ".") for kind in made_up_charts.KINDS]
    left, _ = plotting.plot_parts(dict.fromkeys(kinds, 1), 2, {kind: [3.0] for kind in kinds})
    figure = left.figure
    with drawn_narrow(figure):
        for ax in figure.axes:
            boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
            assert len(boxes) == len(kinds)
            for number, box in enumerate(boxes):
                assert box.count_overlaps(boxes[:number]) == 0
    assert figure.get_figwidth() == plotting.TEXT_WIDTH


@pytest.mark.parametrize(
    ("alive", "reference"), [({"one": 1}, None), ({"one": 1, "two": 2}, "three")]
)
def test_parts_are_named_alike(alive, reference):
    with pytest.raises(ValueError, match="the same kinds"):
        plotting.plot_parts(alive, 5, {"one": [1.0], "two": [2.0]}, reference=reference)


# --- learning ------------------------------------------------------------------------------------


def test_each_seed_has_a_line_and_their_mean_a_strong_one():
    x = [0.0, 1e6, 2e6]
    ax = plotting.plot_learning(
        {"one": (x, [[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]), "two": (x, [[5.0, 5.0, 8.0]])},
        {"known": 9.0, "by chance": 2.0},
        xlabel="steps of training",
        title="T",
    )
    shown = labelled(ax)
    assert list(shown) == ["one", "two", "known", "by chance"] == in_legend(ax)
    assert shown["one"].get_ydata().tolist() == [2, 3, 4]
    assert shown["two"].get_ydata().tolist() == [5, 5, 8]
    assert shown["one"].get_xdata().tolist() == x
    for label, seeds in (("one", [[1, 2, 3], [3, 4, 5]]), ("two", [[5, 5, 8]])):
        alike = [line for line in ax.lines if line.get_color() == shown[label].get_color()]
        thin = [line for line in alike if line.get_linewidth() < shown[label].get_linewidth()]
        assert [line.get_ydata().tolist() for line in thin] == seeds
    assert shown["one"].get_color() != shown["two"].get_color()
    assert shown["one"].get_linestyle() != shown["two"].get_linestyle()
    assert shown["known"].get_ydata() == [9, 9]
    assert shown["by chance"].get_ydata() == [2, 2]
    assert shown["known"].get_linestyle() != shown["by chance"].get_linestyle()
    assert ax.get_ylim()[0] == 0
    assert ax.get_ylim()[1] > 9
    assert ax.get_xlim() == (0, 2e6)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("steps of training", "mean life (steps)")
    pixels(ax.figure)
    assert "1,000,000" in [tick.get_text() for tick in ax.get_xticklabels()]
    assert ax.get_title(loc="left") == "T"


def test_learners_are_measured_with_each_seed_at_each_place():
    with pytest.raises(ValueError, match=r"\(seeds, 3\), .* shape \(3,\)"):
        plotting.plot_learning({"a": ([1, 2, 3], [1, 2, 3])}, {}, xlabel="x")


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", made_up_charts.FIGURES, ids=lambda draw: draw.__name__)
def test_letters_are_not_small_and_nothing_is_warned_of(draw):
    settings = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw()
        first = pixels(figure)
        np.testing.assert_array_equal(first, pixels(draw()))
        with drawn_narrow(figure):
            assert small_letters(figure) == []
    assert dict(mpl.rcParams) == settings
