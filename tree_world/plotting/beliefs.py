"""How sure a body is of its place, and whether rightly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from tree_world.checks import as_points, checked_number, whole_number
from tree_world.evaluation import mean_with_interval
from tree_world.plotting.curves import LINES
from tree_world.plotting.panels import (
    figure_of,
    legend_below,
    legend_under_figure,
    log_axes,
    map_axes,
)
from tree_world.plotting.style import (
    CLAY,
    INK,
    LEAF,
    LINE,
    SERIES,
    TEXT_WIDTH,
    as_array,
    as_finite,
    keep_rows,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_MOST_POINTS = 1500  # of a cloud in which single ones can still be told
_MEAN_AREA = 6.0  # square points of a guess of mean weight
_LARGEST_AREA = 144.0  # and of the heaviest, at most
_IN_LEGEND = 18.0
_LOWEST = 0.01  # share of errors that is left out of a cloud
_AROUND_CIRCLE = 97  # corners of an outline
_TRUTH: dict[str, Any] = {
    "marker": "+",
    "color": CLAY,
    "markersize": 12,
    "markeredgewidth": 2,
    "linestyle": "none",
    "zorder": 6,
}
_WITH_INTERVAL: dict[str, Any] = {
    "color": INK,
    "markeredgecolor": "white",
    "markeredgewidth": 0.8,
    "elinewidth": 1.5,
    "zorder": 5,
}


def plot_ellipses(
    means: ArrayLike,
    covariances: ArrayLike,
    ax: Axes,
    *,
    share: float = 0.9,
    labels: str | Sequence[str] | None = None,
    colors: str | Sequence[str] | None = None,
    linestyles: Any = None,
    truths: ArrayLike | None = None,
) -> Axes:
    r"""Draw Gaussian beliefs about places on a map, as the ellipses that hold some share of each.

    The outline is where

    .. math:: (x - \mu)^\top P^{-1} (x - \mu) = -2 \ln(1 - q),

    with the mean μ, the covariance P and the share q. A dot marks the mean.

    Parameters
    ----------
    means : array_like of shape (n, 2) or (2,)
        In metres.
    covariances : array_like of shape (n, 2, 2) or (2, 2)
        In square metres.
    ax : matplotlib.axes.Axes
        The map to draw on; its extent stays as it is.
    share : float, default=0.9
        What each ellipse holds.
    labels : str or sequence of n str, optional
        For the legend: of all, or of each.
    colors : str or sequence of n str, optional
        Of all, or of each. By default those of `SERIES`, one for each label of its own.
    linestyles : str or sequence of n, optional
        As Matplotlib has them, such as "--", of all or of each. By default a dash for each label of
        its own, the first solid.
    truths : array_like of shape (n, 2) or (2,), optional
        Where each was in truth, in metres: a cross.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, the share is not between 0 and 1, or a matrix
        is no covariance.

    Examples
    --------
    What was believed, dashed, and what is believed after a smell:

    >>> from tree_world import plotting
    >>> _, (ax,) = plotting.map_panels()
    >>> ax = plotting.plot_ellipses(
    ...     [[0.0, 0.0], [8.0, 3.0]],
    ...     [[[400.0, 0.0], [0.0, 400.0]], [[30.0, 10.0], [10.0, 300.0]]],
    ...     plotting.plot_paths({"way": [[-40.0, -40.0], [0.0, 0.0]]}, ax),
    ...     labels=["before", "after"],
    ...     linestyles=["--", "-"],
    ... )
    """
    held = checked_number("share", share, "share")
    middles = _places(means, "means")
    number = len(middles)
    spreads = as_finite(covariances, "covariances")
    spreads = spreads[None] if spreads.ndim == 2 else spreads
    if spreads.shape != (number, 2, 2):
        raise ValueError(
            f"covariances must have shape ({number}, 2, 2), as there are {number} means, but have "
            f"shape {spreads.shape}."
        )
    squares, axes = np.linalg.eigh(spreads)
    tiny = 1e-9 * np.abs(spreads).max(initial=1e-30, axis=(1, 2))
    skew = np.abs(spreads - spreads.swapaxes(1, 2)).max(initial=0.0, axis=(1, 2))
    wrong = np.flatnonzero((skew > 1e3 * tiny) | (squares[:, 0] < -tiny))
    if len(wrong):
        raise ValueError(
            "covariances must be symmetric, without a negative eigenvalue, but that of place "
            f"{wrong[0]} is {spreads[wrong[0]].tolist()}."
        )
    where = None if truths is None else _places(truths, "truths")
    if where is not None and len(where) != number:
        raise ValueError(f"truths must be {number}, one for each mean, but are {len(where)}.")
    own = labels is not None and not isinstance(labels, str)
    kinds = range(number) if own else [0] * number
    names = _each(labels, number, "labels", [None] * number)
    hues = _each(colors, number, "colors", [SERIES[kind % len(SERIES)] for kind in kinds])
    dashes = _each(linestyles, number, "linestyles", [LINES[kind % len(LINES)] for kind in kinds])
    angles = np.linspace(0, 2 * math.pi, _AROUND_CIRCLE)
    circle = math.sqrt(-2 * math.log1p(-held)) * np.stack([np.cos(angles), np.sin(angles)])
    for row in range(number):
        outline = middles[row, :, None] + axes[row] * np.sqrt(squares[row].clip(min=0)) @ circle
        label = names[row] if own or row == 0 else None
        x, y = outline
        ax.plot(
            x,
            y,
            color=hues[row],
            linestyle=dashes[row],
            linewidth=1.6,
            label=label,
            zorder=4,
        )
        ax.plot(
            *middles[row],
            "o",
            color=hues[row],
            markersize=4.5,
            zorder=5,
        )
    if where is not None:
        ax.plot(*where.T, label="truth", **_TRUTH)
    return ax


def _places(values: ArrayLike, name: str) -> np.ndarray:
    places = as_array(as_points(as_array(values), 2, name, torch.float64)).reshape(-1, 2)
    if not len(places):
        raise ValueError(f"{name} must hold a place at least, but is empty.")
    return places


def _each(given: Any, number: int, name: str, default: Sequence[Any]) -> Sequence[Any]:
    """Take what is given for all, or for each."""
    if given is None:
        return default
    if isinstance(given, str):
        return [given] * number
    if len(given) != number:
        raise ValueError(
            f"{name} must be one for all, or {number}, one for each, but are {len(given)}."
        )
    return list(given)


def plot_claims(
    claimed: ArrayLike,
    errors: ArrayLike,
    ax: Axes | None = None,
    *,
    num_bins: int = 12,
    label: str,
    ylabel: str = "error",
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how large errors are against how large they were claimed to be.

    Both axes are logarithmic. What is claimed is sorted into bins of equally many; of each are
    drawn the median of its errors, as a disc, and where their middle eight tenths lie, as a line.
    An honest claim makes them rise along the line on which an error is as large as was claimed; one
    that tells nothing leaves them at one height.

    Parameters
    ----------
    claimed : array_like of shape (n,)
        How large each error should be, such as a standard deviation, above 0.
    errors : array_like of shape (n,)
        How large it is, 0 or more, in the same unit. At most 1,500 of them are drawn as points,
        evenly chosen, and of these the lowest hundredth is left out; all count in the bins.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    num_bins : int, default=12
        Bins of equally many claims.
    label : str
        What is claimed, with its unit, for the axis of x.
    ylabel : str, default="error"
        For the axis of y.
    legend : bool, optional
        Whether to put a legend under the graph; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If shapes differ, there are fewer errors than bins, one is negative or not finite, none is
        above 0, or a claim is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world import plotting
    >>> claimed = np.geomspace(0.01, 1.0, 200)
    >>> errors = claimed * np.abs(np.random.default_rng(0).normal(size=200))
    >>> ax = plotting.plot_claims(claimed, errors, label="claimed standard deviation")
    >>> ax.get_xscale(), ax.get_yscale()
    ('log', 'log')
    """
    said, off = (
        as_finite(values, name) for values, name in ((claimed, "claimed"), (errors, "errors"))
    )
    bins = whole_number("num_bins", num_bins, least=1)
    if said.ndim != 1 or said.shape != off.shape or len(said) < bins:
        raise ValueError(
            f"claimed and errors must be equally many, and {bins} at least, one for each bin, but "
            f"have shapes {said.shape} and {off.shape}."
        )
    if said.min() <= 0 or off.min() < 0 or off.max() == 0:
        raise ValueError(
            "on logarithmic axes claims must be above 0, and errors 0 or more, but not all 0; "
            f"the least are {said.min():g} and {off.min():g}, the largest error {off.max():g}."
        )
    legend = ax is None if legend is None else legend
    if ax is None:
        _, ax = plt.subplots(figsize=(0.6 * TEXT_WIDTH, 4.2))
    ends = [said.min(), said.max()]
    ax.plot(ends, ends, color=LINE, linewidth=1.2, label="as claimed", zorder=3)
    floor = float(np.quantile(off[off > 0], _LOWEST))
    some = np.linspace(0, len(said) - 1, min(len(said), _MOST_POINTS)).astype(int)
    some = some[off[some] >= floor]
    _cloud(ax, said[some], off[some], 6.0, "single errors")
    groups = np.array_split(np.argsort(said, kind="stable"), bins)
    x = [np.median(said[group]) for group in groups]
    low, middle, high = np.maximum(
        np.array([np.quantile(off[group], (0.1, 0.5, 0.9)) for group in groups]).T, floor
    )
    ax.errorbar(
        x,
        middle,
        yerr=[middle - low, high - middle],
        fmt="o",
        label="median, and 10 to 90 %",
        markersize=5,
        **_WITH_INTERVAL,
    )
    ax.set(xlabel=label, xscale="log", yscale="log")
    place = ax.get_subplotspec()
    if place is None or place.is_first_col():
        ax.set_ylabel(ylabel)
    log_axes(ax, "xaxis", "yaxis")
    if legend:
        legend_below(ax, ncols=2)
    if title is not None:
        ax.set_title(title)
    return ax


