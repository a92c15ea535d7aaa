"""Every figure of the book: one function a kind, drawn in metres, x to the right and y up.

In every map **hue says which smell, strength says how much, paper means nothing, and hatching
means unknown**. Edible trees are green discs, poisonous ones orange crosses, so that shape and
colour both tell.

Each function draws on the axes it is given (new ones by default) and returns them.
`use_book_style` sets type and colours for a whole notebook; it is the only function that changes
Matplotlib's settings.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Self

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch, Rectangle, Wedge
from matplotlib.ticker import LogLocator, MaxNLocator
from sklearn.decomposition import PCA

from tree_world.evaluation import Estimate, Reliability, SurvivalCurve
from tree_world.simulation import DirectionalSensor, Recording, SimpleSensor, TreeWorld
from tree_world.validation import (
    PointsLike,
    as_points,
    as_unit_vectors,
    positive_distance,
    whole_number,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from tree_world.models.localisation import Posterior

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

PAPER_TO_LEAF = LinearSegmentedColormap.from_list("paper to leaf", [PAPER, "#9cc3ae", LEAF])

TEXT_WIDTH = 7.4
"""Width in inches of a figure as wide as the text; its labels then have the size of the caption."""
DENSITY_SHARES = (0.5, 0.8, 0.95)
"""Shares of a density that lie within its contours."""

DEFAULT_DPI = 80

_LEGEND_HEIGHT = 0.35  # inches


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
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.frameon": False,
            "legend.fontsize": 9.5,
            "hatch.linewidth": 0.8,
            "image.cmap": "cividis",
            "svg.hashsalt": "tree-world",
        }
    )


def _array(values: Any, dtype: DTypeLike | None = None) -> np.ndarray:
    """Turn what a caller hands in to an array: a tensor with gradients or of any precision, too."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        if values.dtype == torch.bfloat16:  # which NumPy does not know
            values = values.float()
    return np.asarray(values, dtype=dtype)


# --- maps ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class MapGrid:
    """The centres of square cells that tile a square map around the origin.

    The one place that knows how a list of values becomes an upright picture.

    Parameters
    ----------
    half_width : float, default=500.0
        The map reaches from −half_width to +half_width on both axes, in metres.
    cells_per_axis : int, default=100
        Cells along each axis.

    Raises
    ------
    ValueError
        If one of them is not positive.

    Examples
    --------
    >>> grid = MapGrid(half_width=100.0, cells_per_axis=2)
    >>> grid.points
    tensor([[-50., -50.],
            [ 50., -50.],
            [-50.,  50.],
            [ 50.,  50.]])
    """

    half_width: float = 500.0
    cells_per_axis: int = 100

    def __post_init__(self) -> None:
        positive_distance("half_width of a map", self.half_width)
        whole_number("cells_per_axis of a map", self.cells_per_axis, least=1)

    @property
    def points(self) -> torch.Tensor:
        """Cell centres, of shape (cells², 2), row by row from the south, west to east."""
        cell = 2 * self.half_width / self.cells_per_axis
        centres = -self.half_width + cell * (
            torch.arange(self.cells_per_axis, dtype=torch.float32) + 0.5
        )
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return torch.stack([x, y], dim=-1).reshape(-1, 2)

    def image(self, values: torch.Tensor | np.ndarray) -> np.ndarray:
        """Arrange one value for each point as an image whose first row is the south.

        Parameters
        ----------
        values : array of shape (cells², ...)
            In the order of `points`.

        Returns
        -------
        numpy.ndarray of shape (cells, cells, ...)
            For ``imshow(..., origin="lower", extent=grid.extent)``.

        Raises
        ------
        ValueError
            If there is not one value for each point.
        """
        array = _array(values)
        expected = self.cells_per_axis**2
        if array.ndim == 0 or len(array) != expected:
            raise ValueError(
                f"a map of {self.cells_per_axis} × {self.cells_per_axis} cells needs {expected} "
                f"values, but an array of shape {array.shape} was given. Ask for the values at "
                "grid.points."
            )
        return array.reshape(self.cells_per_axis, self.cells_per_axis, *array.shape[1:])

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """West, east, south and north edge, in metres."""
        return (-self.half_width, self.half_width, -self.half_width, self.half_width)


def map_panels(num_panels: int = 1, *, share: bool = True) -> tuple[Figure, list[Axes]]:
    """Make a figure for one map, or for several side by side.

    Parameters
    ----------
    num_panels : int, default=1
        How many maps.
    share : bool, default=True
        Whether all show the same part of the world.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no panel to make.
    """
    num_panels = whole_number("num_panels of a figure", num_panels, least=1)
    width = TEXT_WIDTH if num_panels > 1 else 0.8 * TEXT_WIDTH
    figure, axes = plt.subplots(
        1, num_panels, figsize=(width, width / num_panels + 0.45), sharey=share,
        squeeze=False, layout=ConstrainedLayoutEngine(compress=True, wspace=0.06),
    )  # fmt: skip
    return figure, list(axes[0])


def graph_panels(num_panels: int, height: float = 2.9) -> tuple[Figure, list[Axes]]:
    """Make a figure for several graphs side by side, with one scale of y.

    Parameters
    ----------
    num_panels : int
        How many graphs.
    height : float, default=2.9
        Of the figure, in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
    """
    figure, axes = plt.subplots(
        1, num_panels, figsize=(TEXT_WIDTH, height), sharey=True, squeeze=False
    )
    return figure, list(axes[0])


def _map_axes(ax: Axes | None, half_width: float, title: str | None) -> Axes:
    if ax is None:
        ax = map_panels()[1][0]
    ax.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width), aspect="equal")
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2.5, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2.5, 5, 10]))
    ax.set_xlabel("x (m)")
    place = ax.get_subplotspec()
    if place is None or place.is_first_col():
        ax.set_ylabel("y (m)")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_world(
    world: TreeWorld,
    ax: Axes | None = None,
    *,
    half_width: float = 500.0,
    label_kinds: bool = False,
    legend: bool = True,
    title: str | None = None,
) -> Axes:
    """Draw the trees: green discs for edible, orange crosses for poisonous.

    Parameters
    ----------
    world : TreeWorld
        A world of two dimensions.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    half_width : float, default=500.0
        The map shows −half_width to +half_width on both axes, in metres.
    label_kinds : bool, default=False
        Whether to write the kind of each tree beside it.
    legend : bool, default=True
        Whether to put a legend under the map.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the world has not two dimensions.
    """
    if world.dim != 2:
        raise ValueError(f"a map shows a world of 2 dimensions, but this one has {world.dim}.")
    ax = _map_axes(ax, half_width, title)
    for poisonous, marker, color, label, size in (
        (False, "o", EDIBLE, "edible", 46),
        (True, "X", POISONOUS, "poisonous", 56),
    ):
        places = _array(world.locations[world.is_poisonous == poisonous])
        ax.scatter(
            places[:, 0], places[:, 1], s=size, marker=marker, color=color, edgecolor="white",
            linewidth=0.9, label=label, zorder=4,
        )  # fmt: skip
    if label_kinds:
        _label_trees(ax, world, half_width)
    if legend:
        legend_below(ax)
    return ax


