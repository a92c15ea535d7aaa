"""The numbers that are read from a figure are those that were drawn, and draw it anew."""

import csv
import io

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Ellipse

from tests import made_up_charts, made_up_spaces
from tree_world import plotting
from tree_world.plotting.numbers import MOST_CELLS, as_csv, figure_numbers

X = np.linspace(0.0, 3.0, 40)
ROWS = np.array([0.0, 1.0, 2.0])


pytestmark = pytest.mark.usefixtures("book_style")


def graph(draw):
    figure, (ax,) = plotting.graph_panels(1)
    draw(ax)
    return figure


def rows_of(figure):
    """What the table of a figure says: rows by name, numbers as such."""
    lines = [line for line in as_csv(figure_numbers(figure)).splitlines() if line[0] != "#"]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    words = ("panel", "series", "shows", "x label", "y label", "x name", "y name")
    return [
        {key: value if key in words else float(value or "nan") for key, value in row.items()}
        for row in rows
    ]


def column(rows, name):
    return np.array([row[name] for row in rows])


def redraw_line(ax, rows):
    ax.plot(column(rows, "x"), column(rows, "y"))


def redraw_steps(ax, rows):
    ax.step(column(rows, "x"), column(rows, "y"), where=rows[0]["shows"].split(", ")[1])


def redraw_band(ax, rows):
    ax.fill_between(column(rows, "x"), column(rows, "y low"), column(rows, "y high"), alpha=0.3)


def redraw_errors(ax, rows):
    x, y = column(rows, "x"), column(rows, "y")
    ax.errorbar(x, y, yerr=[y - column(rows, "y low"), column(rows, "y high") - y], fmt="o")


def redraw_lying_errors(ax, rows):
    x, y = column(rows, "x"), column(rows, "y")
    ax.errorbar(x, y, xerr=[x - column(rows, "x low"), column(rows, "x high") - x], fmt="o")


def redraw_bars(ax, rows):
    low, high = column(rows, "x low"), column(rows, "x high")
    ax.barh(column(rows, "y"), high - low, left=low)


def redraw_marks(ax, rows):
    ax.scatter(column(rows, "x"), column(rows, "y"), s=column(rows, "size"))


def draw_cells(ax, values):
    ax.imshow(values.reshape(4, 6), extent=(0, 3, 0, 2), origin="lower", aspect="auto")


def redraw_cells(ax, rows):
    draw_cells(ax, column(rows, "value"))


KINDS = {
    "line": (lambda ax: ax.plot(X, np.sin(9 * X)), redraw_line),
    "a gap": (lambda ax: ax.plot(X, np.where(X > 1, np.sin(X), np.nan)), redraw_line),
    "steps": (lambda ax: ax.step(X, X**2, where="post"), redraw_steps),
    "band": (lambda ax: ax.fill_between(X, np.sin(X), 2 + X, alpha=0.3), redraw_band),
    "errors": (
        lambda ax: ax.errorbar(ROWS, ROWS + 1, yerr=[ROWS / 3, ROWS / 2 + 0.1], fmt="o"),
        redraw_errors,
    ),
    "lying errors": (
        lambda ax: ax.errorbar(ROWS + 1, ROWS, xerr=[ROWS / 3, ROWS / 2 + 0.1], fmt="o"),
        redraw_lying_errors,
    ),
    "bars": (lambda ax: ax.barh(ROWS, ROWS + 1, left=ROWS / 2), redraw_bars),
    "marks": (lambda ax: ax.scatter(X, X**3, s=3 + 9 * X), redraw_marks),
    "cells": (
        lambda ax: ax.imshow(
            np.sin(np.arange(24.0)).reshape(4, 6),
            extent=(0, 3, 0, 2),
            origin="lower",
            aspect="auto",
        ),
        redraw_cells,
    ),
}


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).astype(float)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_drawn_again_give_the_same_picture(kind):
    draw, again = KINDS[kind]
    first = graph(draw)
    rows = rows_of(first)
    second = graph(lambda ax: again(ax, rows))
    second.axes[0].set(xlim=first.axes[0].get_xlim(), ylim=first.axes[0].get_ylim())
    difference = np.abs(pixels(first) - pixels(second))
    assert pixels(first).std() > 1
    assert np.sqrt((difference**2).mean()) < 0.1


