r"""How to read somebody else's ground, by what is known of it.

For each output, or for all together, an order and a deviation are chosen by the squared errors of
reads without the observation there. Deviations are tried from an eighth of the distance of
neighbours to twice the extent, first far apart and then around the best. Along a river senses are
alike over another distance than across it: by which factor axes are stretched, and how they are
turned, is told by the evidence of the observations (`tree_world.models.memory.recall.noise`), as
errors of a hundred places are too few to find a shape by. Where places stand in crowds, the nearest
others are left out, too, so that reads are from as far away as anywhere else in the ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tree_world.models.memory.recall.kriging import Kriged, Kriging, evenly_spread
from tree_world.models.memory.recall.left_out import kriged_left_out
from tree_world.models.memory.recall.noise import Smoothness, smoothness, turned
from tree_world.models.memory.tuning import STEP, distances_of_queries, tune, usual_deviations

__all__ = ["NEAREST"]

Array: TypeAlias = npt.NDArray[np.float64]

NEAREST = 32  # observations that tell how far a prediction may be off
_FAR_APART = 3  # steps between deviations that are tried first


@dataclass(frozen=True)
class Choice:
    """How to read some outputs.

    Attributes
    ----------
    order : str
    deviation : numpy.ndarray of shape (n_features,)
        On each axis.
    turn : float, default=0.0
        By which the axes are turned, from the first to the second, in radians.
    """

    order: str
    deviation: Array
    turn: float = 0.0

    @property
    def kind(self) -> tuple[str, float, tuple[float, ...]]:
        """Equal for choices that are."""
        return self.order, self.turn, tuple(self.deviation.tolist())


@dataclass
class LeftOut:
    """Observations that are left out one at a time; what was found once is kept.

    Attributes
    ----------
    places : numpy.ndarray of shape (n_observations, n_features)
    senses : numpy.ndarray of shape (n_observations, n_outputs)
    sds : numpy.ndarray of shape (n_observations, n_features)
        What places are uncertain beside the deviation; zeros where they are exact.
    match_threshold : float or None
    most : int
        How many are left out.
    axes : {"turned", "own", "alike"}
        Whether a deviation may be another on each axis, and the axes turned.
    """

    places: Array
    senses: Array
    sds: Array
    match_threshold: float | None
    most: int
    axes: str
    _values: dict[tuple[str, float, tuple[float, ...]], Array] = field(default_factory=dict)
    _smoothness: Smoothness | None = None
    _fields: tuple[Array, Array] | None = None
    _apart: Array | None = None

    @property
    def which(self) -> npt.NDArray[np.intp]:
        """Those that are left out."""
        return evenly_spread(len(self.places), self.most)

    @property
    def apart(self) -> Array:
        """How near others may be to each of them, so that leaving out is like asking anywhere."""
        if self._apart is None:
            self._apart = distances_of_queries(self.places, self.which)
        return self._apart

    @property
    def smoothness(self) -> Smoothness:
        """Lengths and noise of all outputs, by evidence."""
        if self._smoothness is None:
            self._smoothness = smoothness(self.places, self.senses, self.axes)
        return self._smoothness

    # --- what is read ----------------------------------------------------------------------------

    def values(self, order: str, deviations: Array, turn: float = 0.0) -> Array:
        """Read without each observation, by a mean or by a plane.

        Parameters
        ----------
        order : {"constant", "linear"}
        deviations : numpy.ndarray of shape (n_deviations, n_features)
        turn : float, default=0.0
            Of the axes.

        Returns
        -------
        numpy.ndarray of shape (n_deviations, n_left_out, n_outputs)
            The mean of all where nothing is within the threshold.
        """
        kinds = [Choice(order, deviation, turn).kind for deviation in deviations]
        new = [row for row, kind in enumerate(kinds) if kind not in self._values]
        if new:
            uncertain = np.maximum(self.sds, np.finfo(float).tiny) if self.sds.any() else None
            found = tune(
                *(turned(self.places, turn), self.senses),
                order=order,
                deviations=deviations[new],
                location_sds=uncertain,
                match_threshold=self.match_threshold,
                most=self.most,
                apart=self.apart,
            )
            value = np.where(found.known[:, None], found.value, self.senses.mean(axis=0))
            self._values.update({kinds[row]: one for row, one in zip(new, value, strict=True)})
        return np.stack([self._values[kind] for kind in kinds])

    def fields(self) -> tuple[Array, Array]:
        """Read without each observation by kriging.

        Returns
        -------
        value, deviation : numpy.ndarray of shape (n_left_out, n_outputs)
            What is read, and the standard deviation that is claimed of what is sensed there.
        """
        if self._fields is not None:
            return self._fields
        found, shape = self.smoothness, (len(self.which), self.senses.shape[1])
        value, deviation = np.broadcast_to(found.mean, shape).copy(), np.zeros(shape)
        for outputs in found.alike:
            known = smooth_field(self.places, self.senses, found, outputs)
            read = kriged_left_out(known, self.which, self.apart)
            value[:, outputs] += read.mean
            deviation[:, outputs] = claimed(read, known, found.amplitude[outputs])
        self._fields = value, deviation
        return self._fields

    def _losses(self, values: Array, outputs: list[int]) -> Array:
        """Squared errors in units of variances, on average: (n_deviations,)."""
        variance = self.senses[:, outputs].var(axis=0)
        variance[variance == 0] = 1.0
        error = np.square(values[..., outputs] - self.senses[self.which][:, outputs])
        return np.asarray((error / variance).mean(axis=-1).mean(axis=-1))

    # --- what is chosen --------------------------------------------------------------------------

    def best(self, orders: Sequence[str], deviation: Array | None, outputs: list[int]) -> Choice:
        """Choose for some outputs.

        Parameters
        ----------
        orders : sequence of str
            Among which to choose.
        deviation : numpy.ndarray of shape (n_features,) or None
            Where it is given, only the order is chosen.
        outputs : list of int

        Returns
        -------
        Choice
        """
        dim = self.places.shape[1]
        alone = len(self.places) < 2 or not np.ptp(self.places, axis=0).any()
        if alone or (len(orders) == 1 and deviation is not None):
            return Choice(orders[0], np.ones(dim) if deviation is None else deviation)
        found = []
        for order in orders:
            if deviation is not None:
                choice = Choice(order, deviation)
            elif order == "kriging":
                length = float(np.exp(np.log(self.smoothness.length[outputs]).mean()))
                stretch, turn = self._shape(outputs)
                choice = Choice(order, length / math.sqrt(2) * stretch, turn)
            else:
                choice = self._search(order, outputs)
            loss = float(self._losses(self._read(choice)[None], outputs)[0])
            found.append((loss, choice))
        return min(found, key=lambda one: one[0])[1]

    def _read(self, choice: Choice) -> Array:
        if choice.order == "kriging":
            return self.fields()[0]
        return np.asarray(self.values(choice.order, choice.deviation[None], choice.turn)[0])

    def _shape(self, outputs: list[int]) -> tuple[Array, float]:
        """Stretches of axes and their turn: of one output, or in the middle of several."""
        dim = self.places.shape[1]
        if self.axes == "alike" or dim == 1:
            return np.ones(dim), 0.0
        stretch, turn = np.log(self.smoothness.stretch[outputs]), self.smoothness.turn[outputs]
        if len(outputs) == 1 or dim != 2:
            return np.exp(stretch.mean(axis=0)), float(turn[0])
        # As matrices without a trace, whose mean is no matter of where angles begin.
        u = float((stretch[:, 0] * np.cos(2 * turn)).mean())
        v = float((stretch[:, 0] * np.sin(2 * turn)).mean())
        size = math.hypot(u, v)
        return np.exp([size, -size]), 0.5 * math.atan2(v, u)

    def _search(self, order: str, outputs: list[int]) -> Choice:
        """Find the best deviation."""
        usual = usual_deviations(self.places)
        stretch, turn = self._shape(outputs)
        far_apart = self._best_of(order, usual[::_FAR_APART], stretch, turn, outputs)
        around = far_apart * STEP ** np.arange(1.0 - _FAR_APART, _FAR_APART)
        deviation = self._best_of(order, around, stretch, turn, outputs)
        return Choice(order, deviation * stretch, turn)

    def _best_of(
        self, order: str, tried: Array, stretch: Array, turn: float, outputs: list[int]
    ) -> float:
        values = self.values(order, tried[:, None] * stretch, turn)
        return float(tried[np.argmin(self._losses(values, outputs))])

    def error_scale(self, choices: list[Choice]) -> Array:
        """Find how many times larger errors are than kriging claims, for each output.

        Parameters
        ----------
        choices : list of Choice
            For each output.

        Returns
        -------
        numpy.ndarray of shape (n_outputs,)
            Root mean square of the ratios; one where nothing can be left out.
        """
        scale = np.ones(self.senses.shape[1])
        if len(self.places) < 2:
            return scale
        deviation = self.fields()[1]
        for output, choice in enumerate(choices):
            if not deviation[:, output].all():
                continue
            value = self._read(choice)[:, output]
            error = self.senses[self.which, output] - value
            scale[output] = np.sqrt(np.square(error / deviation[:, output]).mean())
        return scale


def straightened(places: Array, found: Smoothness, output: int) -> Array:
    """Tell places so that the field of an output is alike in all directions.

    Parameters
    ----------
    places : numpy.ndarray of shape (n_places, n_features)
    found : Smoothness
    output : int

    Returns
    -------
    numpy.ndarray of shape (n_places, n_features)
    """
    return np.asarray(turned(places, float(found.turn[output])) / found.stretch[output])


def smooth_field(places: Array, senses: Array, found: Smoothness, outputs: list[int]) -> Kriging:
    """Prepare outputs to be read by kriging: around their means, where they are alike all round.

    Parameters
    ----------
    places : numpy.ndarray of shape (n_observations, n_features)
    senses : numpy.ndarray of shape (n_observations, n_outputs)
    found : Smoothness
    outputs : list of int
        Which change over space in the same way.

    Returns
    -------
    Kriging
        Of amplitude one, whatever that of each is.
    """
    return Kriging(
        straightened(places, found, outputs[0]),
        senses[:, outputs] - found.mean[outputs],
        float(found.length[outputs[0]]),
        amplitude=1.0,
        nugget=float(found.nugget[outputs[0]]),
        nearest=NEAREST,
    )


def claimed(read: Kriged, known: Kriging, amplitude: Array) -> Array:
    """Tell how far what is sensed may be from what is read by kriging, noise included.

    Parameters
    ----------
    read : Kriged
    known : Kriging
        Of amplitude one.
    amplitude : numpy.ndarray of shape (n_outputs,)

    Returns
    -------
    numpy.ndarray of shape (n_places, n_outputs)
        Standard deviations.
    """
    return np.asarray(np.sqrt(read.variance + known.nugget_variance)[:, None] * amplitude)