def _label_trees(ax: Axes, world: TreeWorld, half_width: float) -> None:
    # A label goes to the side of its tree with more room, away from the nearest neighbour.
    places = _array(world.locations)
    for index, (tree, place) in enumerate(zip(world.trees, places, strict=True)):
        if np.abs(place).max() > half_width:
            continue
        offsets = np.delete(places, index, axis=0) - place
        close = offsets[np.abs(offsets[:, 1]) < 0.05 * half_width]
        room = {
            side: np.abs(beside[:, 0]).min() if len(beside) else np.inf
            for side, beside in (
                ("right", close[close[:, 0] > 0]),
                ("left", close[close[:, 0] <= 0]),
            )
        }
        at_the_edge = abs(place[0]) > 0.75 * half_width
        to_the_right = place[0] < 0 if at_the_edge else room["right"] >= room["left"]
        ax.annotate(
            tree.name,
            place,
            xytext=(6 if to_the_right else -6, 0),
            textcoords="offset points",
            ha="left" if to_the_right else "right",
            va="center",
            fontsize=7.5,
            color=SOFT_INK,
            zorder=5,
            annotation_clip=True,
        )


def legend_below(ax: Axes, **options: object) -> Legend:
    """Put the legend of some axes under them, in one row.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    **options
        Passed on to ``Axes.legend``.

    Returns
    -------
    matplotlib.legend.Legend
    """
    handles, _ = ax.get_legend_handles_labels()
    chosen: dict[str, object] = {
        "loc": "upper center",
        "bbox_to_anchor": (0.5, -0.12),
        "ncols": max(1, len(handles)),
        "handletextpad": 0.3,
        "columnspacing": 1.6,
    }
    return ax.legend(**(chosen | options))


def legend_under_figure(
    figure: Figure,
    handles: Sequence[Any],
    labels: Sequence[str],
    num_columns: int | None = None,
    **options: Any,
) -> Legend:
    """Put one legend for all panels under a figure, which grows by as much.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    handles : sequence of matplotlib.artist.Artist
    labels : sequence of str
    num_columns : int, optional
        Of the legend; as many as there are labels by default.
    **options
        Passed on to ``Figure.legend``.

    Returns
    -------
    matplotlib.legend.Legend
    """
    columns = num_columns or len(labels)
    rows = math.ceil(len(labels) / columns)
    figure.set_figheight(figure.get_figheight() + _LEGEND_HEIGHT * rows)
    return figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.6, **options
    )


class ScentPalette:
    r"""Colours for scents: hue and chroma say which, nearness to the paper says how little.

    The directions :math:`z / \lVert z \rVert` of the given scents span a plane of greatest variance
    (two principal components). That plane is laid onto the plane of colours of equal lightness in
    OKLab [1]_, so that similar scents get similar colours, and a mixture of two scents a colour
    between theirs, grey at the middle. The strength :math:`1 - e^{-1.5 \lVert z \rVert / z_0}`,
    with :math:`z_0` the mean norm of the given scents, blends the colour into the paper.

    Parameters
    ----------
    scents : array_like of shape (n_scents, embed_dim)
        What to tell apart, at full strength.

    Raises
    ------
    ValueError
        If there are fewer than three scents, or one is zero or not finite.

    References
    ----------
    .. [1] B. Ottosson, "A perceptual color space for image processing", 2020.
    """

    _LIGHTNESS = 0.68
    _CHROMA = 0.17

    def __init__(self, scents: ArrayLike | torch.Tensor) -> None:
        array = _array(scents, dtype=np.float64)
        if array.ndim != 2 or len(array) < 3:
            raise ValueError(
                "a palette needs a matrix of at least three scents, but an array of shape "
                f"{array.shape} was given."
            )
        norms = np.linalg.norm(array, axis=-1)
        if not np.isfinite(array).all() or (norms == 0).any():
            raise ValueError("scents must be finite and not zero: nothing has no direction.")
        self.full_strength = float(norms.mean())
        with np.errstate(invalid="ignore"):  # shares of a variance that may be zero; not used
            self._pca = PCA(n_components=2, svd_solver="full").fit(array / norms[:, None])
        plane = self._pca.transform(array / norms[:, None])
        radius = float(np.median(np.linalg.norm(plane, axis=-1)))
        # Scents that are all alike have no plane: they are all as grey as a mixture of everything.
        self._radius = radius if radius > 1e-9 else 1.0

    @classmethod
    def from_world(cls, world: TreeWorld) -> Self:
        """Palette for the scents of a world's trees, each with its present amount of fruit."""
        amounts = world.fruit_amount_embeddings[world.fruit_amount_indices]
        return cls(world.embeddings + amounts)

    def strength(self, values: ArrayLike | torch.Tensor) -> np.ndarray:
        """Strength of each scent, from 0 for nothing, by 0.78 for a tree at hand, towards 1.

        Parameters
        ----------
        values : array_like of shape (n, embed_dim)

        Returns
        -------
        numpy.ndarray of shape (n,)
        """
        norms = np.linalg.norm(_array(values, dtype=np.float64), axis=-1)
        # Saturates gently, so that the sum of many scents shows no edge where a clip would set in.
        return np.asarray(1.0 - np.exp(-1.5 * norms / self.full_strength))

    def colors(self, values: ArrayLike | torch.Tensor, paper: str = PAPER) -> np.ndarray:
        """Colour of each scent, blended into the paper by its strength.

        Parameters
        ----------
        values : array_like of shape (n, embed_dim)
        paper : str, default=PAPER
            Colour of nothing.

        Returns
        -------
        numpy.ndarray of shape (n, 3)
            sRGB from 0 to 1.
        """
        array = _array(values, dtype=np.float64)
        norms = np.linalg.norm(array, axis=-1, keepdims=True)
        plane = self._pca.transform(array / np.where(norms > 0, norms, 1.0))
        radius = np.linalg.norm(plane, axis=-1, keepdims=True)
        chroma = self._CHROMA * np.tanh(radius / self._radius)
        hue_plane = chroma * plane / np.where(radius > 0, radius, 1.0)
        full = np.concatenate([np.full_like(radius, self._LIGHTNESS), hue_plane], axis=-1)
        nothing = _srgb_to_oklab(np.array(to_rgb(paper)))
        strength = self.strength(array)[:, None]
        return _oklab_to_srgb(nothing + strength * (full - nothing))


