"""What is drawn of a learned space must be what the arrays say."""

import itertools
import warnings

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import FancyArrowPatch

from tests import made_up_spaces
from tree_world import plotting
from tree_world.plotting import dark, spaces
from tree_world.plotting.dark import drawn_for_dark
from tree_world.plotting.narrow import drawn_narrow, small_letters
from tree_world.plotting.palette import srgb_to_oklab

SEARCH = {"deadline": None, "suppress_health_check": list(HealthCheck)}


pytestmark = pytest.mark.usefixtures("book_style")


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def labelled(ax):
    """What is drawn under each name."""
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def words(ax):
    return {text.get_text(): text for text in ax.texts}


# --- colours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("paper", ["light", "dark"])
def test_both_sides_of_nothing_are_as_strong_and_nothing_is_paper(paper):
    light = paper == "light"
    name = plotting.BLUE_TO_ORANGE.name
    colours = plotting.BLUE_TO_ORANGE if light else dark.COLORMAPS[name]
    ground = plotting.PAPER if light else dark.PAPER
    shades = srgb_to_oklab(colours(np.linspace(0, 1, 257))[:, :3])
    np.testing.assert_allclose(colours(0.5)[:3], to_rgb(ground), atol=0.02)
    lightness = shades[:, 0]
    np.testing.assert_allclose(lightness, lightness[::-1], atol=0.03)
    from_paper = np.abs(lightness - srgb_to_oklab(np.array(to_rgb(ground)))[0])
    assert (np.diff(from_paper[128:]) > -0.003).all()
    assert (np.diff(from_paper[:129]) < 0.003).all()
    assert from_paper[0] > 0.45
    assert shades[10, 2] < -0.05 < 0.05 < shades[-10, 2]  # blue, and orange


# --- what it gets --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.integers(1, 12))
@settings(max_examples=5, **SEARCH)
def test_each_action_has_a_tick_in_its_row_when_it_was_done(actions, number):
    plt.close("all")
    smells = np.arange(len(actions) * number, dtype=float).reshape(-1, number) - 3
    above, below = plotting.plot_what_it_gets(actions, smells, num_actions=6)
    segments = np.array(above.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, :, 0].T, [np.arange(1, len(actions) + 1)] * 2)
    np.testing.assert_allclose(segments[:, :, 1].mean(axis=1), actions)
    assert np.ptp(segments[:, :, 1], axis=1).max() < 1  # rows do not touch
    low, high = sorted(above.get_ylim())
    assert low < 0 < 5 < high
    image = below.images[0]
    np.testing.assert_allclose(image.get_array(), smells.T)
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (0.5, len(actions) + 0.5)  # a column about its step
    assert (top, bottom) == (0.5, number + 0.5)
    low, high = image.get_clim()
    assert low == -high
    assert above.get_xlim() == below.get_xlim() == (left, right)


def test_the_scale_of_smells_holds_nearly_all_of_them_and_is_never_empty():
    smells = np.random.default_rng(0).normal(size=(300, 4))
    smells[7, 2] = 1e3
    _, below = plotting.plot_what_it_gets(np.zeros(300, int), smells)
    _, high = below.images[0].get_clim()
    assert 2 < high < 4
    for few in (np.zeros((3, 2)), np.eye(300)[:, :1]):
        _, below = plotting.plot_what_it_gets(np.zeros(len(few), int), few)
        assert below.images[0].get_clim() == (-1, 1)


def test_what_it_gets_is_drawn_on_axes_that_are_given():
    _, axes = plotting.stacked_panels([1.0, 1.0])
    drawn = plotting.plot_what_it_gets([0, 1], np.eye(2), axes, title="T")
    assert drawn == axes
    assert axes[0].get_title(loc="left") == "T"
    assert [ax.get_ylabel() for ax in axes] == ["action", "smell"]


