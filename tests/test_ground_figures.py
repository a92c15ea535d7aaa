"""What is drawn of somebody else's ground must be what the arrays say."""

import itertools

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from matplotlib.text import Text

from tree_world import plotting
from tree_world.evaluation import Estimate, mean_with_interval
from tree_world.plotting.dark import drawn_for_dark
from tree_world.plotting.narrow import WIDTH, drawn_narrow, small_letters

GENERATOR = np.random.default_rng(0)
PLACES = GENERATOR.uniform(-900, 900, (30, 2))
METALS = ("cadmium", "copper", "lead", "zinc")
SENSES = {metal: GENERATOR.normal(size=30) for metal in METALS}
DEVIATIONS = np.geomspace(13.0, 6000.0, 25)


pytestmark = pytest.mark.usefixtures("book_style")


def valley(best, depth):
    return 1 - depth * np.exp(-(np.log(DEVIATIONS / best) ** 2))


ERRORS = {
    metal: {"constant": valley(70.0, 0.3 + 0.1 * row), "linear": valley(90.0, 0.4 + 0.1 * row)}
    for row, metal in enumerate(METALS)
}
HELD = {
    metal: [Estimate(share + 0.01 * row, share - 0.05, share + 0.06, 10) for share in (0.5, 0.9)]
    for row, metal in enumerate(METALS)
}


def stations():
    maps = plotting.plot_stations(PLACES, SENSES, label="ln mg/kg", half_width=1000.0)
    return maps[0].figure


def widths():
    return plotting.plot_widths(DEVIATIONS, ERRORS, ylabel="error")[0].figure


def held():
    return plotting.plot_held([0.5, 0.9], HELD, title="Claimed").figure


# --- stations ------------------------------------------------------------------------------------


def test_each_sense_has_a_map_of_the_same_places_on_one_scale():
    maps = plotting.plot_stations(PLACES, SENSES, label="ln mg/kg", half_width=1000.0)
    assert [ax.get_title(loc="left") for ax in maps] == list(METALS)
    ends = set()
    for ax, values in zip(maps, SENSES.values(), strict=True):
        (discs,) = ax.collections
        np.testing.assert_allclose(discs.get_offsets(), PLACES)
        np.testing.assert_allclose(discs.get_array(), values)
        ends.add(discs.get_clim())
        assert ax.get_xlim() == ax.get_ylim() == (-1000, 1000)
        assert ax.get_aspect() == 1
    everything = np.concatenate(list(SENSES.values()))
    assert ends == {(everything.min(), everything.max())}


def test_colours_say_how_much():
    (ax,) = plotting.plot_stations(
        [[0.0, 0.0], [50.0, 0.0]],
        {"zinc": [0.0, 1.0]},
        label="ln mg/kg",
        half_width=100.0,
        limits=(0.0, 2.0),
    )
    ax.figure.canvas.draw()
    (discs,) = ax.collections
    np.testing.assert_allclose(discs.get_facecolors(), mpl.colormaps["cividis"]([0.0, 0.5]))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_there_are_as_many_maps_as_senses_and_two_in_a_row(number):
    some = {f"{row}": np.arange(30.0) for row in range(number)}
    maps = plotting.plot_stations(PLACES, some, label="mg", half_width=1000.0)
    maps[0].figure.canvas.draw()
    left = [round(float(ax.get_position().x0), 2) for ax in maps]
    assert len(maps) == number
    assert len(set(left)) == min(2, number)
    assert all(ax.get_xlabel() for ax in maps[-min(2, number) :])