# Matrices of the OKLab colour space: from linear sRGB to cone responses, and from their cube roots
# to lightness, green-red and blue-yellow.
_RGB_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_CONES_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _srgb_to_oklab(srgb: np.ndarray) -> np.ndarray:
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _RGB_TO_CONES.T) @ _CONES_TO_LAB.T)


def _oklab_to_srgb(lab: np.ndarray) -> np.ndarray:
    cones = (lab @ np.linalg.inv(_CONES_TO_LAB).T) ** 3
    linear = np.clip(cones @ np.linalg.inv(_RGB_TO_CONES).T, 0.0, 1.0)
    gamma = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, gamma))


def plot_scent_field(
    values: torch.Tensor,
    grid: MapGrid,
    palette: ScentPalette,
    ax: Axes | None = None,
    *,
    known: torch.Tensor | np.ndarray | None = None,
    title: str | None = None,
) -> Axes:
    """Draw what is smelled on a grid; hatched where it is not known.

    Parameters
    ----------
    values : torch.Tensor of shape (cells², embed_dim)
        Scents at ``grid.points``.
    grid : MapGrid
    palette : ScentPalette
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    known : array of bool of shape (cells²,), optional
        Where anything is known at all; everywhere by default. A known nothing is paper, the
        unknown is hatched.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one value for each cell.
    """
    ax = _map_axes(ax, grid.half_width, title)
    opaque = np.ones(grid.cells_per_axis**2) if known is None else _array(known, dtype=float)
    if known is not None:
        _hatch_everything(ax, grid)
    _show_colors(ax, grid, lambda paper: palette.colors(values, paper), opaque)
    return ax


def _show_colors(
    ax: Axes, grid: MapGrid, colors: Callable[[str], np.ndarray], opaque: np.ndarray
) -> None:
    """Draw a map of colours that fade into the paper."""

    def painted(paper: str) -> np.ndarray:
        layers = (grid.image(colors(paper)), grid.image(opaque)[..., None])
        return np.concatenate(layers, axis=-1).clip(0, 1)

    image = ax.imshow(painted(PAPER), origin="lower", extent=grid.extent, interpolation="nearest",
                      zorder=1)  # fmt: skip
    _when_paper_changes(image, lambda paper: image.set_data(painted(paper)))


def _when_paper_changes(artist: Artist, repaint: Callable[[str], None]) -> None:
    """Say how to paint an artist anew on paper of another colour; see `dark_figures`."""
    setattr(artist, REPAINT, repaint)


def scent_legend(
    palette: ScentPalette, scents: Mapping[str, torch.Tensor], figure: Figure
) -> Legend:
    """Say under a figure which scent is which colour, how it fades, and what is unknown.

    Parameters
    ----------
    palette : ScentPalette
    scents : mapping of str to torch.Tensor of shape (embed_dim,)
        Scents to name; each is shown as it is, at a half and at a fifth of its strength.
    figure : matplotlib.figure.Figure

    Returns
    -------
    matplotlib.legend.Legend
    """
    shares = (1.0, 0.5, 0.2)
    samples = torch.cat(
        [torch.stack([share * scent for share in shares]) for scent in scents.values()]
    )
    patches = [Patch(facecolor=tuple(color), linewidth=0) for color in palette.colors(samples)]
    handles: list[Any] = [
        tuple(patches[start : start + len(shares)]) for start in range(0, len(patches), len(shares))
    ]
    legend = legend_under_figure(
        figure, [*handles, unknown_patch()], [*scents, "unknown"],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.0)}, handlelength=3.0,
    )  # fmt: skip

    def repaint(paper: str) -> None:
        # The legend shows copies of the patches it was given, in their order.
        shown = legend.findobj(Rectangle)[: len(patches)]
        for patch, color in zip(shown, palette.colors(samples, paper), strict=True):
            patch.set(facecolor=tuple(color))

    _when_paper_changes(legend, repaint)
    return legend


def _hatch_everything(ax: Axes, grid: MapGrid, centre: Sequence[float] = (0.0, 0.0)) -> None:
    ax.add_patch(
        Rectangle(
            (centre[0] - grid.half_width, centre[1] - grid.half_width),
            2 * grid.half_width, 2 * grid.half_width,
            facecolor=UNKNOWN_FILL, edgecolor=UNKNOWN_HATCH, hatch="////", linewidth=0, zorder=0,
        )
    )  # fmt: skip


def plot_value_field(
    values: torch.Tensor,
    grid: MapGrid,
    ax: Axes | None = None,
    *,
    label: str,
    known: torch.Tensor | np.ndarray | None = None,
    limits: tuple[float, float] | None = None,
    title: str | None = None,
) -> Axes:
    """Draw one number for each cell of a map; hatched where it is not known.

    Parameters
    ----------
    values : torch.Tensor of shape (cells²,)
        Numbers at ``grid.points``.
    grid : MapGrid
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    label : str
        What the numbers are, with their unit.
    known : array of bool of shape (cells²,), optional
        Where there is a number at all; everywhere by default.
    limits : (float, float), optional
        Ends of the scale; those of the known numbers by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one value for each cell.
    """
    ax = _map_axes(ax, grid.half_width, title)
    numbers = _array(values, dtype=np.float64)
    shown = numbers if known is None else np.where(_array(known), numbers, np.nan)
    if known is not None:
        _hatch_everything(ax, grid)
    low, high = limits or (None, None)
    image = ax.imshow(
        grid.image(shown), origin="lower", extent=grid.extent, interpolation="nearest", zorder=1,
        vmin=low, vmax=high,
    )  # fmt: skip
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, aspect=28, pad=0.03)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return ax


