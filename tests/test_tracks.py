"""What is drawn of ways and beliefs must be what the arrays say."""

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
from matplotlib.patches import Rectangle

from tests import made_up_tracks
from tree_world import plotting
from tree_world.plotting import dark
from tree_world.plotting.dark import drawn_for_dark
from tree_world.plotting.narrow import drawn_narrow, small_letters

TRUE = np.array([[10.0, 20.0], [40.0, 20.0], [40.0, 60.0]])


pytestmark = pytest.mark.usefixtures("book_style")


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3] / 255


def labelled(ax):
    """What is drawn under each name."""
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def in_legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def looks(line):
    """Colour and dash, either of which must tell curves apart."""
    return to_hex(line.get_color()), str(line.get_linestyle()) + str(line._dash_pattern)


def is_log(ax):
    return ax.get_xscale() == ax.get_yscale() == "log"


# --- ways ----------------------------------------------------------------------------------------


def test_ways_are_where_they_were_and_differ_in_colour_and_dash():
    ways = {"truth": TRUE, "steps": TRUE + 5, "filter": TRUE + 1, "smoothed": TRUE - 1}
    ax = plotting.plot_paths(ways, title="T")
    shown = labelled(ax)
    assert in_legend(ax) == list(shown) == [*ways, "start"]
    for label, way in ways.items():
        np.testing.assert_allclose(shown[label].get_xydata(), way)
    lines = [shown[label] for label in ways]
    for seen in zip(*map(looks, lines), strict=True):
        assert len(set(seen)) == len(ways)
    assert to_hex(lines[0].get_color()) == plotting.INK
    assert not lines[0].is_dashed()
    assert all(lines[0].get_linewidth() < line.get_linewidth() for line in lines[1:])
    assert shown["start"].get_xydata().tolist() == [[10, 20]]
    assert shown["start"].get_marker() == "s"
    assert ax.get_title(loc="left") == "T"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (m)", "y (m)")


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.0, 1e3), st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_map_holds_all_ways_and_is_square(x, y, size, seed):
    plt.close("all")
    ways = [x, y] + size * np.random.default_rng(seed).normal(size=(2, 20, 2))
    ax = plotting.plot_paths({"truth": ways[0], "steps": ways[1]})
    (west, east), (south, north) = ax.get_xlim(), ax.get_ylim()
    assert (np.array([west, south]) < ways).all()
    assert (ways < np.array([east, north])).all()
    assert east - west == pytest.approx(north - south)
    assert east - west <= 1.1 * max(np.ptp(ways.reshape(-1, 2), axis=0).max(), 2.0)
    assert ax.get_aspect() == 1


def test_a_map_of_a_given_width_is_around_the_origin_though_ways_lead_out():
    _, (ax,) = plotting.map_panels()
    assert plotting.plot_paths({"truth": 100 * TRUE}, ax, half_width=50.0) is ax
    assert ax.get_xlim() == ax.get_ylim() == (-50, 50)
    assert ax.get_legend() is None  # left to who made the axes
    plotting.plot_paths({"truth": TRUE}, ax, legend=True)
    assert ax.get_legend() is not None


def test_closures_join_their_two_ends():
    ends = np.array([[[10.0, 20.0], [40.0, 60.0]], [[0.0, 1.0], [2.0, 900.0]]])
    ax = plotting.plot_paths({"truth": TRUE}, closures=ends)
    np.testing.assert_allclose(labelled(ax)["closure"].get_segments(), ends)
    assert ax.get_ylim()[1] < 100
    nothing = plotting.plot_paths({"truth": TRUE}, closures=np.zeros((0, 2, 2)))
    assert "closure" not in labelled(nothing)


