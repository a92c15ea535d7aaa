"""A figure for a narrow column says what the wide one says, in letters that can be read."""

import itertools

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.legend import Legend
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tests import made_up_charts, made_up_spaces, made_up_tracks
from tree_world import plotting
from tree_world.plotting.dark import drawn_for_dark
from tree_world.plotting.narrow import WIDTH, drawn_narrow, small_letters
from tree_world.plotting.style import LEAST_SIZE
from tree_world.simulation import SimpleSensor

GRID = plotting.MapGrid(500.0, 20)
LABELS = ["everything", "the policy", "2,000 at random", "5,000 at random", "the last 2,000"]


pytestmark = pytest.mark.usefixtures("book_style")


def maps(number):
    figure, axes = plotting.map_panels(number)
    for ax in axes:
        plotting.plot_value_field(torch.arange(400.0), GRID, ax, title="A map", label="error")
    return figure


def graphs(number):
    figure, axes = plotting.graph_panels(number)
    for ax in axes:
        for place, label in enumerate(LABELS):
            ax.plot([0, 1], [place, place + 1], label=label)
        ax.set(xlabel="x (m)", title="A graph")
    axes[0].set_ylabel("smell")
    handles, labels = axes[0].get_legend_handles_labels()
    plotting.legend_under_figure(figure, handles, labels)
    return figure


def stacked():
    figure, axes = plotting.stacked_panels((2.0, 1.5))
    for ax in axes:
        ax.plot([0, 1], [0, 1])
    return figure


def square():
    figure, axes = plt.subplots(2, 2, figsize=(plotting.TEXT_WIDTH, 4.8), sharex=True, sharey=True)
    for ax in axes.flat:
        ax.plot([0, 1], [0, 1])
    return figure


FIGURES = {
    "a map": lambda: maps(1),
    "two maps": lambda: maps(2),
    "three maps": lambda: maps(3),
    "a graph": lambda: graphs(1),
    "three graphs": lambda: graphs(3),
    "stacked": stacked,
    "two by two": square,
    **{
        draw.__name__.replace("_", " "): draw
        for draw in (*made_up_charts.FIGURES, *made_up_tracks.FIGURES, *made_up_spaces.FIGURES)
    },
}


@pytest.fixture(params=FIGURES)
def figure(request):
    return FIGURES[request.param]()


def panels(figure):
    return [ax for ax in figure.axes if ax.get_subplotspec() is not None]


def boxes(figure):
    return [ax.get_position().bounds for ax in figure.axes]


def settle(figure):
    """Lay it out until nothing moves any more, which takes a few rounds."""
    for _ in range(3):
        before = boxes(figure)
        figure.draw_without_rendering()
        if boxes(figure) == before:
            break


def test_it_is_narrow_and_afterwards_as_it_was(figure):
    settle(figure)
    size, before = figure.get_size_inches().copy(), boxes(figure)
    legends = list(figure.legends)
    words = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    with drawn_narrow(figure):
        assert figure.get_figwidth() == pytest.approx(WIDTH)
    with pytest.raises(OSError, match="full"), drawn_narrow(figure):
        raise OSError("the disk is full")
    settle(figure)
    np.testing.assert_allclose(figure.get_size_inches(), size)
    np.testing.assert_allclose(boxes(figure), before, atol=0.01)
    assert figure.legends == legends
    assert [text.get_text() for text in figure.findobj(Text) if text.get_visible()] == words


def test_its_panels_are_below_each_other_with_scales_and_words_that_do_not_collide(figure):
    in_a_row = panels(figure)[0].get_gridspec().nrows == 1
    label = panels(figure)[0].get_ylabel()
    with drawn_narrow(figure):
        shown = [ax.get_window_extent() for ax in panels(figure)]
        if in_a_row:
            for above, below in itertools.pairwise(shown):
                assert above.y0 > below.y1
            for ax in panels(figure):
                assert ax.get_ylabel() == label
                assert any(one.get_visible() and one.get_text() for one in ax.get_yticklabels())
                assert ax.get_window_extent().width > 0.45 * WIDTH * figure.dpi
        room = figure.bbox.padded(8)  # what stands out a little is saved with it
        words = [text.get_window_extent() for text in drawn_words(figure)]
        assert len(words) > 5
        for box in words:
            assert room.x0 <= box.x0
            assert box.x1 <= room.x1
        for one, other in itertools.combinations(words, 2):
            overlap = one.intersection(one, other)
            assert overlap is None or overlap.width * overlap.height < 12, (one, other)