def plot_drive_field(
    probabilities: torch.Tensor,
    grid: MapGrid,
    ax: Axes | None = None,
    *,
    support: torch.Tensor | np.ndarray | None = None,
    title: str | None = None,
) -> Axes:
    """Draw what places are worth: green for food, orange for poison, hatched where unknown.

    A drive is drawn as strongly as its probability exceeds that of a guess. Paper is neutral, or
    undecided.

    Parameters
    ----------
    probabilities : torch.Tensor of shape (cells², 3)
        Of poison, edible and neutral at ``grid.points``.
    grid : MapGrid
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    support : array of shape (cells²,), optional
        From 0, unknown, to 1, sure; 1 by default. The hatching of the unknown shows through.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there are not three probabilities for each cell.
    """
    chances = _array(probabilities, dtype=np.float64)
    if chances.ndim != 2 or chances.shape[1] != 3:
        raise ValueError(
            f"probabilities must have shape (cells², 3), but have shape {chances.shape}."
        )
    ax = _map_axes(ax, grid.half_width, title)
    excess = np.clip((chances[:, :2] - 1 / 3) / (1 - 1 / 3), 0.0, 1.0)
    hues = np.array([to_rgb(color) for color in (POISONOUS, EDIBLE)])
    opaque = np.ones(len(chances)) if support is None else _array(support, dtype=np.float64)
    if support is not None:
        _hatch_everything(ax, grid)

    def colors(paper: str) -> np.ndarray:
        nothing = np.array(to_rgb(paper))
        return np.asarray(nothing + excess @ (hues - nothing))

    _show_colors(ax, grid, colors, opaque)
    return ax


def plot_observations(
    locations: torch.Tensor,
    ax: Axes,
    *,
    weights: torch.Tensor | None = None,
    label: str = "observation",
) -> Axes:
    """Draw the places of observations onto a map, as large as their weights if these are given.

    Parameters
    ----------
    locations : torch.Tensor of shape (n, 2)
        In metres.
    ax : matplotlib.axes.Axes
        The map to draw on.
    weights : torch.Tensor of shape (n,), optional
        Not negative; the greatest is drawn as a disc of 12 points across.
    label : str, default="observation"
        For the legend.

    Returns
    -------
    matplotlib.axes.Axes
    """
    places = _array(locations)
    if weights is None:
        ax.scatter(places[:, 0], places[:, 1], s=5, color=INK, linewidth=0, label=label, zorder=4)
        return ax
    sizes = _array(weights)
    shares = sizes / max(float(sizes.max()), 1e-30)
    ax.scatter(places[:, 0], places[:, 1], s=5, color=LINE, linewidth=0, zorder=3)
    ax.scatter(
        places[:, 0], places[:, 1], s=144 * shares, color=SERIES[0], alpha=0.5, linewidth=0,
        label=label, zorder=4,
    )  # fmt: skip
    return ax


def plot_forgotten(
    places: torch.Tensor,
    kept: torch.Tensor,
    ax: Axes,
    *,
    spoilt: torch.Tensor | None = None,
    half_width: float = 300.0,
    title: str | None = None,
) -> Axes:
    """Draw which observations are left, which have gone, and which of these are no longer told.

    Parameters
    ----------
    places : torch.Tensor of shape (n, 2)
        In metres.
    kept : torch.Tensor of bool, of shape (n,)
    ax : matplotlib.axes.Axes
        Where to draw.
    spoilt : torch.Tensor of bool, of shape (n,), optional
        Of those that have gone; drawn as crosses.
    half_width : float, default=300.0
        Of the map, in metres.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    _map_axes(ax, half_width, title)
    where, stays = _array(places), _array(kept)
    lost = np.zeros(len(where), dtype=bool) if spoilt is None else _array(spoilt)
    told = ~stays & ~lost
    ax.scatter(
        where[told, 0], where[told, 1], s=16, facecolor="none", edgecolor=SERIES[5], linewidth=0.9,
        label="gone, and told by the rest", zorder=3,
    )  # fmt: skip
    ax.scatter(
        where[stays, 0], where[stays, 1], s=9, color=INK, linewidth=0, label="left", zorder=4
    )
    if lost.any():
        ax.scatter(
            where[lost, 0], where[lost, 1], s=20, marker="x", color=POISONOUS, linewidth=1.2,
            label="gone, and no longer told", zorder=5,
        )  # fmt: skip
    return ax


def plot_reads_on_a_line(
    x: ArrayLike,
    reads: Mapping[str, ArrayLike],
    places: ArrayLike,
    senses: ArrayLike,
    kept: ArrayLike,
    ax: Axes,
    *,
    at_places: ArrayLike,
    title: str | None = None,
) -> Axes:
    """Draw what a memory on a line says, and how far that is from what has gone.

    Parameters
    ----------
    x : array_like of shape (n,)
        Places where it was read, in metres.
    reads : mapping of str to array_like of shape (n,)
        What to call each read, and the read. The first is drawn in the background.
    places, senses : array_like of shape (n_observations,)
        Of the observations.
    kept : array_like of bool, of shape (n_observations,)
        Whether each is left; the others are drawn hollow.
    ax : matplotlib.axes.Axes
        Where to draw.
    at_places : array_like of shape (n_observations,)
        The last read, at the places of observations; a line leads from there to what has gone.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    where, values, stays = _array(places), _array(senses), _array(kept)
    for number, (label, read) in enumerate(reads.items()):
        color, width = (LINE, 1.2) if number == 0 else (SERIES[0], 2.0)
        ax.plot(_array(x), _array(read), color=color, linewidth=width, label=label)
    for place, sense, told in zip(
        where[~stays], values[~stays], _array(at_places)[~stays], strict=True
    ):
        ax.plot([place, place], [told, sense], color=POISONOUS, linewidth=1.6, zorder=3)
    ax.plot(where[stays], values[stays], "o", color=INK, markersize=6, label="left", zorder=4)
    ax.plot(
        where[~stays], values[~stays], "o", color=POISONOUS, markerfacecolor=PAPER, markersize=6.5,
        markeredgewidth=1.5, label="gone", zorder=4,
    )  # fmt: skip
    ax.set(xlabel="x (m)")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_samples(
    places: torch.Tensor, ax: Axes, *, agent: PointsLike | None = None, label: str = "sample"
) -> Axes:
    """Draw places that were drawn, as triangles, and the agent that asked, as a square.

    Parameters
    ----------
    places : torch.Tensor of shape (n, 2)
        In metres.
    ax : matplotlib.axes.Axes
        The map to draw on.
    agent : array_like of shape (2,), optional
        In metres.
    label : str, default="sample"
        For the legend.

    Returns
    -------
    matplotlib.axes.Axes
    """
    drawn = _array(places)
    ax.scatter(
        drawn[:, 0], drawn[:, 1], s=22, marker="^", color=SERIES[0], edgecolor="white",
        linewidth=0.5, label=label, zorder=5,
    )  # fmt: skip
    if agent is not None:
        where = as_points(agent, 2, "agent")
        ax.plot(*where.tolist(), "s", color=CLAY, markersize=6, label="agent", zorder=6)
    return ax