@pytest.mark.parametrize(
    ("places", "senses", "message"),
    [
        (PLACES[:, :1], SENSES, r"shape \(n, 2\)"),
        (PLACES, {}, "0 senses"),
        (PLACES, {"zinc": [1.0, 2.0]}, "one for each place"),
        (PLACES, {"zinc": np.full(30, np.nan)}, "must be finite"),
    ],
)
def test_what_cannot_be_drawn_is_refused(places, senses, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_stations(places, senses, label="mg", half_width=1000.0)


def test_a_map_has_an_extent():
    with pytest.raises(ValueError, match="half_width"):
        plotting.plot_stations(PLACES, SENSES, label="mg", half_width=0.0)


# --- widths --------------------------------------------------------------------------------------


def test_each_curve_is_drawn_and_its_least_is_ringed():
    axes = plotting.plot_widths(DEVIATIONS, ERRORS, ylabel="error")
    assert [ax.get_title(loc="left") for ax in axes] == list(METALS)
    for ax, curves in zip(axes, ERRORS.values(), strict=True):
        lines = ax.get_lines()
        for curve, line, ring in zip(curves.values(), lines[::2], lines[1::2], strict=True):
            np.testing.assert_allclose(line.get_xydata(), np.stack([DEVIATIONS, curve], axis=-1))
            at = np.argmin(curve)
            np.testing.assert_allclose(ring.get_xydata(), [[DEVIATIONS[at], curve[at]]])
        assert ax.get_xscale() == "log"
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["constant", "linear", "least"]


@pytest.mark.parametrize("tried", [DEVIATIONS, np.geomspace(20.0, 60.0, 25), [5.0], [3.0, 900.0]])
def test_numbers_of_the_axis_lie_within_it(tried):
    curves = {"zinc": {"linear": np.ones(len(tried))}}
    (ax,) = plotting.plot_widths(tried, curves, ylabel="error")
    ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    shown = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert shown
    assert all(label.get_text() for label in ax.get_xticklabels())


@pytest.mark.parametrize(
    ("tried", "errors", "message"),
    [
        ([0.0, 1.0], {"zinc": {"linear": [1.0, 1.0]}}, "above 0"),
        ([], {"zinc": {"linear": []}}, "above 0"),
        ([1.0, 2.0], {}, "0 quantities"),
        ([1.0, 2.0], {"zinc": {"linear": [1.0]}}, "one for each deviation"),
        ([1.0, 2.0], {"zinc": {"linear": [1.0, np.inf]}}, "must be finite"),
    ],
)
def test_curves_that_do_not_fit_are_refused(tried, errors, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_widths(tried, errors, ylabel="error")


# --- held ----------------------------------------------------------------------------------------


def test_shares_stand_beside_what_is_claimed():
    ax = plotting.plot_held([0.5, 0.9], HELD)
    for place, (line, share) in enumerate(zip(ax.get_lines(), (50, 90), strict=False)):
        x, y = line.get_data()
        np.testing.assert_allclose(y, share)
        assert x[0] < place < x[1]
    drawn = {bars.get_label(): bars for bars in ax.containers}
    assert list(drawn) == list(METALS)
    for metal, shares in HELD.items():
        marks, _, (bars,) = drawn[metal]
        np.testing.assert_allclose(marks.get_ydata(), [100 * share.mean for share in shares])
        ends = np.array(bars.get_segments())[:, :, 1]
        np.testing.assert_allclose(ends, [[100 * one.low, 100 * one.high] for one in shares])
        assert np.abs(marks.get_xdata() - [0, 1]).max() < 0.4
    asides = [drawn[metal][0].get_xdata()[0] for metal in METALS]
    assert all(right > left for left, right in itertools.pairwise(asides))


def test_intervals_end_where_shares_do():
    sure = mean_with_interval([1.0, 1.0, 0.9])
    assert sure.high > 1
    ax = plotting.plot_held([0.95], {"zinc": [sure]})
    ((_, _, (bars,)),) = ax.containers
    assert bars.get_segments()[0][1, 1] == pytest.approx(100)


def test_claims_are_shares_and_each_has_a_number():
    with pytest.raises(ValueError, match="from 0 to 1"):
        plotting.plot_held([90.0], {"zinc": HELD["zinc"][:1]})
    with pytest.raises(ValueError, match="one for each claim"):
        plotting.plot_held([0.5, 0.9], {"zinc": HELD["zinc"][:1]})


# --- on paper of any kind ------------------------------------------------------------------------


@pytest.fixture(params=[stations, widths, held])
def figure(request):
    return request.param()


def test_letters_are_large_enough_and_on_the_page(figure):
    figure.canvas.draw()
    assert not small_letters(figure)
    room = figure.bbox.padded(8)
    words = [
        text.get_window_extent()
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text.get_clip_box() is None
    ]
    inside = [box for box in words if room.containsx(box.x0) and room.containsx(box.x1)]
    assert len(inside) > 0.8 * len(words)  # ticks beyond an axis are not drawn


def test_it_is_drawn_narrow_and_is_as_it_was_afterwards(figure):
    figure.canvas.draw()
    size = figure.get_size_inches().copy()
    with drawn_narrow(figure):
        assert figure.get_figwidth() == pytest.approx(WIDTH)
        assert not small_letters(figure)
    np.testing.assert_allclose(figure.get_size_inches(), size)


def test_it_is_drawn_for_the_dark(figure):
    figure.canvas.draw()
    light = np.asarray(figure.canvas.buffer_rgba())[..., :3].mean()
    with drawn_for_dark(figure):
        figure.canvas.draw()
        dark = np.asarray(figure.canvas.buffer_rgba())[..., :3].mean()
    assert dark < 100 < light