def test_trees_are_faint_below_the_ways_and_look_as_everywhere(make_world):
    world = make_world([[15.0, 25.0], [35.0, 30.0]], ["apple", "manchineel"])
    ax = plotting.plot_paths({"truth": TRUE}, world=world)
    plain = labelled(plotting.plot_world(world))
    shown = labelled(ax)
    for kind, place in (("edible", [15, 25]), ("poisonous", [35, 30])):
        assert shown[kind].get_offsets().tolist() == [place]
        assert shown[kind].get_alpha() < 0.6
        assert shown[kind].get_zorder() < shown["truth"].get_zorder()
        np.testing.assert_allclose(
            shown[kind].get_facecolor()[0, :3], plain[kind].get_facecolor()[0, :3]
        )
        np.testing.assert_allclose(
            shown[kind].get_paths()[0].vertices, plain[kind].get_paths()[0].vertices
        )
    assert ax.get_xlim()[1] < 60  # as without trees


@pytest.mark.parametrize(
    ("paths", "closures", "message"),
    [
        ({}, None, "paths must hold a way"),
        ({"a": np.zeros((0, 2))}, None, r"'a' must have shape \(n, 2\).*\(0, 2\)"),
        ({"a": np.zeros(2)}, None, r"'a' must have shape \(n, 2\).*\(2,\)"),
        ({"a": np.zeros((3, 3))}, None, "path 'a'"),
        ({"a": [[0.0, np.nan]]}, None, "path 'a'"),
        ({"a": TRUE}, np.zeros((3, 2)), r"\(k, 2, 2\).*\(3, 2\)"),
        ({"a": TRUE}, np.full((1, 2, 2), np.inf), "finite"),
    ],
)
def test_what_is_no_way_is_refused(paths, closures, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_paths(paths, closures=closures)


# --- drift ---------------------------------------------------------------------------------------

TIMES = np.geomspace(1, 1000, 31)


def growing(power, scale=1.0, seed=0):
    return scale * np.abs(np.random.default_rng(seed).normal(size=(20, 1))) * TIMES**power


def guides(ax):
    return [line for line in ax.lines if line.get_label().startswith("_") and line.is_dashed()]


def test_strong_is_the_root_of_the_mean_square_and_thin_are_walks():
    walks = growing(0.5)
    ax = plotting.plot_drift(TIMES, {"compass": walks}, powers={}, title="T")
    strong = labelled(ax)["compass"]
    np.testing.assert_allclose(strong.get_xdata(), TIMES)
    np.testing.assert_allclose(strong.get_ydata(), np.sqrt((walks**2).mean(axis=0)))
    thin = [line for line in ax.lines if line is not strong]
    assert 3 <= len(thin) < 20
    for line in thin:
        assert line.get_linewidth() < strong.get_linewidth() / 2
        assert np.isclose(walks, line.get_ydata()).all(axis=1).any()
    assert is_log(ax)
    assert ax.get_xlim() == (1, 1000)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (steps)", "error (m)")
    assert ax.get_title(loc="left") == "T"
    assert not guides(ax)


@given(st.floats(0.1, 3.0), st.floats(1e-3, 1e3))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_guide_has_its_slope_and_lies_beside_its_curve(power, scale):
    plt.close("all")
    ax = plotting.plot_drift(TIMES, {"a": growing(0.5, scale)}, powers={"a": power})
    (guide,) = guides(ax)
    x, y = guide.get_data()
    slope = np.diff(np.log(y)) / np.diff(np.log(x))
    np.testing.assert_allclose(slope, power, rtol=1e-6)
    curve = labelled(ax)["a"].get_ydata()[-len(x) :]
    assert (y > curve).all()
    assert x[-1] == 1000
    assert np.log10(x[-1] / x[0]) > 0.8  # long enough to compare
    nearest = np.log(y / curve).min() / np.ptp(np.log(ax.get_ylim()))
    assert nearest < 0.1


def test_kinds_differ_in_colour_and_dash_and_the_lowest_has_its_guide_below():
    errors = {"low": growing(0.5), "middle": growing(1.5, 0.1), "high": growing(2.0)}
    powers = {"high": 2.0, "low": 0.5, "middle": 1.5}
    ax = plotting.plot_drift(TIMES, errors, powers=powers)
    shown = labelled(ax)
    assert in_legend(ax) == list(errors)
    for seen in zip(*(looks(shown[label]) for label in errors), strict=True):
        assert len(set(seen)) == 3
    of = {to_hex(line.get_color()): line for line in guides(ax)}
    for label in errors:
        guide, curve = of[to_hex(shown[label].get_color())], shown[label]
        above = guide.get_ydata()[-1] > curve.get_ydata()[-1]
        assert above == (label != "low")
    texts = {text.get_text(): text for text in ax.texts}
    assert set(texts) == {r"$\sqrt{t}$", "$t^{3/2}$", "$t^{2}$"}
    for label, text in zip(errors, (r"$\sqrt{t}$", "$t^{3/2}$", "$t^{2}$"), strict=True):
        end = of[to_hex(shown[label].get_color())].get_xydata()[-1]
        np.testing.assert_allclose(texts[text].xy, end)


@pytest.mark.parametrize(
    ("power", "text"), [(1.0, "$t$"), (0.75, "$t^{3/4}$"), (0.62, "$t^{0.62}$")]
)
def test_powers_are_written_as_formulas(power, text):
    ax = plotting.plot_drift(TIMES, {"a": growing(power)}, powers={"a": power})
    assert [one.get_text() for one in ax.texts] == [text]


def test_labels_of_guides_that_end_together_stand_apart():
    errors = {str(number): growing(0.5, 1 + 0.01 * number) for number in range(4)}
    ax = plotting.plot_drift(TIMES, errors, powers=dict.fromkeys(errors, 0.5))
    pixels(ax.figure)
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    middles = [(box.y0 + box.y1) / 2 for box in boxes]
    assert (np.diff(middles) > 0.8 * boxes[0].height).all()


def test_where_an_error_is_nothing_the_curve_has_a_gap():
    walks = growing(0.5)
    walks[:, 0] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plotting.plot_drift(TIMES, {"a": walks}, powers={"a": 0.5})
        pixels(ax.figure)
    curve = labelled(ax)["a"].get_ydata()
    assert np.isnan(curve).tolist() == [True] + [False] * 30


@pytest.mark.parametrize(
    ("times", "errors", "powers", "message"),
    [
        ([0.0, 1.0], np.ones((2, 2)), {}, r"above 0 and rising.*\[0.0, 1.0\]"),
        ([2.0, 1.0], np.ones((2, 2)), {}, "rising"),
        ([1.0], np.ones((2, 1)), {}, "two or more"),
        ([[1.0, 2.0]], np.ones((2, 2)), {}, r"\(1, 2\)"),
        ([1.0, 2.0], np.ones((2, 3)), {}, r"\(n_walks, 2\).*\(2, 3\)"),
        ([1.0, 2.0], np.ones((0, 2)), {}, r"\(n_walks, 2\).*\(0, 2\)"),
        ([1.0, 2.0], [[1.0, -1.0]], {}, "must be distances"),
        ([1.0, 2.0], [[1.0, 0.0]], {}, "some above 0 at the last time"),
        ([1.0, 2.0], [[1.0, np.nan]], {}, "errors of 'a'"),
        ([1.0, 2.0], np.ones((2, 2)), {"b": 1.0}, r"powers are of \['b'\]"),
    ],
)
def test_drift_that_cannot_be_drawn_is_refused(times, errors, powers, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_drift(times, {"a": errors}, powers=powers)


# --- errors in time ------------------------------------------------------------------------------


def hatched(ax):
    return [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_hatch()]


def test_errors_stand_before_the_band_that_was_claimed():
    errors, claimed = [1.0, 4.0, 2.0], [3.0, 2.0, 5.0]
    ax = plotting.plot_errors_in_time(errors, claimed, label="tracker", title="T")
    shown = labelled(ax)
    assert in_legend(ax) == list(shown) == ["tracker", "claimed radius"]
    np.testing.assert_allclose(shown["tracker"].get_xydata(), [[1, 1], [2, 4], [3, 2]])
    np.testing.assert_allclose(shown["claimed radius"].get_xydata(), [[1, 3], [2, 2], [3, 5]])
    for seen in zip(*map(looks, shown.values()), strict=True):
        assert len(set(seen)) == 2
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].min() == 0
    assert {tuple(corner) for corner in corners} >= {(1, 3), (2, 2), (3, 5), (1, 0), (3, 0)}
    assert ax.get_ylim()[0] == 0
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (steps)", "error (m)")
    assert ax.get_title(loc="left") == "T"


@given(st.lists(st.booleans(), min_size=2, max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_hatched_is_when_nothing_was_smelled(nothing):
    plt.close("all")
    ones = np.ones(len(nothing))
    times = 10.0 * np.arange(len(nothing)) + 5
    ax = plotting.plot_errors_in_time(ones, ones, nothing=nothing, times=times)
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in hatched(ax)]
    inside = [any(low <= time <= high for low, high in spans) for time in times]
    assert inside == nothing
    for (_, before), (after, _) in itertools.pairwise(spans):
        assert after - before >= 10 - 1e-9  # between two there was a smell
    if any(nothing):
        assert in_legend(ax).count("nothing smelled") == 1
    else:
        assert "nothing smelled" not in in_legend(ax)


def test_hatching_is_that_of_the_unknown_in_the_dark_too():
    ax = plotting.plot_errors_in_time([1.0, 2.0], [2.0, 2.0], nothing=[True, False])
    (patch,) = hatched(ax)
    unknown = plotting.unknown_patch()
    assert patch.get_hatch() == unknown.get_hatch()
    assert patch.get_facecolor() == unknown.get_facecolor()
    assert patch.get_edgecolor() == unknown.get_edgecolor()
    pixels(ax.figure)
    with drawn_for_dark(ax.figure):
        assert to_hex(patch.get_facecolor()) == dark.COLORS[plotting.UNKNOWN_FILL]


def test_metres_may_be_logarithmic_and_errors_of_nothing_lie_at_the_edge():
    errors = np.concatenate([[0.0], np.geomspace(0.1, 100, 99)])
    ax = plotting.plot_errors_in_time(errors, 2 * errors, log=True, legend=False)
    assert ax.get_legend() is None
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    assert 0 < low < 0.2
    assert high >= 200
    drawn = labelled(ax)["error"].get_ydata()
    np.testing.assert_allclose(drawn[5:], errors[5:])
    assert drawn[0] == pytest.approx(low)
    one = plotting.plot_errors_in_time([1.0], [2.0], nothing=[True])
    pixels(one.figure)


@pytest.mark.parametrize(
    ("errors", "claimed", "options", "message"),
    [
        ([1.0, 2.0], [1.0], {}, r"\(2,\), \(1,\)"),
        ([], [], {}, "one at least"),
        ([1.0], [1.0], {"nothing": [True, False]}, "equally many"),
        ([1.0], [1.0], {"times": [1.0, 2.0]}, "equally many"),
        ([1.0, -1.0], [1.0, 1.0], {}, "must be distances"),
        ([1.0, 1.0], [1.0, -1.0], {}, "must be distances"),
        ([1.0, np.inf], [1.0, 1.0], {}, "errors"),
        ([1.0, 1.0], [1.0, 1.0], {"times": [2.0, 2.0]}, "times must rise"),
        ([0.0], [0.0], {"log": True}, "leave out log=True"),
    ],
)
def test_errors_that_cannot_be_drawn_are_refused(errors, claimed, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_errors_in_time(errors, claimed, **options)


# --- ellipses ------------------------------------------------------------------------------------


def a_map():
    return plotting.map_panels()[1][0]


@given(
    st.floats(0.05, 0.99),
    st.floats(0.1, 100.0),
    st.floats(0.1, 100.0),
    st.floats(0.0, 2 * np.pi),
)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_ellipse_holds_its_share(share, one, other, turn):
    plt.close("all")
    cos, sin = np.cos(turn), np.sin(turn)
    root = np.array([[cos, -sin], [sin, cos]]) * [one, other]  # of the covariance
    mean = np.array([30.0, -20.0])
    ax = plotting.plot_ellipses(mean, root @ root.T, a_map(), share=share)
    outline, dot = ax.lines
    white = np.linalg.solve(root, (outline.get_xydata() - mean).T)
    # Within a radius r of a standard normal in the plane lies the share 1 − exp(−r²/2).
    np.testing.assert_allclose(1 - np.exp(-(white**2).sum(axis=0) / 2), share, rtol=1e-6)
    angles = np.unwrap(np.arctan2(*white[::-1]))
    assert abs(angles[-1] - angles[0]) == pytest.approx(2 * np.pi)
    assert dot.get_xydata().tolist() == [mean.tolist()]
    assert dot.get_marker() == "o"


def test_most_ellipses_are_alike_and_the_map_stays_as_it_is():
    ax = a_map()
    ax.set(xlim=(-1, 1), ylim=(-2, 2))
    covariances = np.tile(np.eye(2), (3, 1, 1))
    assert (
        plotting.plot_ellipses(5 * TRUE, covariances, ax, labels="90 %", colors=plotting.INK) is ax
    )
    assert ax.get_xlim() == (-1, 1)
    assert ax.get_ylim() == (-2, 2)
    assert list(labelled(ax)) == ["90 %"]
    assert {to_hex(line.get_color()) for line in ax.lines} == {plotting.INK}
    assert not any(line.is_dashed() for line in ax.lines)


def test_ellipses_with_names_differ_in_colour_and_dash():
    covariances = np.tile(np.eye(2), (3, 1, 1))
    ax = plotting.plot_ellipses(TRUE, covariances, a_map(), labels=["a", "b", "c"], truths=TRUE + 1)
    shown = labelled(ax)
    assert list(shown) == ["a", "b", "c", "truth"]
    for seen in zip(*(looks(shown[label]) for label in "abc"), strict=True):
        assert len(set(seen)) == 3
    np.testing.assert_allclose(shown["truth"].get_xydata(), TRUE + 1)
    assert shown["truth"].get_marker() == "+"
    assert to_hex(shown["truth"].get_color()) == plotting.CLAY
    for number, label in enumerate("abc"):
        np.testing.assert_allclose(shown[label].get_xydata()[:-1].mean(axis=0), TRUE[number])


def test_what_was_believed_before_can_be_dashed():
    ax = plotting.plot_ellipses(
        TRUE[:2],
        [np.eye(2), 4 * np.eye(2)],
        a_map(),
        labels=["before", "after"],
        colors=[plotting.SOFT_INK, plotting.LEAF],
        linestyles=["--", "-"],
    )
    before, after = (labelled(ax)[label] for label in ("before", "after"))
    assert before.is_dashed()
    assert not after.is_dashed()
    assert to_hex(after.get_color()) == plotting.LEAF
    ratio = np.ptp(after.get_xdata()) / np.ptp(before.get_xdata())
    assert ratio == pytest.approx(2)


@pytest.mark.parametrize(
    ("means", "covariances", "options", "message"),
    [
        (TRUE, np.eye(2), {}, r"\(3, 2, 2\).*\(1, 2, 2\)"),
        (np.zeros((0, 2)), np.zeros((0, 2, 2)), {}, "means must hold a place"),
        (TRUE[0], [[1.0, 2.0], [0.0, 1.0]], {}, "symmetric"),
        (TRUE[0], [[1.0, 2.0], [2.0, 1.0]], {}, "negative eigenvalue"),
        (TRUE[0], np.full((2, 2), np.nan), {}, "covariances"),
        (TRUE[0], np.eye(2), {"share": 1.0}, "share"),
        (TRUE[0], np.eye(2), {"labels": ["a", "b"]}, "labels must be one for all, or 1"),
        (TRUE[0], np.eye(2), {"colors": []}, "colors must be one for all"),
        (TRUE[0], np.eye(2), {"truths": TRUE}, "truths must be 1"),
    ],
)
def test_what_is_no_ellipse_is_refused(means, covariances, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_ellipses(means, covariances, a_map(), **options)


def test_a_belief_may_be_as_thin_as_a_line():
    ax = plotting.plot_ellipses([0.0, 0.0], [[4.0, 0.0], [0.0, 0.0]], a_map(), share=0.5)
    x, y = ax.lines[0].get_data()
    assert x.max() == pytest.approx(2 * np.sqrt(2 * np.log(2)))
    np.testing.assert_allclose(y, 0, atol=1e-9)


# --- claims --------------------------------------------------------------------------------------


def bins_of(ax):
    """Claim, median, and both ends of the bar, of each bin."""
    (container,) = ax.containers
    middles, _, (bars,) = container.lines
    segments = np.array(bars.get_segments())
    x, y = middles.get_xydata().T
    np.testing.assert_allclose(segments[:, :, 0], np.stack([x, x], axis=1))
    return np.stack([x, y, segments[:, 0, 1], segments[:, 1, 1]])


def test_bins_hold_equally_many_by_claim():
    generator = np.random.default_rng(0)
    claimed = np.exp(generator.normal(size=600))
    errors = claimed * np.abs(generator.normal(size=600))
    ax = plotting.plot_claims(claimed, errors, num_bins=6, label="claimed (m)", title="T")
    order = np.argsort(claimed)
    expected = [
        [np.median(claimed[some]), *np.quantile(errors[some], [0.5, 0.1, 0.9])]
        for some in order.reshape(6, 100)
    ]
    np.testing.assert_allclose(bins_of(ax).T, expected)
    assert is_log(ax)
    assert in_legend(ax) == ["as claimed", "single errors", "median, and 10 to 90 %"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("claimed (m)", "error")
    assert ax.get_title(loc="left") == "T"
    ends = [[claimed.min()] * 2, [claimed.max()] * 2]
    assert labelled(ax)["as claimed"].get_xydata().tolist() == ends


def cloud(ax):
    return max((np.array(one.get_offsets()) for one in ax.collections), key=len)


def test_points_are_at_most_so_many_of_all():
    claimed = np.geomspace(1, 10, 20_000)
    errors = claimed + 1
    ax = plotting.plot_claims(claimed, errors, label="claimed")
    points = cloud(ax)
    assert 1400 <= len(points) <= 1500
    assert (points[:, 1] == points[:, 0] + 1).all()
    steps = np.diff(np.searchsorted(claimed, points[:, 0]))
    assert steps.max() <= steps.min() + 1  # evenly
    few = plotting.plot_claims(claimed[:300], errors[:300], label="claimed")
    assert len(cloud(few)) >= 296


def test_errors_of_nothing_count_and_are_not_drawn():
    errors = np.array([0.0] * 70 + [1.0] * 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = plotting.plot_claims(np.linspace(1, 2, 100), errors, num_bins=1, label="claimed")
        pixels(ax.figure)
    assert len(cloud(ax)) == 30
    _, median, low, high = bins_of(ax)[:, 0]
    assert (median, low, high) == (1, 1, 1)  # lifted to the least that can be drawn


def test_two_panels_have_one_scale_and_leave_the_legend():
    figure, axes = plotting.graph_panels(2)
    errors = np.geomspace(0.01, 10, 100)
    plotting.plot_claims(errors, errors, axes[0], label="a")
    plotting.plot_claims(np.linspace(1, 2, 100), errors, axes[1], label="b")
    low, high = axes[0].get_ylim()
    assert axes[1].get_ylim() == (low, high)
    assert low < errors[5] < errors[-1] < high
    assert [ax.get_legend() for ax in axes] == [None, None]
    assert [ax.get_ylabel() for ax in axes] == ["error", ""]
    pixels(figure)


@pytest.mark.parametrize(
    ("claimed", "errors", "bins", "message"),
    [
        ([1.0, 2.0], [1.0], 1, r"\(2,\) and \(1,\)"),
        ([1.0, 2.0], [1.0, 2.0], 3, "3 at least"),
        ([0.0, 2.0], [1.0, 2.0], 1, "claims must be above 0"),
        ([1.0, 2.0], [-1.0, 2.0], 1, "errors 0 or more"),
        ([1.0, 2.0], [0.0, 0.0], 1, "not all 0"),
        ([1.0, np.nan], [1.0, 2.0], 1, "claimed"),
        ([1.0, 2.0], [1.0, 2.0], 0, "num_bins"),
    ],
)
def test_claims_that_cannot_be_drawn_are_refused(claimed, errors, bins, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_claims(claimed, errors, num_bins=bins, label="claimed")


# --- guesses -------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.0, 1e3), min_size=3, max_size=3).filter(lambda w: max(w) > 1e-3))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_areas_of_guesses_are_as_their_weights(weights):
    plt.close("all")
    ax = plotting.plot_guesses(TRUE, weights, a_map(), truth=[1.0, 2.0])
    guesses = ax.collections[0]
    np.testing.assert_allclose(guesses.get_offsets(), TRUE)
    areas = guesses.get_sizes()
    np.testing.assert_allclose(areas / areas.sum(), np.array(weights) / np.sum(weights), atol=1e-12)
    assert 5 < areas.max() <= 144


def test_a_lone_heavy_guess_does_not_cover_the_map():
    weights = np.full(2000, 1e-9)
    weights[7] = 1.0
    places = np.random.default_rng(0).normal(size=(2000, 2))
    ax = plotting.plot_guesses(places, weights, a_map(), truth=[0.0, 0.0])
    assert ax.collections[0].get_sizes().max() == pytest.approx(144)


def test_truth_belief_and_ellipse_are_told_apart():
    covariance = np.array([[30.0, 10.0], [10.0, 60.0]])
    ax = plotting.plot_guesses(
        TRUE,
        np.ones(3),
        a_map(),
        truth=[1.0, 2.0],
        mean=[3.0, 4.0],
        covariance=covariance,
        half_width=50.0,
        centre=(10.0, 20.0),
        title="T",
    )
    shown = labelled(ax)
    assert list(shown) == ["guesses", "believed, 90 %", "truth"]
    assert shown["truth"].get_xydata().tolist() == [[1, 2]]
    assert shown["truth"].get_marker() == "+"
    white = np.linalg.solve(
        np.linalg.cholesky(covariance), shown["believed, 90 %"].get_xydata().T - [[3], [4]]
    )
    np.testing.assert_allclose((white**2).sum(axis=0), 2 * np.log(10))
    assert ax.get_xlim() == (-40, 60)
    assert ax.get_ylim() == (-30, 70)
    assert ax.get_title(loc="left") == "T"
    alone = labelled(
        plotting.plot_guesses(TRUE, np.ones(3), a_map(), truth=[1.0, 2.0], mean=[3, 4])
    )
    assert alone["believed"].get_xydata().tolist() == [[3, 4]]
    assert "believed" not in labelled(plotting.plot_guesses(TRUE, [1, 1, 1], a_map(), truth=[1, 2]))


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        ([1.0, 1.0], {}, r"weights must be 3.*\(2,\)"),
        ([1.0, 1.0, -1.0], {}, "0 or more"),
        ([0.0, 0.0, 0.0], {}, "not all 0"),
        ([1.0, 1.0, 1.0], {"truth": TRUE}, "truth must be one place"),
        ([1.0, 1.0, 1.0], {"covariance": np.eye(2)}, "give the mean"),
    ],
)
def test_what_are_no_guesses_is_refused(weights, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_guesses(TRUE, weights, a_map(), **{"truth": [0.0, 0.0], **options})


# --- coverage ------------------------------------------------------------------------------------

# Student's t for 95 % and 3 degrees of freedom, from the tables.
T_OF_THREE = 3.182


def test_each_method_has_a_row_with_its_worlds_and_their_mean():
    table = {"one": [0.80, 0.84, 0.86, 0.90], "two": [0.5], "three": [0.99, 1.0, 1.0, 0.97]}
    ax = plotting.plot_coverage(table, claimed=0.9, band=(0.85, 0.95), title="T")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(table)
    tops = [ax.transData.transform((0.9, row))[1] for row in range(3)]
    assert tops == sorted(tops, reverse=True)
    for row, (dots, container, shares) in enumerate(
        zip(ax.collections[::2], ax.containers, table.values(), strict=True)
    ):
        x, y = np.array(dots.get_offsets()).T
        np.testing.assert_allclose(x, shares)
        assert (np.abs(y - row) < 0.3).all()
        middle, _, (bar,) = container.lines
        assert middle.get_xydata()[0].tolist() == pytest.approx([np.mean(shares), row])
        (ends,) = bar.get_segments()
        half = T_OF_THREE * np.std(shares, ddof=1) / 2 if len(shares) > 1 else 0.0
        low, high = np.mean(shares) - half, min(np.mean(shares) + half, 1.0)
        np.testing.assert_allclose(ends, [[low, row], [high, row]], atol=1e-4)
    shown = labelled(ax)
    assert list(shown["claimed, 0.9"].get_xdata()) == [0.9, 0.9]
    band = shown["0.85 to 0.95"]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.85, 0.95))
    (legend,) = ax.figure.legends
    labels = ["0.85 to 0.95", "claimed, 0.9", "a world", "mean, 95 % interval"]
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(labels)
    assert ax.get_xlim() == pytest.approx((0.4, 1.0))
    assert ax.get_title(loc="left") == "T"


def test_coverages_side_by_side_leave_the_legend_and_have_room_on_a_phone():
    figure, axes = plotting.graph_panels(2)
    for ax in axes:
        assert plotting.plot_coverage({"tracker": [0.9, 0.8]}, ax) is ax
    assert not figure.legends
    assert [ax.get_legend() for ax in axes] == [None, None]
    pixels(figure)
    with drawn_narrow(figure):
        one, other = (ax.get_window_extent() for ax in axes)
        assert one.y0 > other.y1
    plotting.plot_coverage({"tracker": [0.9, 0.8]}, axes[0], legend=True)
    assert len(figure.legends) == 1


def test_all_shares_are_on_the_axis():
    ax = plotting.plot_coverage({"a": [0.0, 1.0]}, band=None)
    assert ax.get_xlim() == (0, 1)
    assert not [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    good = plotting.plot_coverage({"a": [0.9, 0.92]}, claimed=0.8)
    low, high = good.get_xlim()
    assert low < 0.8 < 0.92 < high


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "table must hold a method"),
        ({"a": []}, r"'a' must be from 0 to 1.*\(0,\)"),
        ({"a": [0.5, 1.1]}, "from 0.5 to 1.1"),
        ({"a": [[0.5]]}, r"\(1, 1\)"),
    ],
)
def test_what_are_no_shares_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_coverage(table)


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", made_up_tracks.FIGURES, ids=lambda draw: draw.__name__)
def test_letters_are_large_enough_and_nothing_is_warned_of(draw):
    before = dict(mpl.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw()
        first = pixels(figure)
        np.testing.assert_array_equal(first, pixels(draw()))
        with drawn_narrow(figure):
            assert small_letters(figure) == []
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("draw", made_up_tracks.FIGURES, ids=lambda draw: draw.__name__)
def test_legends_cover_no_panel(draw):
    figure = draw()
    pixels(figure)
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    assert len(legends) == 1
    for around in (None, drawn_narrow(figure)):
        with around or mpl.rc_context():
            legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
            box = legends[0].get_window_extent()
            for ax in figure.axes:
                assert not box.overlaps(ax.get_window_extent())


def test_numbers_far_from_one_are_written_as_powers():
    _, (ax,) = plotting.graph_panels(1)
    plotting.plot_claims([1e-9, 1.0, 1e9], [1.0, 2.0, 3.0], ax, num_bins=1, label="claimed")
    pixels(ax.figure)
    shown = {text.get_text() for text in ax.get_xticklabels()}
    assert {"$10^{-8}$", "$10^{8}$", "0.01", "100"} <= shown


def test_the_paper_colour_stays_out_of_the_dark():
    figure = made_up_tracks.paths()
    pixels(figure)
    with drawn_for_dark(figure):
        drawn = pixels(figure)
    np.testing.assert_allclose(drawn[0, 0], to_rgb(dark.PAPER), atol=1 / 255)