def plot_density(density: torch.Tensor, grid: MapGrid, ax: Axes) -> Axes:
    """Draw contours of a density on a map: within them lie `DENSITY_SHARES` of it.

    Parameters
    ----------
    density : torch.Tensor of shape (cells²,)
        At ``grid.points``; not negative.
    grid : MapGrid
    ax : matplotlib.axes.Axes
        The map to draw on.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the density is nowhere positive.
    """
    values = _array(density, dtype=np.float64)
    if not values.sum() > 0:
        raise ValueError("a density must be positive somewhere on the map, but this one is not.")
    ordered = np.sort(values)[::-1]
    held = np.cumsum(ordered) / ordered.sum()
    levels = sorted({float(ordered[np.searchsorted(held, share)]) for share in DENSITY_SHARES})
    cell = 2 * grid.half_width / grid.cells_per_axis
    centres = np.linspace(-grid.half_width + cell / 2, grid.half_width - cell / 2,
                          grid.cells_per_axis)  # fmt: skip
    ax.contour(
        centres, centres, grid.image(values), levels=levels, colors=INK, linewidths=0.9, zorder=3
    )
    return ax


def plot_posterior(
    places: torch.Tensor,
    posterior: Posterior,
    spacing: float,
    ax: Axes,
    *,
    truth: PointsLike | None = None,
    half_width: float = 500.0,
    centre: Sequence[float] = (0.0, 0.0),
    title: str | None = None,
) -> Axes:
    """Draw where something may have been smelled: green cells are probable, hatched ones unknown.

    Parameters
    ----------
    places : torch.Tensor of shape (n, 2)
        Centres of the cells, in metres.
    posterior : tree_world.models.localisation.Posterior
        Its credible region is outlined.
    spacing : float
        Side of a cell in metres.
    ax : matplotlib.axes.Axes
        The map to draw on.
    truth : array_like of shape (2,), optional
        Where it was, in metres.
    half_width : float, default=500.0
        Of the map, in metres.
    centre : sequence of two floats, default=(0, 0)
        Of the map, in metres.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    _map_axes(ax, half_width, title)
    middle = [float(coordinate) for coordinate in centre]
    cells = _array(places, dtype=np.float64)
    first = cells.min(axis=0)
    # Counted in cells: there may be none in a whole column.
    columns, rows = np.rint((cells - first) / spacing).astype(int).T
    image = np.full((rows.max() + 1, columns.max() + 1), np.nan)
    inside = np.zeros(image.shape)
    image[rows, columns] = _array(posterior.probabilities)
    inside[rows, columns] = _array(posterior.region, dtype=np.float64)
    left, bottom = first - spacing / 2
    extent = (left, left + spacing * image.shape[1], bottom, bottom + spacing * image.shape[0])
    _hatch_everything(ax, MapGrid(half_width, 2), middle)
    ax.imshow(image / np.nanmax(image), origin="lower", extent=extent, interpolation="nearest",
              cmap=PAPER_TO_LEAF, vmin=0, vmax=1, zorder=1)  # fmt: skip
    # In parts of cells, the line follows their edges; around them all, it is closed.
    parts = 10
    fine = np.kron(np.pad(inside, 1), np.ones((parts, parts)))
    x, y = (
        start - spacing + spacing / parts * (np.arange(number) + 0.5)
        for start, number in ((left, fine.shape[1]), (bottom, fine.shape[0]))
    )
    ax.contour(x, y, fine, levels=[0.5], colors=CLAY, linewidths=1.2, zorder=3)
    ax.plot(*posterior.peak.tolist(), "o", color=INK, markersize=5, zorder=5, label="told")
    if truth is not None:
        where = as_points(truth, 2, "truth")
        ax.plot(*where.tolist(), "+", color=CLAY, markersize=12, markeredgewidth=2, zorder=6,
                label="truth")  # fmt: skip
    xlim, ylim = ((m - half_width, m + half_width) for m in middle)
    ax.set(xlim=xlim, ylim=ylim)
    return ax


def plot_frontier(
    curves: Mapping[str, tuple[Sequence[Estimate], Sequence[Estimate], Sequence[str]]],
    points: Mapping[str, tuple[Estimate, Estimate]] | None = None,
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    title: str | None = None,
) -> Axes:
    """Draw what is gained on one axis for what is paid on the other, as a setting changes.

    Parameters
    ----------
    curves : mapping of str to (sequence of Estimate, sequence of Estimate, sequence of str)
        What to call each curve; x, y, and what to write at each point.
    points : mapping of str to (Estimate, Estimate), optional
        Single points to compare with.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel, ylabel : str
        What is drawn, with units.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.8))

    def cross(x: Estimate, y: Estimate, color: str) -> None:
        ax.plot([x.low, x.high], [y.mean] * 2, color=color, linewidth=0.8, alpha=0.6)
        ax.plot([x.mean] * 2, [y.low, y.high], color=color, linewidth=0.8, alpha=0.6)

    for number, (label, (x, y, names)) in enumerate(curves.items()):
        color = SERIES[number % len(SERIES)]
        ax.plot(
            [e.mean for e in x], [e.mean for e in y], color=color, linewidth=1.8, marker="o",
            markersize=4, linestyle=_LINES[number % len(_LINES)], label=label,
        )  # fmt: skip
        for one, other, name in zip(x, y, names, strict=True):
            cross(one, other, color)
            # Curves may meet: the labels of every other one stand on the other side.
            side, across, along = (1, "left", "bottom") if number % 2 == 0 else (-1, "right", "top")
            ax.annotate(name, (one.mean, other.mean), xytext=(4 * side, 4 * side), ha=across,
                        va=along, textcoords="offset points", fontsize=7.5,
                        color=SOFT_INK)  # fmt: skip
    for marker, (label, (one, other)) in zip("sDPv", (points or {}).items(), strict=False):
        ax.plot(one.mean, other.mean, marker, color=INK, markersize=7, linestyle="none",
                label=label, clip_on=False, zorder=3)  # fmt: skip
        cross(one, other, INK)
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, None), ylim=(0, None))
    ax.legend()
    if title is not None:
        ax.set_title(title)
    return ax