def _cloud(ax: Axes, x: np.ndarray, y: np.ndarray, areas: Any, label: str) -> None:
    """Draw many discs, some of them too small for a legend, which gets one that can be seen."""
    look: dict[str, Any] = {"color": SERIES[0], "linewidth": 0, "zorder": 2}
    ax.scatter(x, y, s=areas, alpha=0.4, **look)
    ax.scatter([], [], s=_IN_LEGEND, alpha=0.7, label=label, **look)


def plot_guesses(
    places: ArrayLike,
    weights: ArrayLike,
    ax: Axes,
    *,
    truth: ArrayLike,
    mean: ArrayLike | None = None,
    covariance: ArrayLike | None = None,
    half_width: float = 300.0,
    centre: Sequence[float] = (0.0, 0.0),
    title: str | None = None,
) -> Axes:
    """Draw the guesses of a particle filter on a map, each as large as its weight.

    Parameters
    ----------
    places : array_like of shape (n, 2)
        In metres.
    weights : array_like of shape (n,)
        Not negative; the area of a disc is proportional to its weight.
    ax : matplotlib.axes.Axes
        Where to draw.
    truth : array_like of shape (2,)
        Where the body is, in metres: a cross.
    mean : array_like of shape (2,), optional
        Where it believes to be, in metres: a dot.
    covariance : array_like of shape (2, 2), optional
        How sure it is of that, in square metres: around the dot, the ellipse of nine tenths.
    half_width : float, default=300.0
        Of the map, in metres.
    centre : sequence of two floats, default=(0, 0)
        Of the map, in metres.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is not finite, weights are negative or all 0, or there is a
        covariance without a mean.

    Examples
    --------
    >>> import numpy as np
    >>> from tree_world import plotting
    >>> _, (ax,) = plotting.map_panels()
    >>> places = np.random.default_rng(0).normal(50.0, 20.0, (500, 2))
    >>> ax = plotting.plot_guesses(places, np.full(500, 1 / 500), ax, truth=[40.0, 60.0])
    >>> len(ax.collections[0].get_offsets())
    500
    """
    guesses, there = _places(places, "places"), _places(truth, "truth")
    heavy = as_finite(weights, "weights")
    if heavy.shape != (len(guesses),) or heavy.min() < 0 or heavy.max() == 0:
        raise ValueError(
            f"weights must be {len(guesses)}, one for each place, 0 or more and not all 0, but an "
            f"array of shape {heavy.shape} and of the sum {heavy.sum():g} was given."
        )
    if len(there) != 1:
        raise ValueError(f"truth must be one place, of shape (2,), but holds {len(there)}.")
    if mean is None and covariance is not None:
        raise ValueError("an ellipse has a middle: give the mean with its covariance.")
    map_axes(ax, half_width, title)
    xlim, ylim = ((float(m) - half_width, float(m) + half_width) for m in centre)
    ax.set(xlim=xlim, ylim=ylim)
    areas = heavy * min(_MEAN_AREA / heavy.mean(), _LARGEST_AREA / heavy.max())
    _cloud(ax, guesses[:, 0], guesses[:, 1], areas, "guesses")
    if mean is not None and covariance is not None:
        plot_ellipses(mean, covariance, ax, colors=INK, labels="believed, 90 %")
    elif mean is not None:
        ax.plot(*_places(mean, "mean")[0], "o", color=INK, markersize=4.5, label="believed")
    ax.plot(*there[0], label="truth", **_TRUTH)
    return ax


