"""Figures for a narrow column: the same figure, laid out anew.

On a phone a figure that is as wide as the text of a desk has letters too small to read. So it is
drawn once more for a narrow column: panels that stood side by side come below each other, and a
legend takes as many rows as it needs. What is drawn in the panels, and how large its letters are,
stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Tick, XAxis
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator
from matplotlib.transforms import Bbox

from tree_world.plotting import style

WIDTH = 4.4
"""Inches. On a phone with a column of 350 dots, letters of 9.5 points are 10 of its dots high."""
AROUND = 0.45
"""Inches, of title and labels of a map."""
WITHIN = 0.75
"""Share of the width that axes have in such a figure, at least, with what stands beside them."""
APART = 4.0
"""Dots between two numbers of an axis, at least."""
GRAPH_HEIGHT = 2.6
"""Inches, of each of several graphs below each other, unless rows need more."""


@contextmanager
def drawn_narrow(figure: Figure) -> Iterator[Figure]:
    """Lay a figure out for a narrow column for a while.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        That was drawn or saved before.

    Yields
    ------
    matplotlib.figure.Figure
        The same one, `WIDTH` wide, to be saved in the meantime.

    Examples
    --------
    >>> from tree_world import plotting
    >>> figure, axes = plotting.graph_panels(2)
    >>> with drawn_narrow(figure):
    ...     tuple(float(side) for side in figure.get_size_inches())
    (4.4, 5.2)
    >>> tuple(float(side) for side in figure.get_size_inches())
    (7.4, 2.9)
    """
    undo: list[Callable[[], Any]] = [partial(figure.set_size_inches, *figure.get_size_inches())]
    try:
        undo += _stacked(figure)
        undo += _legends_that_fit(figure)
        figure.draw_without_rendering()
        undo += _ticks_that_fit(figure)
        figure.draw_without_rendering()
        yield figure
    finally:
        for step in reversed(undo):
            step()


def small_letters(figure: Figure) -> list[str]:
    """Texts of a figure that are set in smaller letters than `style.LEAST_SIZE`."""
    return [
        text.get_text()
        for text in figure.findobj(Text)
        if text.get_visible()
        and text.get_text().strip()
        and float(text.get_fontsize()) < style.LEAST_SIZE
    ]


def _stacked(figure: Figure) -> Iterator[Callable[[], Any]]:
    """Put panels of one row below each other, and make the figure narrow; yield what undoes it."""
    places = [(ax, ax.get_subplotspec()) for ax in figure.axes]
    panels = [(ax, place) for ax, place in places if place is not None]
    grids = {id(place.get_gridspec()): place.get_gridspec() for _, place in panels}
    width, height = figure.get_size_inches()
    are_maps = bool(panels) and all(ax.get_aspect() == 1 for ax, _ in panels)
    one_row = len(grids) == 1 and next(iter(grids.values())).nrows == 1
    if not one_row or len(panels) == 1:
        # A map keeps its shape, less what stands around it; a graph keeps its height.
        shape = (height - AROUND) * WIDTH / width + AROUND
        figure.set_size_inches(WIDTH, min(height, shape) if are_maps else height)
        return
    legends = sum(legend.get_window_extent().height for legend in figure.legends) / figure.dpi
    around = height - width / len(panels) if are_maps else legends
    each = WIDTH if are_maps else max(GRAPH_HEIGHT, getattr(figure, style.ROWS, 0.0))
    figure.set_size_inches(WIDTH, len(panels) * each + around)
    column = GridSpec(len(panels), 1, figure=figure)
    label = panels[0][0].get_ylabel()
    for row, (ax, place) in enumerate(panels):
        yield partial(ax.set_subplotspec, place)
        ax.set_subplotspec(column[row])
        shown = ax.yaxis.get_tick_params()["labelleft"]
        yield partial(ax.tick_params, axis="y", labelleft=shown)
        ax.tick_params(axis="y", labelleft=True)
        if not ax.get_ylabel():
            yield partial(ax.set_ylabel, "")
            ax.set_ylabel(label)


def _legends_that_fit(figure: Figure) -> Iterator[Callable[[], Any]]:
    """Give legends that are too wide fewer columns; yield what undoes it."""
    owners: list[Figure | Axes] = [figure, *figure.axes]
    for owner in owners:
        legend = owner.get_legend() if isinstance(owner, Axes) else next(iter(owner.legends), None)
        anew = getattr(legend, style.ANEW, None)
        if legend is None or anew is None:
            continue
        room = WIDTH * figure.dpi * (WITHIN if getattr(legend, style.INSIDE, False) else 0.98)
        count, width = len(legend.get_texts()), legend.get_window_extent().width
        columns = min(count, int(count * room / width))
        if columns == count:
            continue
        height = legend.get_window_extent().height
        yield partial(_put, owner, legend)
        while True:
            _put(owner, None)
            narrow = anew(max(1, columns))
            extent = narrow.get_window_extent()
            if extent.width <= room or columns <= 1:
                break
            columns -= 1
        if not getattr(legend, style.INSIDE, False):
            grown = max(0.0, (extent.height - height) / figure.dpi)
            figure.set_figheight(figure.get_figheight() + grown)


def _put(owner: Figure | Axes, legend: Legend | None) -> None:
    """Let this be the legend. `Legend.remove` would cut it off from its figure for good."""
    if isinstance(owner, Figure):
        owner.legends[:] = [] if legend is None else [legend]
    else:
        owner.legend_ = legend


def _ticks_that_fit(figure: Figure) -> Iterator[Callable[[], Any]]:
    """Leave out every other number of an x axis until they stand apart; yield what undoes it."""
    for ax in figure.axes:
        axis = ax.xaxis
        while len(labels := _drawn_labels(axis)) > 2 and _collide(labels):
            ticks = _drawn_ticks(axis)[::2]
            kept = [(tick.get_loc(), tick.label1.get_text()) for tick in ticks]
            yield partial(axis.set_major_formatter, axis.get_major_formatter())
            yield partial(axis.set_major_locator, axis.get_major_locator())
            axis.set_major_locator(FixedLocator([place for place, _ in kept]))
            axis.set_major_formatter(FixedFormatter([text for _, text in kept]))


def _drawn_ticks(axis: XAxis) -> list[Tick]:
    axis.get_majorticklabels()  # which brings the ticks up to date
    low, high = sorted(axis.get_view_interval())
    return [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def _drawn_labels(axis: XAxis) -> list[Bbox]:
    labels = [tick.label1 for tick in _drawn_ticks(axis)]
    return [one.get_window_extent() for one in labels if one.get_visible() and one.get_text()]


def _collide(labels: list[Bbox]) -> bool:
    return any(
        right.x0 < left.x1 + APART and left.y1 > right.y0 and right.y1 > left.y0
        for left, right in pairwise(labels)
    )