@pytest.mark.parametrize(
    ("actions", "senses", "options", "message"),
    [
        ([], np.zeros((0, 1)), {}, "one at least"),
        ([0.0, 1.0], np.zeros((2, 1)), {}, "whole numbers"),
        ([[0, 1]], np.zeros((2, 1)), {}, r"\(1, 2\)"),
        ([0, -1], np.zeros((2, 1)), {}, "from -1 to 0"),
        ([0, 3], np.zeros((2, 1)), {"num_actions": 3}, "from 0 to 2.*Give num_actions"),
        ([0, 1], np.zeros((3, 1)), {}, r"\(2, k\).*\(3, 1\)"),
        ([0, 1], np.zeros((2, 13)), {}, "at most 12.*Give those that vary most"),
        ([0, 1], np.full((2, 1), np.nan), {}, "senses must be finite"),
        ([0, 1], np.zeros((2, 1)), {"axes": [None]}, "axes must be two.* 1"),
    ],
)
def test_what_cannot_be_got_is_refused(actions, senses, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_what_it_gets(actions, senses, **options)


# --- losses --------------------------------------------------------------------------------------

LOSSES = {
    "in the plane": [{1: 0.3, 2: 0.06, 3: 0.07}, {3: 0.09, 1: 0.34, 2: 0.1}],
    "in space": [{1: 0.4, 2: 0.2, 3: 0.1, 4: 0.1}],
}


def test_strong_is_the_mean_over_worlds_and_the_ring_is_at_the_dimension():
    ax = plotting.plot_losses(LOSSES, true_dims={"in the plane": 2}, title="T")
    drawn = [line.get_xydata() for line in ax.lines]
    thin = [[[1, 0.3], [2, 0.06], [3, 0.07]], [[1, 0.34], [2, 0.1], [3, 0.09]]]
    mean = [[1, 0.32], [2, 0.08], [3, 0.08]]
    for one in (*thin, mean):
        assert any(line.shape == (3, 2) and np.allclose(line, one) for line in drawn)
    of_worlds = [
        one.get_linewidth() for one in ax.lines if np.array_equal(one.get_xydata(), thin[0])
    ]
    of_mean = [one.get_linewidth() for one in ax.lines if np.allclose(one.get_ydata()[-1:], 0.08)]
    assert max(of_worlds) < 0.5 * max(of_mean)
    (ring,) = (line for line in ax.lines if line.get_xydata().tolist() == [[2, 0.08]])
    assert ring.get_markerfacecolor() == "none"
    assert ring.get_markersize() > 10
    assert list(labelled(ax)) == ["a world", "mean over worlds", "dimension of space"]
    assert ax.get_title(loc="left") == "T"
    low, high = ax.get_ylim()
    assert low == 0
    assert high > 0.5
    pixels(ax.figure)
    assert all(float(tick) == int(tick) for tick in ax.get_xticks())


def test_each_curve_is_named_at_its_end_beside_a_piece_of_it():
    ax = plotting.plot_losses(dict.fromkeys("abc", LOSSES["in space"]))  # all end together
    pixels(ax.figure)
    texts = words(ax)
    boxes = sorted((texts[kind].get_window_extent() for kind in "abc"), key=lambda box: box.y0)
    assert boxes[0].y1 <= boxes[1].y0 + 2
    assert boxes[1].y1 <= boxes[2].y0 + 2
    end = ax.transData.transform((4, 0.1))
    assert abs((boxes[1].y0 + boxes[1].y1) / 2 - end[1]) < 3
    strong = [line for line in ax.lines if line.get_linewidth() > 2 and len(line.get_xdata())]
    curves = [line for line in strong if line.get_xdata()[0] == 1]
    pieces = [line for line in strong if line not in curves]
    assert len(pieces) == len(curves) == 3
    for kind, piece, curve in zip("abc", pieces, curves, strict=True):
        for look in ("color", "marker", "linestyle", "linewidth"):
            assert getattr(piece, f"get_{look}")() == getattr(curve, f"get_{look}")()
        assert piece._dash_pattern == curve._dash_pattern
        box, around = piece.get_window_extent(), texts[kind].get_window_extent()
        assert end[0] < box.x0
        assert box.x1 < around.x0
        assert abs((box.y0 + box.y1) / 2 - (around.y0 + around.y1) / 2) < 3
    assert len({to_hex(curve.get_color()) for curve in curves}) == 3


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=8).map(sorted),
    st.floats(1, 20),
)
@settings(max_examples=100, **SEARCH)
def test_labels_arepushed_apart_as_little_as_need_be(wanted, apart):
    found = spaces.pushed_apart(np.array(wanted), apart)
    assert (np.diff(found) >= apart - 1e-6).all()
    assert found.mean() == pytest.approx(np.mean(wanted))
    if len(wanted) == 1 or np.diff(wanted).min() >= apart:
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    evenly = np.mean(wanted) + apart * (np.arange(len(wanted)) - (len(wanted) - 1) / 2)
    squares = [((places - wanted) ** 2).sum() for places in (found, evenly)]
    assert squares[0] <= squares[1] + 1e-6


