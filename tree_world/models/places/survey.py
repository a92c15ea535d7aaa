r"""What a region smells of, read once, and how well a smell fits each place of it.

A region is covered by square cells. At their centres the memory is read by kriging (see
`tree_world.models.memory.recall.kriging`): mean :math:`\bar z` and variance v. Between centres both
are interpolated along each axis. A smell z, expressed in the D directions that smells take, lies by

.. math::

    \delta(x)^2 = \frac{\lVert z - \bar z(x) \rVert^2}{D\, r(x)}, \qquad r = v + \nu^2 a^2,

from what is read: the mean square of its deviations, in standard deviations. It fits the place as

.. math::

    L(x) = \left( r(x)^{-D/2} \left(1 + \frac{\delta(x)^2}{\gamma^2}\right)^{-D (1 + \gamma^2) / 2}
    \right)^{1/\kappa}.

In the brackets stands the density of Student's t distribution of :math:`D \gamma^2` degrees of
freedom: the variance of a read is itself not known well. Most reads are better than they claim, and
a few far worse, where smells jump as fruit comes into reach; under a Gaussian one such would rule
out the truth. The *gate* γ says from how many standard deviations on logarithms count. Errors of
neighbouring reads are alike, so that a smell counts only as its κth root, as in `Tracker`. Outside
of the region nothing is known: there the mean is nothing, and v = a².
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from tree_world.checks import (
    PointsLike,
    as_numbers,
    as_points,
    as_senses,
    checked_number,
    positive_distance,
)
from tree_world.models.memory.recall.kriging import NUGGET, Kriging
from tree_world.models.places.directions import directions_of, outside

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]

_SMELLS = 3.0  # deviations of the nugget, from which on a smell is one
_MOST_CELLS = 4_000_000


class Survey:
    r"""Knows what a region smells of.

    Parameters
    ----------
    places : array_like of shape (n_observations, 2)
        Where smells are known, in metres.
    senses : array_like of shape (n_observations, sensory_dim)
        What it smells of there. They are expressed in as few numbers as they have directions.
    length : float
        Of the kernel, in metres; see `Kriging`.
    nugget, nearest, amplitude
        As for `Kriging`; the amplitude is that of a coordinate in those few numbers.
    width : float, default=16.0
        κ: a smell counts as its κth root.
    gate : float, default=0.5
        γ, in standard deviations.
    region : array_like of shape (2, 2), optional
        Its lower left and its upper right corner, in metres; by default the box around all places.
    spacing : float, default=5.0
        Side of a cell in metres, at most; a twelfth of the length is fine enough.

    Attributes
    ----------
    region : numpy.ndarray of float64, of shape (2, 2)
        In metres.
    centres : numpy.ndarray of float64, of shape (n_cells, 2)
        Of the cells, in metres.
    known : Kriging
        What was read.
    sensory_dim : int
        How many numbers a smell has.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is out of its range, the region has no area, or it has more
        than four million cells.

    Examples
    --------
    >>> places = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]
    >>> survey = Survey(places, [[0.0], [1.0], [0.0], [1.0]], length=20.0)
    >>> fits = survey.fit_of_cells([1.0])
    >>> survey.centres[fits.argmax()]
    array([7.5, 2.5])
    """

    def __init__(
        self,
        places: PointsLike,
        senses: PointsLike,
        *,
        length: float,
        nugget: float = NUGGET,
        nearest: int = 24,
        amplitude: float | None = None,
        width: float = 16.0,
        gate: float = 0.5,
        region: PointsLike | None = None,
        spacing: float = 5.0,
    ) -> None:
        self.width = checked_number("width", width, "positive")
        self.gate = checked_number("gate", gate, "positive")
        side = positive_distance("spacing", spacing)
        there = as_points(places, 2, "places", torch.float64).detach()
        sensed = as_numbers(senses, "senses", torch.float64).detach()
        if sensed.ndim != 2 or sensed.numel() == 0:
            raise ValueError(
                "senses must have shape (n_observations, sensory_dim), with at least one of both, "
                f"but an array of shape {tuple(sensed.shape)} was given."
            )
        every: Array = as_senses(sensed, sensed.shape[1], "senses", torch.float64).numpy()
        self._directions = directions_of(every, nugget)
        self._outside = outside(every, self._directions)
        few = every @ self._directions.T
        self.known = Kriging(
            there, few, length, nugget=nugget, nearest=nearest, amplitude=amplitude
        )
        self.region = _region(self.known.places if region is None else region, region is None)
        extent = self.region[1] - self.region[0]
        self._shape = np.ceil(extent / side - 1e-9).astype(np.intp)
        if math.prod(int(number) for number in self._shape) > _MOST_CELLS:
            raise ValueError(
                f"a region of {extent[0]:.0f} × {extent[1]:.0f} m has more than {_MOST_CELLS:,} "
                f"cells of {side} m: give a smaller region, or a greater spacing."
            )
        self._side: Array = extent / self._shape
        # One cell more on each side, so that all of the region lies between centres.
        axes = [
            self.region[0, axis] + self._side[axis] * (np.arange(-1, self._shape[axis] + 1) + 0.5)
            for axis in range(2)
        ]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        read = self.known.read(grid.reshape(-1, 2))
        self._means = read.mean
        self._noise: Array = read.variance + self.known.nugget_variance
        inner = np.arange(len(read.mean)).reshape(grid.shape[:2])[1:-1, 1:-1].ravel()
        self.centres: Array = grid.reshape(-1, 2)[inner]
        self._cell_means, self._cell_noise = self._means[inner], self._noise[inner]
        self._cell_squares: Array = (self._cell_means**2).sum(axis=-1)
        self._cell_log = np.log(self._cell_noise)

    @property
    def sensory_dim(self) -> int:
        """How many numbers a smell has."""
        return int(self._directions.shape[1])

    def smells(self, sense: PointsLike) -> bool:
        """Tell whether a sense is more than nothing, by three deviations of the nugget.

        Parameters
        ----------
        sense : array_like of shape (sensory_dim,)

        Returns
        -------
        bool
        """
        _, whole = self._few(sense)
        return whole > _SMELLS**2 * len(self._directions) * self.known.nugget_variance

    def fit_of_cells(self, sense: PointsLike) -> Array:
        """Tell how well a smell fits each cell.

        Parameters
        ----------
        sense : array_like of shape (sensory_dim,)

        Returns
        -------
        numpy.ndarray of float64, of shape (n_cells,)
            Logarithms of L at the centres, in nats.

        Raises
        ------
        ValueError
            If the shape is wrong, or an entry is not finite.
        """
        few, whole = self._few(sense)
        squares = self._cell_squares - 2 * (self._cell_means @ few) + whole
        return self._fit(np.maximum(squares, 0.0), self._cell_noise, self._cell_log)

    def fit(self, places: PointsLike, sense: PointsLike) -> Array:
        """Tell how well a smell fits some places.

        Parameters
        ----------
        places : array_like of shape (n, 2)
            In metres.
        sense : array_like of shape (sensory_dim,)

        Returns
        -------
        numpy.ndarray of float64, of shape (n,)
            Logarithms of L, in nats.

        Raises
        ------
        ValueError
            If a shape is wrong, or an entry is not finite.
        """
        there: Array = as_points(places, 2, "places", torch.float64).detach().numpy().reshape(-1, 2)
        few, whole = self._few(sense)
        # Outside of the region as far from all that is known.
        squares = np.full(len(there), whole)
        noise = np.full(len(there), self.known.amplitude**2 + self.known.nugget_variance)
        inside = ((there >= self.region[0]) & (there <= self.region[1])).all(axis=-1)
        means, noise[inside] = self._between(there[inside])
        # What no place smells of counts as apart, too.
        squares[inside] = ((means - few) ** 2).sum(axis=-1) + whole - float(few @ few)
        return self._fit(squares, noise, np.log(noise))

    def spread(self, fits: Array, number: int, generator: torch.Generator) -> tuple[Array, Numbers]:
        """Draw places from the cells, each as often as it fits.

        Parameters
        ----------
        fits : numpy.ndarray of float64, of shape (n_cells,)
            Logarithms of how often, up to a constant.
        number : int
            How many.
        generator : torch.Generator

        Returns
        -------
        places : numpy.ndarray of float64, of shape (number, 2)
            Evenly spread over their cells, in metres.
        cells : numpy.ndarray of int, of shape (number,)
            Of which cell each is.
        """
        shares = np.exp(fits - fits.max())
        cells = systematic(shares, number, generator)
        apart = torch.rand(number, 2, generator=generator, dtype=torch.float64).numpy() - 0.5
        return self.centres[cells] + apart * self._side, cells

    # --- inside -----------------------------------------------------------------------------------

    def _few(self, sense: PointsLike) -> tuple[Array, float]:
        """Express a sense in few numbers; tell its square without what is left of every sense."""
        smell = self._smell(sense)
        few = self._directions @ smell
        inside = float(few @ few)
        return few, inside + max(float(smell @ smell) - inside - self._outside, 0.0)

    def _smell(self, sense: PointsLike) -> Array:
        dim = self.sensory_dim
        smell: Array = as_senses(sense, dim, "sense", torch.float64).detach().numpy()
        if smell.shape != (dim,):
            raise ValueError(f"sense must be one, of shape ({dim},), not {smell.shape}.")
        return smell

    def _fit(self, squares: Array, noise: Array, log_noise: Array) -> Array:
        number, gate = len(self._directions), self.gate**2
        far = (1 + gate) * np.log1p(squares / (number * gate * noise))
        return np.asarray((far + log_noise) * (-0.5 * number / self.width))

    def _between(self, places: Array) -> tuple[Array, Array]:
        """Interpolate mean and noise at places inside of the region."""
        steps = (places - self.region[0]) / self._side + 0.5
        low = np.clip(np.floor(steps).astype(np.intp), 0, self._shape)
        right = steps - low
        columns = int(self._shape[1]) + 2
        first = low[:, 0] * columns + low[:, 1]
        means = np.zeros((len(places), self._means.shape[1]))
        noise = np.zeros(len(places))
        for along, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = np.abs(1 - along - right[:, 0]) * np.abs(1 - across - right[:, 1])
            which = first + along * columns + across
            means += share[:, None] * self._means[which]
            noise += share * self._noise[which]
        return means, noise


def systematic(weights: Array, number: int, generator: torch.Generator) -> Numbers:
    """Draw with replacement, so that each comes as often as it weighs, to within one.

    Parameters
    ----------
    weights : numpy.ndarray of float64, of shape (n,)
        Zero or more, not all zero.
    number : int
        How many to draw.
    generator : torch.Generator

    Returns
    -------
    numpy.ndarray of int, of shape (number,)
        In rising order.

    Examples
    --------
    >>> import numpy as np
    >>> drawn = systematic(np.array([1.0, 0.0, 3.0]), 8, torch.Generator().manual_seed(0))
    >>> np.bincount(drawn)
    array([2, 0, 6])
    """
    upper = np.cumsum(weights)
    first = float(torch.rand((), generator=generator, dtype=torch.float64))
    marks = (first + np.arange(number)) * (upper[-1] / max(number, 1))
    last = int(np.flatnonzero(weights)[-1])
    return np.asarray(np.minimum(np.searchsorted(upper, marks, side="right"), last))


def _region(values: PointsLike, around: bool) -> Array:
    """Two corners, given or those of the box around some places."""
    array: Array = as_points(values, 2, "region", torch.float64).detach().numpy()
    corners = np.stack([array.min(axis=0), array.max(axis=0)]) if around else np.array(array)
    if corners.shape != (2, 2) or not (corners[0] < corners[1]).all():
        raise ValueError(
            "region must be two corners, the lower left and the upper right one, of shape (2, 2), "
            f"in metres, but {corners.tolist()} was given. Give [[-400, -400], [400, 400]], or so."
        )
    return corners