def unknown_patch() -> Patch:
    """Legend entry for the hatching that means unknown."""
    return Patch(facecolor=UNKNOWN_FILL, edgecolor=UNKNOWN_HATCH, hatch="////", label="unknown")


def plot_sight(
    sensor: DirectionalSensor,
    position: PointsLike,
    heading: PointsLike,
    ax: Axes,
) -> Axes:
    """Draw the cone of sight of a sensor onto a map.

    Parameters
    ----------
    sensor : DirectionalSensor
    position : array_like of shape (2,)
        Where the eye is, in metres.
    heading : array_like of shape (2,)
        Where it looks, a unit vector.
    ax : matplotlib.axes.Axes
        The map to draw on.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the place or the heading is not one vector of the plane.
    """
    x, y = as_points(position, 2, "position").tolist()
    direction = math.degrees(math.atan2(*reversed(as_unit_vectors(heading, 2).tolist())))
    half_angle = math.degrees(math.acos(sensor.heading_tolerance))
    ax.add_patch(
        Wedge(
            (x, y), sensor.max_sense_distance, direction - half_angle, direction + half_angle,
            facecolor=LEAF, edgecolor=LEAF, alpha=0.22, linewidth=1, zorder=2, label="in sight",
        )
    )  # fmt: skip
    ax.plot(
        x, y, "s", markersize=6.5, color=INK, markeredgecolor="white", markeredgewidth=0.9,
        label="agent", zorder=6,
    )  # fmt: skip
    return ax


# --- a life --------------------------------------------------------------------------------------


def plot_trajectory(
    recording: Recording,
    world: TreeWorld,
    ax: Axes | None = None,
    *,
    half_width: float = 500.0,
    colorbar: bool = True,
    title: str | None = None,
) -> Axes:
    """Draw a walk over the trees, coloured by health.

    Parameters
    ----------
    recording : Recording
    world : TreeWorld
        The world that was walked.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    half_width : float, default=500.0
        The map shows −half_width to +half_width on both axes, in metres.
    colorbar : bool, default=True
        Whether to explain the colours beside the map.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = _map_axes(ax, half_width, title)
    segments = np.stack([recording.positions[:-1], recording.positions[1:]], axis=1)
    health = Normalize(0, world.config.max_health)
    walk = LineCollection(
        list(segments), array=recording.healths[1:], norm=health, linewidth=1.7, zorder=3,
        capstyle="round",
    )  # fmt: skip
    # Bright colours would fade into the paper without an edge.
    ax.plot(*recording.positions.T, color=SOFT_INK, linewidth=2.9, solid_capstyle="round", zorder=2)
    ax.add_collection(walk)
    for row, marker, label in ((0, "s", "start"), (-1, "D", "end")):
        ax.plot(
            *recording.positions[row], marker, markersize=6.5, color=INK, markeredgecolor="white",
            markeredgewidth=0.9, label=label, zorder=6,
        )  # fmt: skip
    plot_world(world, ax, half_width=half_width, legend=True)
    if colorbar:
        bar = ax.figure.colorbar(walk, ax=ax, shrink=0.7, aspect=28, pad=0.03)
        bar.set_label("health (points)")
        bar.outline.set_visible(False)
    return ax


def plot_health(recording: Recording, ax: Axes | None = None, *, title: str | None = None) -> Axes:
    """Draw health over time, with a mark for every meal.

    Parameters
    ----------
    recording : Recording
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 2.9))
    ax.plot(np.arange(len(recording.healths)), recording.healths, color=INK, linewidth=1.4)
    for sign, marker, color, label in (
        (1, "o", EDIBLE, "edible fruit"),
        (-1, "X", POISONOUS, "poisonous fruit"),
    ):
        steps = recording.meal_steps[np.sign(recording.meal_healths) == sign]
        ax.scatter(
            steps, recording.healths[steps], s=34, marker=marker, color=color, edgecolor="white",
            linewidth=0.7, label=label, zorder=3,
        )  # fmt: skip
    ax.set(xlabel="time (steps)", ylabel="health (points)", ylim=(0, None), xlim=(0, None))
    ax.legend(loc="lower left")
    if title is not None:
        ax.set_title(title)
    return ax


# --- words ---------------------------------------------------------------------------------------


def plot_similarity(
    words: Sequence[str],
    embeddings: torch.Tensor,
    ax: Axes | None = None,
    *,
    emphasis: Collection[str] = (),
    title: str | None = None,
) -> Axes:
    """Draw the cosines between the embeddings of words as a matrix.

    Parameters
    ----------
    words : sequence of str
    embeddings : torch.Tensor of shape (n_words, embed_dim)
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    emphasis : collection of str, optional
        Words to write in the colour of poison.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is not one embedding for each word.
    """
    if embeddings.ndim != 2 or len(embeddings) != len(words):
        raise ValueError(
            "a matrix of similarities needs one embedding for each word, but "
            f"{len(words)} words and embeddings of shape {tuple(embeddings.shape)} were given."
        )
    if ax is None:
        _, ax = plt.subplots(figsize=(0.86 * TEXT_WIDTH, 0.74 * TEXT_WIDTH))
    unit = torch.nn.functional.normalize(embeddings, dim=-1)
    cosines = _array(unit @ unit.T)
    between = cosines[~np.eye(len(words), dtype=bool)]
    # The ones on the diagonal say nothing: leave them to the paper and the range to the rest.
    shown = np.where(np.eye(len(words), dtype=bool), np.nan, cosines)
    image = ax.imshow(shown, vmin=min(0.0, between.min()), vmax=between.max())
    ax.set_xticks(range(len(words)), words, rotation=90)
    ax.set_yticks(range(len(words)), words)
    for label in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        if label.get_text() in emphasis:
            label.set(color=POISONOUS, weight=600)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.7, aspect=28, pad=0.03)
    bar.set_label("cosine")
    bar.outline.set_visible(False)
    if title is not None:
        ax.set_title(title)
    return ax


# --- curves --------------------------------------------------------------------------------------