@pytest.mark.parametrize(
    ("losses", "true_dims", "message"),
    [
        ({}, None, "losses must hold a kind"),
        ({"a": []}, None, "'a' must be a sequence"),
        ({"a": {1: 0.5}}, None, "a mapping of dimension to loss for each"),
        ({"a": [{}]}, None, "one at least"),
        ({"a": [{1: 0.5}, {2: 0.5}]}, None, r"world 0 has \[1\], and world 1 \[2\]"),
        ({"a": [{1: 1.5}]}, None, "from 0 to 1, but go from 1.5 to 1.5"),
        ({"a": [{1: np.nan}]}, None, "losses of 'a' must be finite"),
        ({"a": [{1: 0.5}]}, {"b": 1}, r"'b': 1, but there are losses of \['a'\]"),
        ({"a": [{1: 0.5}]}, {"a": 2}, r"'a': 2, but there are losses of \[1\]"),
    ],
)
def test_losses_that_cannot_be_drawn_are_refused(losses, true_dims, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_losses(losses, true_dims=true_dims)


# --- Occam ---------------------------------------------------------------------------------------


def test_terms_are_drawn_over_a_logarithmic_scale_and_the_last_is_strong():
    scales = np.geomspace(0.1, 10, 5)
    terms = {"fit": -scales, "size": np.log(scales), "evidence": np.log(scales) - scales}
    ax = plotting.plot_occam(scales, terms, best=1.0, title="T")
    shown = labelled(ax)
    for label, values in terms.items():
        np.testing.assert_allclose(shown[label].get_xydata().T, [scales, values])
    widths = [shown[label].get_linewidth() for label in terms]
    assert max(widths[:-1]) < widths[-1]
    assert len({(line.get_color(), str(line._dash_pattern)) for line in shown.values()}) == 3
    assert ax.get_xscale() == "log"
    assert ax.get_xlim() == (0.1, 10)
    (best,) = (line for line in ax.lines if np.array_equal(line.get_xdata(), [1.0, 1.0]))
    assert best.get_color() == plotting.CLAY
    assert set(words(ax)) == {*terms, "most probable"}
    pixels(ax.figure)
    title, word = ax._left_title.get_window_extent(), words(ax)["most probable"].get_window_extent()
    assert title.y0 >= word.y1 - 1
    assert "most probable" not in words(plotting.plot_occam(scales, terms))


@pytest.mark.parametrize(
    ("scales", "terms", "best", "message"),
    [
        ([0.0, 1.0], {"a": [1, 2]}, None, r"above 0 and rising.*\[0.0, 1.0\]"),
        ([2.0, 1.0], {"a": [1, 2]}, None, "rising"),
        ([1.0], {"a": [1]}, None, "two or more"),
        ([1.0, 2.0], {}, None, "terms must hold a term"),
        ([1.0, 2.0], {"a": [1, 2, 3]}, None, r"'a' must have one value for each of 2.*\(3,\)"),
        ([1.0, 2.0], {"a": [1, np.inf]}, None, "term 'a' must be finite"),
        ([1.0, 2.0], {"a": [1, 2]}, -1.0, "best must be positive"),
    ],
)
def test_terms_that_cannot_be_drawn_are_refused(scales, terms, best, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_occam(scales, terms, best=best)


# --- what is left unexplained --------------------------------------------------------------------


def dots(ax):
    """Shares that are drawn, and markers' corners, of each row."""
    rows = {}
    for made in ax.collections:
        for x, y in np.asarray(made.get_offsets()):
            rows.setdefault(round(y), []).append((float(x), len(made.get_paths()[0].vertices)))
    return rows


def diamonds(ax):
    return [line.get_xydata()[0].tolist() for line in ax.lines if len(line.get_xdata()) == 1]


def test_dots_are_what_is_left_and_the_diamond_their_median():
    ax = plotting.plot_unexplained({"a": [0.9, 0.99, 0.5], "b": [0.0, -1.0]}, title="T")
    rows = dots(ax)
    assert [x for x, _ in rows[0]] == pytest.approx([0.1, 0.01, 0.5])
    assert [x for x, _ in rows[1]] == pytest.approx([1.0, 2.0])
    np.testing.assert_allclose(diamonds(ax), [[0.1, 0], [1.5, 1]])
    assert ax.get_xscale() == "log"
    assert ax.get_xlim() == (1e-4, 10)
    high, low = ax.get_ylim()
    assert high > 1 > 0 > low  # the first row on top
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert "the mean smell" in words(ax)
    assert any(np.array_equal(line.get_xdata(), [1, 1]) for line in ax.lines)
    assert list(labelled(ax)) == ["a world", "median over worlds"]
    assert len(ax.figure.legends) == 1


def test_what_is_missing_is_left_out_and_what_is_beyond_is_a_triangle_at_the_edge():
    ax = plotting.plot_unexplained({"a": [None, 1.0, -99.0, 0.9], "b": [np.nan, None], "c": []})
    rows = dots(ax)
    assert set(rows) == {0}
    shown = dict(rows[0])
    assert sorted(shown) == pytest.approx([1e-4, 0.1, 10.0])
    least, middle, most = (corners for _, corners in sorted(rows[0]))
    assert least == most < middle  # a disc has more corners
    assert diamonds(ax) == [[pytest.approx(0.1), 0]]
    assert len(ax.get_yticks()) == 3
    # The median is of what was found, not of what can be drawn.
    ax = plotting.plot_unexplained({"a": [-99.0, 0.0]})
    assert diamonds(ax)[0][0] == pytest.approx(10.0)


def test_panels_share_rows_that_are_named_on_the_left_and_in_a_narrow_column_on_each():
    figure, axes = plotting.graph_panels(2)
    for ax, named in zip(axes, (True, False), strict=True):
        assert plotting.plot_unexplained({"a": [0.5], "b": [0.1]}, ax, labels=named) is ax
    assert not figure.legends

    def named(ax):
        figure.draw_without_rendering()
        return [label.get_text() for label in ax.get_yticklabels() if label.get_visible()]

    assert named(axes[0]) == ["a", "b"]
    assert named(axes[1]) == []
    numbers = [
        label.get_window_extent()
        for ax in axes
        for label in ax.get_xticklabels()
        if label.get_text()
    ]
    for one, other in itertools.pairwise(numbers):
        assert one.x1 < other.x0
    with drawn_narrow(figure):
        assert named(axes[1]) == ["a", "b"]
    assert named(axes[1]) == []


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "of 0 groups none"),
        ({"a": [None], "b": []}, "of 2 groups none"),
        ({"a": [[0.5]]}, r"'a' must be one for each world.*\(1, 1\)"),
        ({"a": [0.5, 1.1]}, "1 at most, but go from 0.5 to 1.1"),
        ({"a": [0.5, -np.inf]}, "must be finite"),
    ],
)
def test_what_is_no_r2_is_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_unexplained(groups)


