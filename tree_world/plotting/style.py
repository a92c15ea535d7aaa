"""Colours, type and sizes of the book's figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import torch
from cycler import cycler
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Patch

from tree_world.checks import as_numbers

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

PAPER = "#fbfaf6"
INK = "#1f2622"
SOFT_INK = "#5b665f"
LINE = "#8b948e"
LEAF = "#2a6b4c"
CLAY = "#a8472a"
EDIBLE = "#009E73"
POISONOUS = "#D55E00"
UNKNOWN_FILL = "#ebe8df"
UNKNOWN_HATCH = "#cfcabb"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Colours of curves, told apart by readers of every kind of colour vision."""
REPAINT = "repaint_on"
"""Name of the attribute in which an artist keeps how to be painted on paper of another colour."""
WIDE = "kept_wide"
"""Name of the attribute of a figure that cannot be laid out for a narrow column."""
ROWS = "height_of_rows"
"""Name of the attribute of a figure that says how high its panels are in a narrow column."""
INSIDE = "inside_of_axes"
"""Name of the attribute of a legend that lies inside of its axes."""
ANEW = "made_anew"
"""Name of the attribute in which a legend keeps how to be made with another number of columns."""


def paper_to_leaf(paper: str) -> LinearSegmentedColormap:
    """Colours from nothing, which is paper, to much."""
    return LinearSegmentedColormap.from_list("paper to leaf", [paper, "#9cc3ae", LEAF])


def blue_to_orange(paper: str) -> LinearSegmentedColormap:
    """Colours for numbers below and above zero, which is paper. Both sides darken alike (OKLab)."""
    below = ["#005995", "#2c81c0", "#66abe4", "#acd3f5"]
    above = ["#f1c3aa", "#db8f64", "#b5622e", "#893b00"]
    return LinearSegmentedColormap.from_list("blue to orange", [*below, paper, *above])


PAPER_TO_LEAF = paper_to_leaf(PAPER)
BLUE_TO_ORANGE = blue_to_orange(PAPER)
"""For numbers below and above zero, which is paper. Both sides darken alike (OKLab)."""
TEXT_WIDTH = 7.4
"""Width in inches of a figure as wide as the text; its labels then have the size of the caption."""
LEAST_SIZE = 9.6
"""Points. As wide as the text of a desk, a letter of this size is 11 dots of the screen high."""
DENSITY_SHARES = (0.5, 0.8, 0.95)
"""Shares of a density that lie within its contours."""
DEFAULT_DPI = 80


def use_book_style(dpi: float | None = None) -> None:
    """Set type, colours and resolution for all figures that this process draws from now on.

    Parameters
    ----------
    dpi : float, optional
        Dots per inch; by default the environment variable ``TREE_WORLD_FIGURE_DPI``, or 80.

    Raises
    ------
    ValueError
        If the resolution is not a positive number.
    """
    given = os.environ.get("TREE_WORLD_FIGURE_DPI", DEFAULT_DPI) if dpi is None else dpi
    try:
        resolution = float(given)
    except ValueError:
        resolution = float("nan")
    if not 0 < resolution < float("inf"):
        raise ValueError(
            f"The resolution must be a positive number of dots per inch, not {given!r}."
        )

    fonts = resources.files("tree_world") / "fonts"
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for name in ("Inter-Regular.ttf", "Inter-SemiBold.ttf"):
        with resources.as_file(fonts / name) as path:
            if str(path) not in known:
                font_manager.fontManager.addfont(path)

    mpl.rcParams.update(
        {
            "figure.dpi": resolution,
            "savefig.dpi": resolution,
            "figure.facecolor": PAPER,
            "figure.figsize": (TEXT_WIDTH, 4.2),
            "figure.constrained_layout.use": True,
            "axes.facecolor": PAPER,
            "axes.edgecolor": LINE,
            "axes.labelcolor": SOFT_INK,
            "axes.linewidth": 0.9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "axes.titleweight": 600,
            "axes.titlecolor": INK,
            "axes.titlepad": 8,
            "axes.labelsize": 10,
            "axes.prop_cycle": cycler(color=SERIES),
            "font.family": "Inter",
            "font.size": 10,
            "mathtext.fontset": "stix",
            "text.color": INK,
            "xtick.color": LINE,
            "ytick.color": LINE,
            "xtick.labelcolor": SOFT_INK,
            "ytick.labelcolor": SOFT_INK,
            "xtick.labelsize": LEAST_SIZE,
            "ytick.labelsize": LEAST_SIZE,
            "legend.frameon": False,
            "legend.fontsize": LEAST_SIZE,
            "hatch.linewidth": 0.8,
            "image.cmap": "cividis",
            "svg.hashsalt": "tree-world",
        }
    )


def as_array(values: Any, dtype: DTypeLike | None = None) -> np.ndarray:
    """Turn what a caller hands in to an array: a tensor with gradients or of any precision, too."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:  # which NumPy does not know
            values = values.float()
    return np.asarray(values, dtype=dtype)


def as_finite(values: Any, name: str) -> np.ndarray:
    """Turn numbers to a float64 array; what is not finite is refused."""
    numbers = as_numbers(as_array(values), name, torch.float64).numpy()
    wrong = int((~np.isfinite(numbers)).sum())
    if wrong:
        raise ValueError(
            f"{name} must be finite, but {wrong} of its {numbers.size} numbers are not. Leave them "
            "out."
        )
    return np.asarray(numbers)


def when_paper_changes(artist: Artist, repaint: Callable[[str], None]) -> None:
    """Say how to paint an artist anew on paper of another colour; see `dark_figures`."""
    setattr(artist, REPAINT, repaint)


def when_columns_change(legend: Legend, make: Callable[[int], Legend]) -> None:
    """Say how to make a legend with fewer columns, for a narrow figure."""
    setattr(legend, ANEW, make)


def keep_wide(figure: Figure) -> None:
    """Say that a figure cannot be laid out for a narrow column."""
    setattr(figure, WIDE, True)


def keep_rows(figure: Figure, height: float) -> None:
    """Say how high, in inches, each panel of a figure with rows has to be in a narrow column."""
    setattr(figure, ROWS, height)


def unknown_patch() -> Patch:
    """Legend entry for the hatching that means unknown."""
    return Patch(facecolor=UNKNOWN_FILL, edgecolor=UNKNOWN_HATCH, hatch="////", label="unknown")