def plot_kernel_profile(
    sensor: SimpleSensor, ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Draw the strength of a scent against distance, with its deviation and its reach marked.

    Parameters
    ----------
    sensor : SimpleSensor
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.1))
    reach = sensor.max_sense_distance
    distances = torch.linspace(0, 1.6 * reach, 400, dtype=torch.float32)
    ax.plot(_array(distances), _array(sensor.strength(distances)), color=LEAF, linewidth=2)
    deviation = sensor.diffusion_time**0.5
    for distance, text in (
        (deviation, rf"$\sqrt{{t}}$ = {deviation:.1f} m"),
        (reach, f"M = {reach:g} m"),
    ):
        height = float(sensor.strength(torch.tensor(distance, dtype=torch.float32)))
        ax.plot([distance, distance], [0, height], color=LINE, linewidth=0.9, linestyle=(0, (3, 3)))
        ax.plot([0, distance], [height, height], color=LINE, linewidth=0.9, linestyle=(0, (3, 3)))
        ax.plot(distance, height, "o", color=LEAF, markersize=6, markeredgecolor=PAPER)
        ax.annotate(
            f"{text}, strength {height:.2f}", (distance, height), xytext=(9, 5),
            textcoords="offset points", color=INK, fontsize=9.5,
        )  # fmt: skip
    ax.set(xlim=(0, 1.6 * reach), ylim=(0, 1.04))
    ax.set(xlabel="distance from the tree (m)", ylabel="strength")
    if title is not None:
        ax.set_title(title)
    return ax


_MARKS = "osD^vPX*<>"  # of curves and points, beside their colours
_LINES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (8, 2)))
_MOST_MARKERS = 20  # points of a curve, up to which each is marked