# --- fits ----------------------------------------------------------------------------------------


@given(st.permutations([0.3, 1.0, 1.7, 2.5]))
@settings(max_examples=5, **SEARCH)
def test_the_most_probable_fit_is_filled_and_no_other(evidences):
    plt.close("all")
    errors = [0.5, 0.01, 1.2, 0.3]
    ax = plotting.plot_fits(evidences, errors)
    best = evidences.index(2.5)
    (mark,) = ax.lines
    assert mark.get_xydata().tolist() == [[2.5, errors[best]]]
    others = ax.collections[0]
    pairs = [pair for pair in zip(evidences, errors, strict=True) if pair[0] < 2.5]
    np.testing.assert_allclose(others.get_offsets(), pairs)
    assert others.get_facecolor()[0, 3] < 0.3
    assert to_rgb(mark.get_color()) != tuple(others.get_edgecolor()[0, :3])
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")
    assert list(labelled(ax)) == ["a fit", "the most probable"]


@pytest.mark.parametrize(
    ("evidences", "errors", "message"),
    [
        ([], [], "one at least"),
        ([1.0, 2.0], [1.0], r"\(2,\) and \(1,\)"),
        ([1.0], [0.0], "above 0.*is 0"),
        ([-np.inf], [1.0], "evidences must be finite"),
    ],
)
def test_fits_that_cannot_be_drawn_are_refused(evidences, errors, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_fits(evidences, errors)


# --- differences ---------------------------------------------------------------------------------


@given(st.floats(0, np.pi), st.floats(0.3, np.pi - 0.3), st.floats(0.5, 2.0))
@settings(max_examples=6, **SEARCH)
def test_rings_are_all_sums_of_whole_numbers_in_view(angle, between, ratio):
    plt.close("all")
    one = 100 * np.array([np.cos(angle), np.sin(angle)])
    other = 100 * ratio * np.array([np.cos(angle + between), np.sin(angle + between)])
    ax = plotting.plot_differences([[1.0, 2.0]], vectors=[one, other], half_width=250.0)
    expected = [m * one + n * other for m in range(-40, 41) for n in range(-40, 41)]
    expected = sorted(tuple(p) for p in np.round(expected, 6) if np.abs(p).max() <= 250)
    found = sorted(tuple(p) for p in np.round(ax.lines[0].get_xydata(), 6))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    ends = [patch._posA_posB for patch in arrows]
    np.testing.assert_allclose([start for start, _ in ends], 0)
    np.testing.assert_allclose([end for _, end in ends], [one, other])


def test_differences_are_where_they_are_on_a_square_map_that_holds_nearly_all():
    points = np.random.default_rng(0).normal(size=(1000, 2)) * [100, 30]
    points[3] = [1e6, 0]
    ax = plotting.plot_differences(points, title="T")
    np.testing.assert_allclose(ax.collections[0].get_offsets(), points)
    assert ax.get_xlim() == ax.get_ylim()
    assert 200 < ax.get_xlim()[1] < 400
    assert ax.get_aspect() == 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("difference of x (m)", "difference of y (m)")
    assert not ax.patches
    assert list(labelled(ax)) == ["two that smell alike"]
    assert plotting.plot_differences([[0.0, 0.0]]).get_xlim() == (-1, 1)


@pytest.mark.parametrize(
    ("differences", "vectors", "message"),
    [
        (np.zeros((0, 2)), None, r"differences must have shape \(n, 2\)"),
        ([[0.0, np.nan]], None, "differences"),
        ([[100.0, 0.0]], [[1.0, 0.0]], r"\(2, 2\), one a row, but have \(1, 2\)"),
        ([[100.0, 0.0]], [[50.0, 50.0], [-50.0, -50.0]], "span a plane"),
        ([[100.0, 0.0]], [[0.1, 0.0], [0.0, 0.1]], "at most 1,000.*smaller half_width"),
    ],
)
def test_differences_that_cannot_be_drawn_are_refused(differences, vectors, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_differences(differences, vectors=vectors)


# --- ways ----------------------------------------------------------------------------------------

WALK = np.array([[0.0, 0.0], [60.0, 0.0], [60.0, 80.0]])
WAYS = [np.array([[0.0, 0.0], [20.0, 30.0]]), np.array([[60.0, 0.0], [30.0, 5.0], [-90.0, 20.0]])]


def ends_of(ax):
    """Area, place and number of each coloured disc."""
    made = [made for made in ax.collections if made.get_array() is not None]
    return [
        (float(one.get_sizes()[0]), one.get_offsets()[0].tolist(), float(one.get_array()[0]))
        for one in made
    ], made


def test_discs_are_what_was_predicted_in_rings_of_what_is_true():
    ax = plotting.plot_ways(WALK, WAYS, [0.5, -1.0], [0.6, -2.0], title="T")
    found, made = ends_of(ax)
    assert [(place, number) for _, place, number in found] == [
        ([20, 30], 0.6),
        ([20, 30], 0.5),
        ([-90, 20], -2.0),
        ([-90, 20], -1.0),
    ]
    for ring, disc in ((0, 1), (2, 3)):
        assert found[ring][0] > 1.5 * found[disc][0]
        assert made[ring].get_zorder() <= made[disc].get_zorder()
    assert {one.get_clim() for one in made} == {(-2.0, 2.0)}
    assert {one.get_cmap().name for one in made} == {plotting.BLUE_TO_ORANGE.name}
    walk, *novel = [line for line in ax.lines if len(line.get_xdata())]
    np.testing.assert_allclose(walk.get_xydata(), WALK)
    for line, way in zip(novel, WAYS, strict=True):
        np.testing.assert_allclose(line.get_xydata(), way)
        assert line.get_markevery() == [0]  # a dot where it begins
        assert line.get_linewidth() > walk.get_linewidth()
    for axis in (0, 1):
        low, high = (ax.get_xlim(), ax.get_ylim())[axis]
        assert low < min(way[:, axis].min() for way in WAYS)
        assert high > WALK[:, axis].max()
    assert np.ptp(ax.get_xlim()) == pytest.approx(np.ptp(ax.get_ylim()))
    assert len(ax.figure.axes) == 1  # no bar


def colours_at_end(predicted, true):
    ax = plotting.plot_ways([[0.0, 0.0]], [[[0.0, 0.0], [9.0, 0.0]]], [predicted], [true])
    seen = pixels(ax.figure)
    x, y = ax.transData.transform((9.0, 0.0))
    row, column = seen.shape[0] - 1 - int(y), int(x)
    ring = round((np.sqrt(72) + np.sqrt(170)) / 4 * 80 / 72)  # dots from the middle to the ring
    return seen[row, column], seen[row + ring, column]


def test_where_both_agree_disc_and_ring_look_as_one():
    disc, ring = colours_at_end(0.7, 0.7)
    np.testing.assert_allclose(disc, ring, atol=0.02)
    disc, ring = colours_at_end(0.7, -0.7)
    assert disc[0] > disc[2] + 0.3  # orange
    assert ring[2] > ring[0] + 0.3  # blue


def test_a_bar_says_what_the_numbers_are_and_fits_the_dark():
    ax = plotting.plot_ways(WALK, WAYS, [0.5, -1.0], [0.6, -2.0], label="a number")
    figure = ax.figure
    _, bar = figure.axes
    assert bar.get_ylabel() == "a number"
    pixels(figure)
    _, made = ends_of(ax)
    with drawn_for_dark(figure):
        shown = pixels(figure)
        np.testing.assert_allclose(made[0].get_cmap()(0.5)[:3], to_rgb(dark.PAPER), atol=0.02)
        box = bar.get_window_extent()
        middle = shown[shown.shape[0] - int((box.y0 + box.y1) / 2), int((box.x0 + box.x1) / 2)]
        np.testing.assert_allclose(middle, to_rgb(dark.PAPER), atol=0.06)
    np.testing.assert_allclose(made[0].get_cmap()(0.5)[:3], to_rgb(plotting.PAPER), atol=0.02)


def test_ways_are_drawn_on_axes_that_are_given_without_a_legend():
    figure, axes = plotting.map_panels(2)
    for ax in axes:
        assert plotting.plot_ways(WALK, WAYS, [0.0, 0.0], [0.0, 0.0], ax, half_width=90.0) is ax
        assert ax.get_xlim() == ax.get_ylim() == (-90, 90)
    assert not figure.legends
    pixels(figure)


@pytest.mark.parametrize(
    ("walk", "ways", "predicted", "true", "message"),
    [
        (np.zeros((0, 2)), WAYS, [0, 1], [0, 1], "places must have shape"),
        (WALK, [], [], [], "one at least, but there are 0 ways"),
        (WALK, WAYS, [0.0], [0.0, 1.0], r"2 ways, and the shapes are \(1,\) and \(2,\)"),
        (WALK, [WALK, np.zeros((3, 3))], [0, 1], [0, 1], "way 1"),
        (WALK, WAYS, [0.0, np.nan], [0.0, 1.0], "predicted must be finite"),
    ],
)
def test_ways_that_cannot_be_drawn_are_refused(walk, ways, predicted, true, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_ways(walk, ways, predicted, true)


# --- stages --------------------------------------------------------------------------------------


def test_each_stage_lies_on_the_truth_within_the_limits_of_the_truth():
    stages = {"planes": 100 * WALK, "fields": WALK + 1.0}
    axes = plotting.plot_unfolding(stages, WALK)
    assert [ax.get_title(loc="left") for ax in axes] == list(stages)
    for ax, stage in zip(axes, stages.values(), strict=True):
        below, above = (labelled(ax)[name] for name in ("where it was", "as learned"))
        np.testing.assert_allclose(below.get_xydata(), WALK)
        np.testing.assert_allclose(above.get_xydata(), stage)
        assert below.get_zorder() < above.get_zorder()
        assert below.get_linewidth() > 2 * above.get_linewidth()
        assert ax.get_xlim() == axes[0].get_xlim()
        assert -15 < ax.get_xlim()[0] < 0 < 60 < ax.get_xlim()[1] < 80
        assert -10 < ax.get_ylim()[0] < 0 < 80 < ax.get_ylim()[1] < 90
        assert ax.get_aspect() == 1
    assert len(axes[0].figure.legends) == 1
    figure, given_axes = plotting.map_panels(2)
    assert plotting.plot_unfolding(stages, WALK, given_axes, half_width=50.0) == given_axes
    assert given_axes[1].get_xlim() == (-50, 50)
    assert not figure.legends


@pytest.mark.parametrize(
    ("stages", "true", "axes", "message"),
    [
        ({}, WALK, None, "there are 0 stages"),
        ({"a": WALK}, WALK, [None, None], "1 stages and 2 axes"),
        ({"a": np.zeros((0, 2))}, WALK, None, "stage 'a' must have shape"),
        ({"a": WALK}, WALK[0], None, r"true must have shape \(n, 2\)"),
    ],
)
def test_stages_that_cannot_be_drawn_are_refused(stages, true, axes, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_unfolding(stages, true, axes)


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", made_up_spaces.FIGURES, ids=lambda draw: draw.__name__)
def test_letters_are_large_enough_and_nothing_is_warned_of(draw):
    before = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw()
        pixels(figure)
        with drawn_narrow(figure):
            assert small_letters(figure) == []
            legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes)]
            boxes = [legend.get_window_extent() for legend in legends if legend]
            for box in boxes:
                assert not any(box.overlaps(ax.get_window_extent()) for ax in figure.axes)
    assert len(boxes) == (draw not in (made_up_spaces.what_it_gets, made_up_spaces.occam))
    assert dict(mpl.rcParams) == before