def drawn_words(figure):
    """Texts that are seen: labels of ticks beyond what an axis shows are there, and not drawn."""
    beyond = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    beyond |= {tick.label1, tick.label2}
    return [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in beyond
    ]


def test_a_wide_legend_takes_more_rows():
    figure = graphs(2)
    (legend,) = figure.legends
    before = legend.get_window_extent()
    assert before.width > WIDTH * figure.dpi
    with drawn_narrow(figure):
        (narrow,) = figure.legends
        after = narrow.get_window_extent()
        assert after.width <= WIDTH * figure.dpi
        assert after.height > 1.5 * before.height
        assert [text.get_text() for text in narrow.get_texts()] == LABELS
    assert figure.legends == [legend]


def test_a_legend_below_axes_does_so_too():
    _, (ax,) = plotting.graph_panels(1)
    for label in LABELS:
        ax.plot([0, 1], [0, 1], label=label)
    legend = plotting.legend_below(ax)
    with drawn_narrow(ax.figure):
        assert ax.get_legend().get_window_extent().width <= WIDTH * ax.figure.dpi
    assert ax.get_legend() is legend
    assert sum(isinstance(child, Legend) for child in ax.get_children()) == 1


def test_scents_in_a_narrow_legend_are_painted_for_the_dark(make_world):
    names = ["apple", "mango", "nightshade", "fig", "pear", "plum"]
    world = make_world(200 * torch.randn(6, 2, generator=torch.Generator().manual_seed(1)), names)
    axes = plotting.map_panels(1)[1]
    palette = plotting.ScentPalette.from_world(world)
    values = SimpleSensor().sense(world, GRID.points)[1]
    plotting.plot_scent_field(values, GRID, palette, axes[0])
    named = {tree.name: tree.embedding for tree in world.trees}
    plotting.scent_legend(palette, named, axes[0].figure)
    figure = axes[0].figure

    def colours():
        (legend,) = figure.legends
        return [patch.get_facecolor() for patch in legend.findobj(Rectangle)[:18]]

    with drawn_narrow(figure):
        narrow = figure.legends[0]
        light = colours()
        with drawn_for_dark(figure):
            assert colours() != light
        assert colours() == light
    assert figure.legends[0] is not narrow


def test_numbers_of_an_axis_that_would_collide_are_thinned_out():
    figure, (ax,) = plotting.graph_panels(1)
    ax.plot([0, 1e6], [0, 1])
    names = {place: f"{place:,}" for place in range(0, 1_000_001, 100_000)}
    ax.set_xticks(list(names), list(names.values()))
    figure.draw_without_rendering()
    with drawn_narrow(figure):
        shown = {label.get_text(): label.get_window_extent() for label in ax.get_xticklabels()}
        assert 3 <= len(shown) < len(names)
        for place, label in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True):
            assert label.get_text() == names[place]
        for one, other in itertools.pairwise(shown.values()):
            assert one.x1 < other.x0
    assert [label.get_text() for label in ax.get_xticklabels()] == list(names.values())


def test_a_legend_inside_of_axes_stays_within_them():
    _, (ax,) = plotting.graph_panels(1)
    for label in LABELS:
        ax.plot([0, 1], [0, 1], label=label)
    legend = plotting.legend_within(ax, num_columns=5, loc="upper left")
    with drawn_narrow(ax.figure):
        box, around = ax.get_legend().get_window_extent(), ax.get_window_extent()
        assert around.x0 <= box.x0
        assert box.x1 <= around.x1
    assert ax.get_legend() is legend


def test_small_letters_are_found():
    figure = graphs(1)
    assert small_letters(figure) == []
    figure.axes[0].text(0.5, 0.5, "tiny", fontsize=LEAST_SIZE - 1)
    figure.axes[0].text(0.5, 0.5, "", fontsize=1)
    assert small_letters(figure) == ["tiny"]
