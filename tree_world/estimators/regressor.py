r"""The memory as an estimator of scikit-learn: other people's measurements, remembered.

A memory of smells at places is a regression over space, and so is a map of metals in soil, of rain
or of radiation. `SpatialMemoryRegressor` is a `tree_world.models.memory.SpatialMemory` with the
face that scientists know: ``fit``, ``predict``, ``score``; it can be cloned, pickled, put into
pipelines and searched over. What a memory cannot know of somebody else's ground it asks of the
ground itself:

- how wide to read, and in which order, by reading each place without its own observation
  (`tree_world.models.memory.tuning`);
- how far a prediction may be off, by kriging, whose length and noise are those that make the
  observations most probable (`tree_world.models.memory.recall.noise`), scaled so that it holds for
  the observations that were left out.

Nothing but the observations that are given to ``fit`` is looked at.
"""

from __future__ import annotations

from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tree_world.checks import as_deviations, as_points, positive_distance, whole_number
from tree_world.estimators.choosing import Choice, LeftOut, claimed, smooth_field, straightened
from tree_world.models.memory import ReadOptions, SpatialMemory
from tree_world.models.memory.recall.kriging import Kriging
from tree_world.models.memory.recall.noise import AXES, Smoothness, turned
from tree_world.models.memory.tuning import MOST

Array: TypeAlias = npt.NDArray[np.float64]

Planned: TypeAlias = tuple[Choice, list[int]]
"""How a memory is read, and for which outputs."""

ORDERS = ("constant", "linear", "kriging")
BY_LEAVE_ONE_OUT = "leave-one-out"
_TAIL = 1e-9  # share of the weight that a read may leave out
_LONGITUDES = ("lon", "long", "longitude", "lng")
_LATITUDES = ("lat", "latitude")


class SpatialMemoryRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Regression over space by a spatial memory.

    A prediction is what the memory reads at a place: the mean of what was sensed around it, or the
    plane through it, weighted by a Gaussian kernel of width :math:`\sqrt 2 s`, where s is the
    deviation.

    Parameters
    ----------
    order : {"linear", "constant", "kriging", "leave-one-out"}, default="linear"
        How to read: by a plane, by a mean, by a smooth field; or by whichever of these errs least
        where observations are left out, for each output.
    deviation : "leave-one-out", float or array of shape (n_features,), default="leave-one-out"
        How uncertain each observation and each query counts as, in the unit of the coordinates; on
        each axis, if there are several. By default that with the least squared error where
        observations are left out, for each output. By kriging it is the length of the field over
        √2, always the most probable one, and a number is refused.
    axes : {"turned", "own", "alike"}, default="turned"
        Whether a deviation that is found may be another on each axis, and whether the axes may be
        turned, too, which they are in the plane alone. They are where the evidence is worth it.
    per_output : bool, default=True
        Whether each output has an order and a deviation of its own. Without, all share those that
        suit them best together, in units of their standard deviations.
    match_threshold : float, optional
        Observations farther away than this do not count. Where none is as near, the prediction is
        the mean of what was given to ``fit``. Not for kriging.
    error : {"kriging", None}, default="kriging"
        How ``predict(X, return_std=True)`` knows how far it may be off. Without, ``fit`` is
        quicker.
    max_memory_size : int, optional
        Greatest number of observations; the oldest make room. There is no bound by default.
    most : int, default=1000
        How many observations are left out, one at a time, to choose anything; all are read from.
    coordinates : {"plane", None}, default=None
        "plane" says that numbers which look like degrees are distances.

    Attributes
    ----------
    memory_ : SpatialMemory
        Of all outputs, with all its verbs. Its places are counted from `origin_` along axes that
        may be turned: see `to_memory` and `from_memory`. Where outputs have deviations of their
        own, those of its observations suit all of them together.
    memories_ : list of SpatialMemory
        Those that predictions are read from, one for all outputs with the same order and deviation;
        `memory_` itself, if there is only one.
    origin_ : numpy.ndarray of shape (n_features,)
        A place in the middle of those that were given first. Coordinates of millions of metres keep
        all their digits, as only differences from it are stored.
    order_ : list of str
        For each output.
    deviation_ : numpy.ndarray of shape (n_outputs, n_features)
        For each output, on each axis.
    turn_ : numpy.ndarray of shape (n_outputs,)
        By which those axes are turned, from the first to the second, in radians.
    mean_ : numpy.ndarray of shape (n_outputs,)
        Of what was given to ``fit``.
    tuned_at_ : int
        How many observations there were when all this was chosen.
    smoothness_ : Smoothness or None
        Length and noise of each output, for its error.
    error_scale_ : numpy.ndarray of shape (n_outputs,) or None
        Times which errors are as large as kriging claims, where observations are left out.
    n_features_in_ : int
    feature_names_in_ : numpy.ndarray of shape (n_features_in_,)
        Only where names are given.

    References
    ----------
    E. A. Nadaraya, "On estimating regression", 1964; G. S. Watson, "Smooth regression analysis",
    1964; J. Fan and I. Gijbels, "Local Polynomial Modelling and Its Applications", 1996.

    Examples
    --------
    >>> import numpy as np
    >>> generator = np.random.default_rng(3)
    >>> places = generator.uniform(0, 1000, (300, 2)) + [450_000, 5_200_000]
    >>> metal = np.sin(places[:, 0] / 150) + generator.normal(0, 0.2, 300)
    >>> model = SpatialMemoryRegressor().fit(places[:200], metal[:200])
    >>> print(f"R² {model.score(places[200:], metal[200:]):.2f}")
    R² 0.91
    >>> mean, std = model.predict(places[200:], return_std=True)
    >>> inside = np.abs(metal[200:] - mean) < 1.645 * std
    >>> print(f"{inside.mean():.0%} within the intervals of 90 %")
    91% within the intervals of 90 %
    """

    # What is learned comes as a whole: see `_learned`.
    memory_: SpatialMemory
    memories_: list[SpatialMemory]
    origin_: Array
    order_: list[str]
    smoothness_: Smoothness | None
    error_scale_: Array | None
    mean_: Array
    tuned_at_: int
    single_output_: bool
    _plan: list[Planned]
    _room: int
    _fields: list[Kriging] | None

    def __init__(
        self,
        order: str = "linear",
        deviation: Any = BY_LEAVE_ONE_OUT,
        *,
        axes: str = "turned",
        per_output: bool = True,
        match_threshold: float | None = None,
        error: str | None = "kriging",
        max_memory_size: int | None = None,
        most: int = MOST,
        coordinates: str | None = None,
    ) -> None:
        self.order = order
        self.deviation = deviation
        self.axes = axes
        self.per_output = per_output
        self.match_threshold = match_threshold
        self.error = error
        self.max_memory_size = max_memory_size
        self.most = most
        self.coordinates = coordinates

    def __sklearn_tags__(self) -> Any:
        """Say that several outputs are welcome."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    # --- fitting ---------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, location_sds: Any = None) -> Self:
        """Remember observations, and choose how to read them.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Places, as distances on a plane: projected metres, for example. Degrees are refused.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            What was sensed there.
        location_sds : array_like of shape (n_samples,) or (n_samples, n_features), or float, \
optional
            How far off the places themselves may be, beside the deviation.

        Returns
        -------
        SpatialMemoryRegressor
            This one.

        Raises
        ------
        ValueError
            If shapes do not fit, a number is not finite or out of its range, a choice is unknown,
            or places are longitudes and latitudes.
        """
        self._check()
        places, senses = self._checked(X, y, reset=True)
        sds = _as_sds(location_sds, places)
        middle = np.square(places - places.mean(axis=0)).sum(axis=1)
        origin = places[int(np.argmin(middle))].copy()
        learned = self._learned(places - origin, senses.reshape(len(senses), -1), sds)
        # All at once, so that an interrupt finds what was before, or what is now.
        self.__dict__.update(learned, origin_=origin, single_output_=senses.ndim == 1)
        return self

    def partial_fit(self, X: Any, y: Any, location_sds: Any = None) -> Self:
        """Remember more observations, as they come.

        The first call is ``fit``. What was chosen by then stays, until there are twice as many
        observations: then it is chosen anew, from all of them.

        Parameters
        ----------
        X, y, location_sds
            As for ``fit``.

        Returns
        -------
        SpatialMemoryRegressor
            This one.

        Raises
        ------
        ValueError
            As ``fit`` does. Nothing has changed then.
        """
        if not hasattr(self, "memory_"):
            return self.fit(X, y, location_sds)
        places, senses = self._checked(X, y, reset=False)
        sds = _as_sds(location_sds, places)
        senses = senses.reshape(len(senses), -1)
        outputs = len(self.order_)
        if senses.shape[1] != outputs:
            raise ValueError(
                f"y has {senses.shape[1]} outputs, but {outputs} were given to the first call."
            )
        self._catch_up()
        there = places - self.origin_
        number = len(self.memory_) + len(there)
        is_free = isinstance(self.deviation, str) or self.order == BY_LEAVE_ONE_OUT
        is_full = self.max_memory_size is None and number > self._room
        if not (is_full or (is_free and number >= 2 * self.tuned_at_)):
            self._fields = None
            for memory, output in self._with_memories():
                _write(memory, there, senses, sds, *output)
            return self
        pairs = zip(self._observations(), (there, senses, sds), strict=True)
        where, sensed, unsure = (np.concatenate(pair) for pair in pairs)
        if is_free and number >= 2 * self.tuned_at_:
            self.__dict__.update(self._learned(where, sensed, unsure))
        else:  # with room for more, so that this happens seldom
            self.__dict__.update(self._written(where, sensed, unsure, self._plan, 2 * number))
        return self

    def _check(self) -> None:
        orders = (*ORDERS, BY_LEAVE_ONE_OUT)
        if self.order not in orders:
            raise ValueError(f"order must be one of {orders}, but {self.order!r} was given.")
        if self.error not in ("kriging", None):
            raise ValueError(f"error must be 'kriging' or None, but {self.error!r} was given.")
        if self.axes not in AXES:
            raise ValueError(f"axes must be one of {AXES}, but {self.axes!r} was given.")
        if self.coordinates not in ("plane", None):
            raise ValueError(
                f"coordinates must be 'plane' or None, but {self.coordinates!r} was given."
            )
        if isinstance(self.deviation, str) and self.deviation != BY_LEAVE_ONE_OUT:
            raise ValueError(
                f"deviation must be a distance, one for each axis, or {BY_LEAVE_ONE_OUT!r}, but "
                f"{self.deviation!r} was given."
            )
        if self.order == "kriging" and not isinstance(self.deviation, str):
            raise ValueError(
                "order='kriging' finds its own length, by the evidence, but deviation="
                f"{self.deviation!r} was given: leave it out."
            )
        if self.match_threshold is not None:
            positive_distance("match_threshold", self.match_threshold)
            if self.order == "kriging":
                raise ValueError("match_threshold is not for order='kriging': leave it out.")
        if self.max_memory_size is not None:
            whole_number("max_memory_size", self.max_memory_size, 1)
        whole_number("most", self.most, 1)

    def _checked(self, X: Any, y: Any, *, reset: bool) -> tuple[Array, Array]:
        places, senses = validate_data(
            *(self, X, y), reset=reset, multi_output=True, y_numeric=True, dtype=np.float64
        )
        if reset and self.coordinates is None:
            _refuse_degrees(places, getattr(self, "feature_names_in_", None))
        return places, np.asarray(senses, np.float64)

    def _learned(self, places: Array, senses: Array, sds: Array) -> dict[str, Any]:
        """Choose how to read, and write everything into new memories: all that there is to know."""
        left_out = LeftOut(places, senses, sds, self.match_threshold, self.most, self.axes)
        given = None
        if not isinstance(self.deviation, str):
            shape = torch.Size((self.n_features_in_,))
            given = as_deviations(self.deviation, shape, "deviation", torch.float64).numpy()
        orders = list(ORDERS) if self.order == BY_LEAVE_ONE_OUT else [self.order]
        if len(orders) > 1 and (self.match_threshold is not None or given is not None):
            orders.remove("kriging")
        outputs = range(senses.shape[1])
        together = left_out.best(orders, given, list(outputs))
        each = [
            left_out.best(orders, given, [output]) if self.per_output else together
            for output in outputs
        ]
        kinds = [choice.kind for choice in each]
        columns = [
            [output for output in outputs if kinds[output] == kind] for kind in dict.fromkeys(kinds)
        ]
        needs_field = self.error is not None or any(one.order == "kriging" for one in each)
        # The memory of all outputs comes first, and then those of some, if they are not all.
        plan = [(each[0] if len(columns) == 1 else together, list(outputs))]
        if len(columns) > 1:
            plan += [(each[own[0]], own) for own in columns]
        return {
            "order_": [choice.order for choice in each],
            "deviation_": np.stack([choice.deviation for choice in each]),
            "turn_": np.array([choice.turn for choice in each]),
            "smoothness_": left_out.smoothness if needs_field else None,
            "error_scale_": left_out.error_scale(each) if self.error is not None else None,
            "mean_": senses.mean(axis=0),
            "tuned_at_": len(places),
            **self._written(places, senses, sds, plan, len(places)),
        }

    def _written(
        self, places: Array, senses: Array, sds: Array, plan: list[Planned], room: int
    ) -> dict[str, Any]:
        """Write observations into new memories, with room for so many."""
        room = self.max_memory_size or room
        memories = []
        for choice, outputs in plan:
            memory = SpatialMemory(
                self.n_features_in_, len(outputs), max_memory_size=room, dtype=torch.float64
            )
            _write(memory, places, senses, sds, choice, outputs)
            memories.append(memory)
        return {
            "memory_": memories[0],
            "memories_": memories[1:] or memories,
            "_plan": plan,
            "_room": room,
            "_fields": None,
        }

    def _with_memories(self) -> list[tuple[SpatialMemory, Planned]]:
        """All memories, that of all outputs first, and what each is for."""
        others = [one for one in self.memories_ if one is not self.memory_]
        return list(zip([self.memory_, *others], self._plan, strict=True))

    def _catch_up(self) -> None:
        """Write to all memories what an interrupt let come to the first alone."""
        newest = {int(memory.ids.max()) for memory, _ in self._with_memories()}
        if len(newest) > 1:
            self.__dict__.update(self._written(*self._observations(), self._plan, self._room))

    def _observations(self) -> tuple[Array, Array, Array]:
        """Places, senses, and what places were uncertain when they were given."""
        own, choice = self.memory_.observations(), self._plan[0][0]
        shared = np.square(choice.deviation)
        squares = np.square(own.location_sds.numpy()) - shared
        sds = np.sqrt(np.maximum(squares, 0.0))
        sds[squares <= 1e-9 * shared] = 0.0  # nothing but rounding
        return turned(own.locations.numpy(), -choice.turn), own.senses.numpy(), sds

    # --- predicting ------------------------------------------------------------------------------

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Read at places.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to say how far what will be sensed there may be off.

        Returns
        -------
        mean : numpy.ndarray of shape (n_samples,) or (n_samples, n_outputs)
        std : numpy.ndarray of that shape
            Standard deviations of what is sensed, noise included; only if asked for.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If nothing was given to ``fit``.
        ValueError
            If shapes do not fit, or errors are asked for that ``fit`` was told to leave out.
        """
        check_is_fitted(self, "memory_")
        self._catch_up()
        places = validate_data(self, X, reset=False, dtype=np.float64) - self.origin_
        mean = np.empty((len(places), len(self.order_)))
        for memory, (choice, outputs) in self._with_memories()[-len(self.memories_) :]:
            if choice.order == "kriging":
                mean[:, outputs] = self._read_fields(places)[0][:, outputs]
                continue
            how = ReadOptions(self.match_threshold, choice.order, tail=_TAIL)
            there = turned(places, choice.turn)
            found = memory.recall(there, choice.deviation[None], how=how)
            known = found.known.numpy()[:, None]
            mean[:, outputs] = np.where(known, found.mean.numpy(), self.mean_[outputs])
        if not return_std:
            return mean[:, 0] if self.single_output_ else mean
        if self.error_scale_ is None:
            raise ValueError("return_std=True needs an error: give error='kriging' before fitting.")
        std = self.error_scale_ * self._read_fields(places)[1]
        return (mean[:, 0], std[:, 0]) if self.single_output_ else (mean, std)

    def to_memory(self, X: Any) -> Array:
        """Tell places as `memory_` knows them: from its origin, by its axes.

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)

        Returns
        -------
        numpy.ndarray of shape (n_samples, n_features)
        """
        check_is_fitted(self, "memory_")
        places = validate_data(self, X, reset=False, dtype=np.float64)
        return turned(places - self.origin_, self._plan[0][0].turn)

    def from_memory(self, places: Any) -> Array:
        """Tell places of `memory_`, such as those that it draws or finds, as ``fit`` was told.

        Parameters
        ----------
        places : array_like of shape (n_places, n_features)

        Returns
        -------
        numpy.ndarray of shape (n_places, n_features)

        Examples
        --------
        >>> model = SpatialMemoryRegressor().fit([[900.0, 0.0], [910.0, 5.0]], [[1.0], [2.0]])
        >>> model.from_memory(model.memory_[0].observations().locations)
        array([[900.,   0.],
               [910.,   5.]])
        """
        check_is_fitted(self, "memory_")
        own = as_points(places, self.n_features_in_, "places", torch.float64).detach().numpy()
        return np.asarray(turned(own, -self._plan[0][0].turn) + self.origin_)

    def _read_fields(self, places: Array) -> tuple[Array, Array]:
        """Read by kriging: means, and how far what is sensed may be from them."""
        found = self.smoothness_
        assert found is not None
        mean = np.broadcast_to(found.mean, (len(places), len(found.mean))).copy()
        deviation = np.zeros_like(mean)
        if self._fields is None:
            known, senses, _ = self._observations()
            self._fields = [smooth_field(known, senses, found, own) for own in found.alike]
        for outputs, field in zip(found.alike, self._fields, strict=True):
            read = field.read(straightened(places, found, outputs[0]))
            mean[:, outputs] += read.mean
            deviation[:, outputs] = claimed(read, field, found.amplitude[outputs])
        return mean, deviation


def _write(
    memory: SpatialMemory,
    places: Array,
    senses: Array,
    sds: Array,
    choice: Choice,
    outputs: list[int],
) -> None:
    unsure = np.hypot(sds, choice.deviation)
    memory.write(turned(places, choice.turn), unsure, senses[:, outputs])


# --- what is given --------------------------------------------------------------------------------


def _as_sds(location_sds: Any, places: Array) -> Array:
    if location_sds is None:
        return np.zeros(places.shape)
    given = location_sds
    if np.shape(given) == (len(places),):  # one for each place
        given = np.asarray(given, np.float64)[:, None]
    sds = as_deviations(given, torch.Size(places.shape), dtype=torch.float64)
    return np.array(sds.numpy())


def _refuse_degrees(places: Array, names: Any) -> None:
    """Refuse longitudes and latitudes, as a degree of the one is no degree of the other."""
    if names is not None:
        known = [str(name).strip().lower() for name in names]
        named = any(name in _LONGITUDES for name in known) and any(
            name in _LATITUDES for name in known
        )
    else:
        named = False
    if not named and not _look_like_degrees(places):
        return
    how = f"named {', '.join(map(str, names))}" if named else "numbers like 7.4, 46.9"
    raise ValueError(
        f"X seems to hold longitudes and latitudes ({how}), but a memory needs distances on a "
        "plane. Project them first, for example into the UTM zone in the middle by pyproj: "
        "Transformer.from_crs('EPSG:4326', 'EPSG:32632', always_xy=True).transform(lon, lat). "
        "If these are distances, say so: coordinates='plane'."
    )


def _look_like_degrees(places: Array) -> bool:
    """Tell by the numbers: a region far from the equator, for its size."""
    if places.shape[1] != 2 or len(places) < 3:
        return False
    for longitude, latitude in (places.T, places.T[::-1]):
        extent = float(np.ptp(latitude))
        within = np.abs(longitude).max() <= 180 and np.abs(latitude).max() <= 90
        if within and np.abs(latitude).min() >= 20 and 0 < extent < abs(float(latitude.mean())):
            return True
    return False