def plot_coverage(
    table: Mapping[str, ArrayLike],
    ax: Axes | None = None,
    *,
    claimed: float = 0.9,
    band: tuple[float, float] | None = (0.85, 0.95),
    xlabel: str = "share of truths that were held",
    legend: bool | None = None,
    title: str | None = None,
) -> Axes:
    """Draw how often ellipses hold the truth, beside how often they claim to.

    Each method has a row: a dot for each world, and their mean with its 95 % interval (Student's).

    Parameters
    ----------
    table : mapping of str to array_like of shape (n_worlds,)
        What to call each method, the topmost first, and the share that it held in each world. The
        mean of a single world has no interval.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    claimed : float, default=0.9
        The share that is claimed: a line.
    band : (float, float), optional
        What is near enough, by default 0.85 to 0.95; None draws no band.
    xlabel : str, default="share of truths that were held"
        What the shares are.
    legend : bool, optional
        Whether to put a legend under the figure; by default where its axes are new.
    title : str, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no method or no world, or a share is not from 0 to 1.

    Examples
    --------
    >>> from tree_world import plotting
    >>> ax = plotting.plot_coverage({"tracker": [0.88, 0.93, 0.9], "smoother": [0.6, 0.7, 0.5]})
    >>> [tick.get_text() for tick in ax.get_yticklabels()]
    ['tracker', 'smoother']
    """
    line = checked_number("claimed", claimed, "share")
    rows = {label: _shares(label, shares) for label, shares in table.items()}
    if not rows:
        raise ValueError("table must hold a method and its shares, but it is empty.")
    height = 0.95 + 0.36 * len(rows)
    legend = ax is None if legend is None else legend
    if ax is None:
        _, ax = plt.subplots(figsize=(TEXT_WIDTH, height))
    if band is not None:
        low, high = band
        name = f"{low:g} to {high:g}"
        ax.axvspan(low, high, facecolor=to_rgba(LEAF, 0.14), linewidth=0, label=name, zorder=0)
    ax.axvline(line, color=CLAY, linewidth=1.2, label=f"claimed, {line:g}", zorder=1)
    for row, shares in enumerate(rows.values()):
        # Dots of like worlds lie beside each other, always in the same way.
        aside = 0.44 * ((np.arange(len(shares)) * 0.618034) % 1 - 0.5)
        ax.scatter(
            shares,
            row + aside,
            s=14,
            color=SERIES[0],
            alpha=0.5,
            linewidth=0,
            clip_on=False,
            label=None if row else "a world",
            zorder=2,
        )
        mean = float(shares.mean())
        ends = np.array([mean, mean])
        if len(shares) > 1:
            found = mean_with_interval(shares)
            ends = np.clip([found.low, found.high], 0.0, 1.0)
        ax.errorbar(
            mean,
            row,
            xerr=np.abs(ends - mean)[:, None],
            fmt="D",
            markersize=6.5,
            clip_on=False,
            label=None if row else "mean, 95 % interval",
            **_WITH_INTERVAL,
        )
    least = min(line, *(shares.min() for shares in rows.values()), *(band or ()))
    ax.set(xlim=(max(0.0, math.floor(10 * least - 1e-9) / 10), 1.0), xlabel=xlabel)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.tick_params(axis="y", length=0, pad=7)
    keep_rows(figure_of(ax), height)
    if legend:  # under the axes it would take room from beside them
        legend_under_figure(figure_of(ax), *ax.get_legend_handles_labels())
    if title is not None:
        ax.set_title(title)
    return ax


def _shares(label: str, values: ArrayLike) -> np.ndarray:
    shares = as_finite(values, f"shares of {label!r}")
    if shares.ndim != 1 or not len(shares) or shares.min() < 0 or shares.max() > 1:
        raise ValueError(
            f"shares of {label!r} must be from 0 to 1, one for each world, but an array of shape "
            f"{shares.shape} was given"
            + (f", from {shares.min():g} to {shares.max():g}." if shares.size else ".")
        )
    return shares