def plot_estimates(
    positions: ArrayLike | Mapping[str, ArrayLike],
    curves: Mapping[str, Sequence[Estimate]],
    ax: Axes | None = None,
    *,
    xlabel: str,
    ylabel: str,
    log: bool = True,
    title: str | None = None,
) -> Axes:
    """Draw means over seeds against a quantity, each with the band of its interval.

    Parameters
    ----------
    positions : array_like of shape (n,), or mapping of str to such
        The quantity, for all curves or for each.
    curves : mapping of str to sequence of Estimate
        What to call each curve, and its n means.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel, ylabel : str
        What is drawn, with units.
    log : bool, default=True
        Whether both axes are logarithmic, so that a power is a straight line.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    each = positions if isinstance(positions, Mapping) else dict.fromkeys(curves, positions)
    for number, (label, estimates) in enumerate(curves.items()):
        x = _array(each[label], dtype=np.float64)
        color, style = SERIES[number % len(SERIES)], _LINES[number % len(_LINES)]
        low, mean, high = (
            np.array([getattr(estimate, part) for estimate in estimates])
            for part in ("low", "mean", "high")
        )
        ax.fill_between(x, low, high, color=color, alpha=0.16, linewidth=0)
        marker = "o" if len(x) <= _MOST_MARKERS else ""
        ax.plot(
            x, mean, color=color, linestyle=style, linewidth=1.8, marker=marker, markersize=4,
            label=label,
        )  # fmt: skip
    if log:
        ax.set(xscale="log", yscale="log")
        ticks = np.unique(np.concatenate([np.ravel(one) for one in each.values()]))
        ax.set_xticks(ticks, [f"{position:,g}" for position in ticks])
        ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.minorticks_off()
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if len(curves) > 1:
        ax.legend()
    if title is not None:
        ax.set_title(title)
    return ax


def plot_distributions(
    values: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    xlabel: str,
    title: str | None = None,
) -> Axes:
    """Draw for each group of values which share of them is at most how large.

    Parameters
    ----------
    values : mapping of str to array_like of shape (n,)
        What to call each group, and its values.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel : str
        What the values are, with their unit.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.2))
    for number, (label, group) in enumerate(values.items()):
        ordered = np.sort(_array(group, dtype=np.float64))
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        ax.plot(
            ordered, share, color=SERIES[number % len(SERIES)],
            linestyle=_LINES[number % len(_LINES)], linewidth=1.8, label=label,
        )  # fmt: skip
    ax.set(xlabel=xlabel, ylabel="share of places", ylim=(0, 1.02), xlim=(0, None))
    ax.legend(loc="lower right")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_reliability(
    curves: Mapping[str, Reliability], ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Draw what came of forecasts against what was forecast; on the diagonal both agree.

    Parameters
    ----------
    curves : mapping of str to Reliability
        What to call each, and the bins. Discs are as large as the share of forecasts in them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(4.2, 4.2))
    ax.plot([0, 1], [0, 1], color=LINE, linewidth=1)
    for number, (label, bins) in enumerate(curves.items()):
        color = SERIES[number % len(SERIES)]
        ax.plot(
            bins.forecast, bins.observed, color=color, linestyle=_LINES[number % len(_LINES)],
            linewidth=1.8, label=label,
        )  # fmt: skip
        sizes = 12 + 160 * bins.counts / bins.counts.sum()
        ax.scatter(bins.forecast, bins.observed, s=sizes, color=color, alpha=0.55, linewidth=0)
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="forecast", ylabel="outcome")
    ax.legend(loc="upper left")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_survival(
    curves: Mapping[str, SurvivalCurve],
    until: float,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """Draw shares still alive over time, with their confidence bands.

    Parameters
    ----------
    curves : mapping of str to SurvivalCurve
        What to call each curve, and the curve.
    until : float
        Last step to show.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.4))
    for style, color, (label, curve) in zip(_LINES, SERIES, curves.items(), strict=False):
        times = np.append(curve.times, until)
        low, high = (np.append(edge, edge[-1]) for edge in (curve.low, curve.high))
        ax.fill_between(times, low, high, step="post", color=color, alpha=0.16, linewidth=0)
        share = np.append(curve.share, curve.share[-1])
        ax.step(times, share, where="post", color=color, linestyle=style, linewidth=2, label=label)
    ax.set(xlim=(0, until), ylim=(0, 1.04), xlabel="time (steps)", ylabel="share alive")
    legend_below(ax, bbox_to_anchor=(0.5, -0.2))
    if title is not None:
        ax.set_title(title)
    return ax


def stacked_panels(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """Make panels above each other that share their x axis.

    Parameters
    ----------
    heights : sequence of float
        Of the panels, in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : list of matplotlib.axes.Axes
        From the top.
    """
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(TEXT_WIDTH, sum(heights)), sharex=True, squeeze=False,
        height_ratios=list(heights),
    )  # fmt: skip
    return figure, list(axes[:, 0])


def plot_size(times: ArrayLike, sizes: ArrayLike, ax: Axes, *, title: str | None = None) -> Axes:
    """Draw how many observations a memory holds over time.

    Parameters
    ----------
    times, sizes : array_like of shape (n,)
        In order of time.
    ax : matplotlib.axes.Axes
        Where to draw.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    when, number = _array(times), _array(sizes)
    ax.fill_between(when, number, step="post", color=LEAF, alpha=0.14, linewidth=0)
    ax.step(when, number, where="post", color=LEAF, linewidth=1.4)
    ax.set(ylim=(0, 1.12 * number.max()), ylabel="observations", xlim=(when[0], when[-1]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_latencies(
    times: ArrayLike,
    latencies: ArrayLike,
    ax: Axes,
    *,
    limit: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how long each step took, as a stem.

    Parameters
    ----------
    times : array_like of shape (n,)
        When each step began, in seconds.
    latencies : array_like of shape (n,)
        In milliseconds.
    ax : matplotlib.axes.Axes
        Where to draw.
    limit : float, optional
        A line to stay under, in milliseconds.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax.vlines(_array(times), 0, _array(latencies), color=SERIES[0], linewidth=1.3)
    if limit is not None:
        ax.axhline(limit, color=POISONOUS, linewidth=1, linestyle=_LINES[1])
    ax.set(ylim=(0, None), xlabel="time (s)", ylabel="a step (ms)")
    if title is not None:
        ax.set_title(title)
    return ax


def mark_times(marks: Mapping[str, float], axes: Sequence[Axes]) -> None:
    """Mark moments across panels that share their x axis, and name them in the topmost.

    Parameters
    ----------
    marks : mapping of str to float
        What to write, and when.
    axes : sequence of matplotlib.axes.Axes
        From the top.
    """
    for label, when in marks.items():
        for ax in axes:
            ax.axvline(when, color=CLAY, linewidth=1, zorder=1)
        axes[0].annotate(
            label, (when, 1), xycoords=("data", "axes fraction"), xytext=(4, -3),
            textcoords="offset points", va="top", color=CLAY, fontsize=9.5,
        )  # fmt: skip


# --- what work costs -----------------------------------------------------------------------------


def plot_growth(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    ax: Axes | None = None,
    *,
    xlabel: str = "observations",
    ylabel: str,
    emphasis: str | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how something grows with a size, on logarithmic axes, where a power is a straight line.

    Parameters
    ----------
    curves : mapping of str to (array_like of shape (n,), array_like of shape (n,))
        What to call each curve; sizes and values. NaN is left out. The mark and the colour of a
        curve tell its place in the order.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    xlabel, ylabel : str
        What is drawn, with units.
    emphasis : str, optional
        A curve that is drawn heavier than the others.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 3.6))
    for number, (label, (sizes, values)) in enumerate(curves.items()):
        heavy = label == emphasis
        ax.plot(
            _array(sizes, dtype=np.float64), _array(values, dtype=np.float64),
            color=LEAF if heavy else SERIES[number % len(SERIES)], marker=_MARKS[number],
            linewidth=2.6 if heavy else 1.2, markersize=5 if heavy else 4,
            linestyle="-" if heavy else _LINES[number % len(_LINES)], zorder=3 if heavy else 2,
            label=label,
        )  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    ax.grid(True, which="major", color=UNKNOWN_FILL, linewidth=0.7)
    ax.minorticks_off()
    if title is not None:
        ax.set_title(title)
    return ax


def plot_roofline(
    points: Mapping[str, tuple[float, float]],
    peak_flops: float,
    bandwidth: float,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    r"""Draw the speed of works under what the machine allows.

    .. math:: P(I) = \min(P_{\max}, B \, I)

    Parameters
    ----------
    points : mapping of str to (float, float)
        What to call each work; its operations for each byte that it moves, and its operations a
        second.
    peak_flops : float
        Greatest number :math:`P_{\max}` of operations a second.
    bandwidth : float
        Bytes B a second between memory and processor.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, 4.0))
    ridge = peak_flops / bandwidth
    intensities = [intensity for intensity, _ in points.values()]
    left, right = min(*intensities, ridge) / 4, max(*intensities, ridge) * 8
    roof = np.array([left, ridge, right])
    heights = np.minimum(peak_flops, bandwidth * roof) / 1e9
    ax.fill_between(roof, heights, 1e-6, color=LEAF, alpha=0.07, linewidth=0)
    ax.plot(roof, heights, color=LEAF, linewidth=2)
    for number, (label, (intensity, speed)) in enumerate(points.items()):
        ax.plot(
            intensity, speed / 1e9, _MARKS[number], color=SERIES[number % len(SERIES)],
            markersize=8, linestyle="none", label=label, zorder=3,
        )  # fmt: skip
    ax.annotate(
        f"{peak_flops / 1e9:,.0f} Gflop/s", (right, peak_flops / 1e9), xytext=(-4, 5),
        textcoords="offset points", ha="right", color=LEAF, fontsize=9,
    )  # fmt: skip
    ax.annotate(
        f"{bandwidth / 1e9:,.0f} GB/s", (ridge / 4, bandwidth * ridge / 4e9), xytext=(-6, 6),
        textcoords="offset points", ha="right", color=LEAF, fontsize=9,
    )  # fmt: skip
    lowest = min(bandwidth * left, *(speed for _, speed in points.values())) / 1e9
    ax.set(
        xscale="log", yscale="log", xlim=(left, right), ylim=(lowest / 2, 3 * peak_flops / 1e9),
        xlabel="operations for each byte that is moved", ylabel="Gflop/s",
    )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
    ax.legend(loc="lower right")
    if title is not None:
        ax.set_title(title)
    return ax


def plot_percentiles(
    times: ArrayLike,
    curves: Mapping[str, ArrayLike],
    ax: Axes,
    *,
    ylabel: str,
    limit: float | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how median, percentiles and extremes change in time, on a logarithmic scale.

    Parameters
    ----------
    times : array_like of shape (n,)
        In order.
    curves : mapping of str to array_like of shape (n,)
        What to call each curve, from the lowest to the highest.
    ax : matplotlib.axes.Axes
        Where to draw.
    ylabel : str
        What is drawn, with units.
    limit : float, optional
        A line to stay under.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    strengths = np.linspace(1.0, 0.35, len(curves))
    for (label, values), strength, style in zip(curves.items(), strengths, _LINES, strict=False):
        ax.plot(
            _array(times), _array(values), color=SERIES[0], alpha=float(strength),
            linewidth=1.5, linestyle=style, label=label,
        )  # fmt: skip
    if limit is not None:
        ax.axhline(limit, color=POISONOUS, linewidth=1, linestyle=_LINES[1])
    ax.set(yscale="log", ylabel=ylabel)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.minorticks_off()
    if title is not None:
        ax.set_title(title)
    return ax