def test_series_are_named_as_in_the_legend_with_panels_labels_and_units():
    figure, axes = plotting.graph_panels(2)
    for ax, title in zip(axes, ("Near", "Far"), strict=True):
        ax.plot(X, X, color=plotting.LEAF, label="error")
        ax.plot(X, 2 * X, color=plotting.CLAY)
        ax.set(title=title, xlabel="distance (m)", ylabel="error, as a share")
    found = figure_numbers(figure)
    assert [(one["panel"], one["series"]) for one in found] == [
        *(("Near", name) for name in ("error", "line 2")),
        *(("Far", name) for name in ("error", "line 2")),
    ]
    assert {one["x_label"] for one in found} == {"distance (m)"}
    np.testing.assert_array_equal(found[1]["y"], 2 * X)
    assert "# x label: distance (m)\n# y label: error, as a share\n" in as_csv(found)


def test_a_legend_is_asked_for_what_a_line_is_called():
    figure, (ax,) = plotting.graph_panels(1)
    ax.plot(X, X, color=plotting.LEAF)
    ax.plot(X, -X, color=plotting.CLAY)
    handle = plt.Line2D([], [], color=plotting.CLAY)
    plotting.legend_under_figure(figure, [handle], ["all worlds"])
    assert [one["series"] for one in figure_numbers(figure)] == ["line 1", "all worlds"]


def test_rows_have_the_names_that_the_axis_gives_them():
    rows = [one for one in rows_of(made_up_charts.parts()) if one["shows"] == "points"]
    assert {row["y name"] for row in rows} == set(made_up_charts.KINDS)


def test_numbers_of_the_library_are_those_that_it_was_given():
    found = {
        one["series"]: one
        for one in figure_numbers(made_up_charts.alive_by_count())
        if one["shows"] == "points"
    }
    of = np.array([20, 30, 25, 8])
    np.testing.assert_allclose(found["omniscient"]["x"], [6, 8, 10, 12], atol=0.5)
    np.testing.assert_allclose(found["omniscient"]["y"], np.array([12, 25, 25, 8]) / of)
    evidence = {one["series"]: one for one in figure_numbers(made_up_spaces.occam())}
    assert {"fit", "log-determinant", "evidence"} <= set(evidence)
    together = evidence["fit"]["y"] + evidence["log-determinant"]["y"]
    assert evidence["evidence"]["y"].shape == together.shape


def test_levels_areas_intervals_contours_and_outlines_are_read_and_decoration_is_not():
    def draw(ax):
        ax.axhline(0.5, label="chance")
        ax.axvline(2.0)
        ax.axvspan(1.0, 1.5, label="unknown")
        ax.vlines(ROWS, 0, ROWS + 1)
        ax.contour(np.arange(3.0), np.arange(3.0), np.add.outer(ROWS, ROWS), levels=[1.5])
        ax.add_patch(Ellipse((1.0, 2.0), 2.0, 1.0, label="region"))
        ax.plot([0, 1], [0, 1], transform=ax.transAxes)
        ax.text(1, 1, "a word")
        ax.annotate("there", (1, 1), (2, 2), arrowprops={"arrowstyle": "->"})
        ax.plot([], [], label="for the legend alone")

    found = {one["series"]: one for one in figure_numbers(graph(draw))}
    assert set(found) == {"chance", "level 2", "unknown", "interval 1", "level lines 1", "region"}
    assert found["chance"]["y"] == [0.5]
    assert found["level 2"]["x"] == [2.0]
    assert (found["unknown"]["x_low"], found["unknown"]["x_high"]) == ([1.0], [1.5])
    np.testing.assert_array_equal(found["interval 1"]["y_high"], ROWS + 1)
    contour = found["level lines 1"]
    np.testing.assert_allclose(contour["x"] + contour["y"], 1.5)
    region = found["region"]
    np.testing.assert_allclose((region["x"] - 1) ** 2 + 4 * (region["y"] - 2) ** 2, 1, atol=0.01)


def test_a_large_field_is_told_and_not_listed():
    side = int(MOST_CELLS**0.5) + 1
    figure = graph(lambda ax: ax.imshow(np.zeros((side, side)), extent=(-5, 5, -5, 5)))
    (field,) = figure_numbers(figure)
    assert field["x"] is None
    assert field["note"].startswith(f"a field of {side} × {side} values, x from -5 to 5")
    assert as_csv([field]) == ""
    figure.axes[0].plot([0, 1], [0, 1], label="way")
    assert as_csv(figure_numbers(figure)).startswith(f"# a field of {side} × {side} values")


def test_reading_changes_nothing_and_says_the_same_again():
    figure = made_up_charts.parts()
    for _ in range(5):
        before = pixels(figure)
    assert as_csv(figure_numbers(figure)) == as_csv(figure_numbers(figure))
    assert np.abs(pixels(figure) - before).max() <= 1
