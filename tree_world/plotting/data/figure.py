"""What a cell gives out for a figure that a reader can touch."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_hex

from tree_world.plotting import dark, style

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tree_world.plotting.data.widget import FigureWidget

MIME = "application/vnd.tree-world.figure+json"
"""Kind of output that the pages of the book know, and others pass over."""

SCRIPTS = "TREE_WORLD_FIGURES"
"""Name of the variable that says where scripts lie as modules, so that notebooks show them."""
STYLE = "figure.css"

_NAME = re.compile(r"[a-z]+(-[a-z]+)*")


class TouchableFigure:
    """The state of a figure that a reader can touch; a cell that ends in it gives it out.

    A notebook shows nothing of it. The page of the book lays the script ``book/figures/NAME.mjs``
    over the picture of the same cell.

    Parameters
    ----------
    name : str
        Of the script, in small letters, with hyphens between words.
    data : mapping of str to object
        What JSON can hold, all numbers finite.

    Attributes
    ----------
    name : str
    data : dict
        As JSON holds it; and the ``colours`` of the book, on light paper and on dark.

    Raises
    ------
    ValueError
        If the name is none, or the data hold a number that is not finite.
    TypeError
        If the data hold what JSON cannot.

    Examples
    --------
    >>> from tree_world.plotting.data import TouchableFigure, rounded
    >>> figure = TouchableFigure("read", {"places": rounded([[0.0, 1 / 3]])})
    >>> figure.data["places"], figure.data["colours"]["dark"]["paper"]
    ([[0.0, 0.3333]], '#141816')
    """

    def __init__(self, name: str, data: Mapping[str, Any]) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"a figure is named by small letters with hyphens between, not {name!r}."
            )
        try:
            text = json.dumps(dict(data), allow_nan=False)
        except ValueError as error:
            raise ValueError(
                f"the data of figure {name!r} must be finite numbers, texts, lists and dicts: "
                f"{error}. Leave out what is not a number, or say None."
            ) from None
        except TypeError as error:
            raise TypeError(
                f"the data of figure {name!r} must be what JSON can hold: {error}. Arrays go "
                "through `rounded`."
            ) from None
        self.name = name
        self.data: dict[str, Any] = {**json.loads(text), "colours": _colours()}

    def __repr__(self) -> str:
        return f"TouchableFigure({self.name!r}, {', '.join(sorted(self.data))})"

    def widget(self, scripts: str | Path | None = None) -> FigureWidget:
        """Make a widget for JupyterLab, which a cell can move: ``widget.move(sd=20.0)``.

        Parameters
        ----------
        scripts : path, optional
            Folder of the scripts as modules; by default the one that the variable
            ``TREE_WORLD_FIGURES`` names, as in ``make lab``.

        Returns
        -------
        FigureWidget

        Raises
        ------
        ModuleNotFoundError
            If ``anywidget`` is not installed.
        FileNotFoundError
            If there is no such script.
        """
        folder = scripts or os.environ.get(SCRIPTS)
        if folder is None:
            raise FileNotFoundError(
                f"where the scripts of figures lie must be given, as `scripts` or by the variable "
                f"{SCRIPTS}. `make lab` bundles them and sets it."
            )
        script = Path(folder) / f"{self.name}.js"
        if not script.is_file():
            raise FileNotFoundError(f"there is no script {script.name} in {folder}.")
        from tree_world.plotting.data.widget import FigureWidget

        style = script.with_name(STYLE)
        return FigureWidget(
            script.read_text("utf-8"),
            style.read_text("utf-8") if style.is_file() else "",
            self.data,
        )

    def _ipython_display_(self) -> None:
        """Give out the state alone, with no text for those who cannot use it."""
        from IPython.display import display

        if os.environ.get(SCRIPTS):
            display(self.widget())  # type: ignore[no-untyped-call]
            return

        # As text, which takes one line of a notebook, where lists would take one for each number.
        state = {"name": self.name, "data": json.dumps(self.data, separators=(",", ":"))}
        display({MIME: state}, raw=True)  # type: ignore[no-untyped-call]


def _colours() -> dict[str, dict[str, str]]:
    """Name the colours of figures, for light paper and for dark."""
    light = {
        "paper": style.PAPER,
        "ink": style.INK,
        "soft": style.SOFT_INK,
        "line": style.LINE,
        "leaf": style.LEAF,
        "clay": style.CLAY,
        "edible": style.EDIBLE,
        "poisonous": style.POISONOUS,
        "unknown_fill": style.UNKNOWN_FILL,
        "unknown_hatch": style.UNKNOWN_HATCH,
        **{f"series{number}": color for number, color in enumerate(style.SERIES)},
    }
    by_scheme = {
        "light": light,
        "dark": {name: dark.COLORS.get(color, color) for name, color in light.items()},
    }
    scales = (style.PAPER_TO_LEAF, dark.COLORMAPS[style.PAPER_TO_LEAF.name])
    for colors, scale in zip(by_scheme.values(), scales, strict=True):
        colors["half_leaf"] = to_hex(scale(0.5))  # between paper and leaf, straight to both
    return by_scheme


def rounded(values: ArrayLike, digits: int = 4) -> Any:
    """Round numbers to so many digits of the largest, as nested lists.

    A state is compared with one that another processor computed, and read by people whose line is
    slow. So it holds no more digits than a figure can show.

    Parameters
    ----------
    values : array_like
        Finite numbers, of any shape. Whole numbers and truth values stay as they are.
    digits : int, default=4

    Returns
    -------
    list, or a number if there is but one

    Raises
    ------
    ValueError
        If a number is not finite, or there are less than one digit.

    Examples
    --------
    >>> rounded([123.456, 0.01234])
    [123.5, 0.0]
    >>> rounded([3, 4])
    [3, 4]
    """
    if digits < 1:
        raise ValueError(f"digits must be at least 1, but are {digits}.")
    as_given = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if as_given.dtype.kind in "biu":
        return as_given.tolist()
    numbers = style.as_finite(values, "values")
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest == 0.0:
        return numbers.tolist()
    decimals = digits - 1 - math.floor(math.log10(largest))
    return (np.round(numbers, decimals) + 0.0).tolist()  # no minus before a zero
