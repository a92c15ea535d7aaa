r"""A walk as a graph: keyframes, held together by steps that drift and by places that are alike.

Unknown are the places :math:`x_i` of keyframes, and for a body without a compass the heading error
:math:`e_i` at each and the bias b of `Odometry`. Known are the steps :math:`m_1, …, m_K` from one
keyframe to the next, of which it is expected that

.. math::

    R(e_i)\,(x_{i+1} - x_i) = \sum_{j=1}^K R(-j b)\, m_j, \qquad e_{i+1} = e_i + K b,

with errors whose covariance follows from the odometry, to first order; and closures, each of which
holds that a keyframe lies at an offset from the weighted mean of some others. All errors are
Gaussian, so that the most probable walk has the least sum of squares.

References
----------
G. Grisetti, R. Kümmerle, C. Stachniss and W. Burgard, "A Tutorial on Graph-Based SLAM", 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

from tree_world.models.places.odometry import Odometry, turned

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]

_START_SD = 0.1  # of a place that is known, in metres
_START_HEADING_SD = 1e-4  # of a heading that is right, in radians
_LEAST_SD = 1e-3  # of the way between keyframes, in metres: steps without errors leave some doubt
_LEAST_WALK = 1e-3  # of the bias: without a walk, headings follow from it


@dataclass(frozen=True)
class Closures:
    r"""Where a walk came to places that smell alike.

    Closure c says that keyframe :math:`k_c` lies at an offset :math:`o_c` from others:
    :math:`x_{k_c} = \sum_a w_{ca}\, x_{n_{ca}} + o_c`, with the information :math:`\Lambda_c`.

    Attributes
    ----------
    keyframes : numpy.ndarray of int, of shape (n_closures,)
        k, from 0 at the start.
    anchors : numpy.ndarray of int, of shape (n_closures, n_anchors)
        Numbers n of the other keyframes, the nearest first.
    weights : numpy.ndarray of float64, of shape (n_closures, n_anchors)
        w; those of a closure sum to 1.
    offsets : numpy.ndarray of float64, of shape (n_closures, 2)
        o, in metres.
    information : numpy.ndarray of float64, of shape (n_closures, 2, 2)
        Λ, inverse of a covariance where it has one, per square metre: along a line of equal smells
        nothing is told.
    pairs : numpy.ndarray of int, of shape (n_closures, 2)
        Numbers of the steps after which the keyframe and the first of its anchors were reached.
    """

    keyframes: Numbers
    anchors: Numbers
    weights: Array
    offsets: Array
    information: Array
    pairs: Numbers

    @classmethod
    def none(cls, anchors: int = 1) -> Closures:
        """Make one of none at all, with so many anchors each."""
        empty = np.zeros((0, anchors))
        numbers = empty.astype(np.intp)
        pairs = np.zeros((0, 2), np.intp)
        return cls(numbers[:, 0], numbers, empty, np.zeros((0, 2)), np.zeros((0, 2, 2)), pairs)


class PoseGraph:
    """The residuals of a walk, and their least squares.

    A state is one array: x, y (and the heading error, without a compass) of each keyframe, and at
    its end the bias, if the odometry has one.

    Parameters
    ----------
    displacements : numpy.ndarray of float64, of shape (n_steps, 2)
        Believed steps, in metres.
    every : int
        Steps between keyframes. The last one is the end of the walk.
    odometry : Odometry
    start : numpy.ndarray of float64, of shape (2,)
        Place of the first keyframe, in metres, known to 0.1 m. The heading there is right.

    Attributes
    ----------
    steps : numpy.ndarray of int, of shape (n_keyframes,)
        After how many steps each keyframe was reached: 0, `every`, …

    Examples
    --------
    >>> import numpy as np
    >>> graph = PoseGraph(np.tile([3.0, 4.0], (12, 1)), 5, Odometry(0.1), np.zeros(2))
    >>> graph.steps
    array([ 0,  5, 10, 12])
    >>> state = graph.reckoned(graph.begun(), 4)
    >>> graph.places(state)[-1]
    array([36., 48.])
    >>> print(f"{graph.covariance(state, Closures.none())[-1, -1] ** 0.5:.2f} m")
    1.73 m
    """

    def __init__(self, displacements: Array, every: int, odometry: Odometry, start: Array) -> None:
        number = len(displacements)
        self.steps = np.unique(np.append(np.arange(0, number, every), number)).astype(np.intp)
        self.start = start
        self.by_keyframe = 2 if odometry.has_compass else 3
        self.bias_sd = odometry.heading_bias_sd
        ways = len(self.steps) - 1
        self._moves = np.zeros((ways, every, 2))
        self._moves.reshape(-1, 2)[:number] = displacements
        self._counts = np.diff(self.steps).astype(np.float64)
        walk = max(odometry.heading_walk, _LEAST_WALK * odometry.heading_bias_sd)
        squares = odometry.relative_sd**2 * (self._moves**2).sum(axis=(1, 2)) + _LEAST_SD**2
        covariance = np.zeros((ways, self.by_keyframe, self.by_keyframe))
        covariance[:, :2, :2] = squares[:, None, None] * np.eye(2)
        if self.by_keyframe == 3:
            tails = self._moves[:, ::-1].cumsum(axis=1)[:, ::-1]
            walked = np.stack([tails[..., 1], -tails[..., 0], np.ones(tails.shape[:2])], axis=-1)
            walked *= (np.arange(every) < self._counts[:, None])[..., None]
            covariance += walk**2 * np.swapaxes(walked, 1, 2) @ walked
        self._whiten = np.linalg.inv(np.linalg.cholesky(covariance))

    # --- states -----------------------------------------------------------------------------------

    def begun(self) -> Array:
        """Make the state of the first keyframe alone."""
        state = np.zeros(self.by_keyframe + (self.bias_sd > 0))
        state[:2] = self.start
        return state

    def keyframes(self, state: Array) -> int:
        """Tell how many keyframes a state has."""
        return len(state) // self.by_keyframe

    def places(self, state: Array) -> Array:
        """Take the places of a state, of shape (n_keyframes, 2), in metres."""
        return self._poses(state)[:, :2]

    def headings(self, state: Array) -> Array:
        """Take the heading errors of a state, of shape (n_keyframes,), in radians."""
        poses = self._poses(state)
        return poses[:, 2] if self.by_keyframe == 3 else np.zeros(len(poses))

    def bias(self, state: Array) -> float:
        """Take the bias of a state, in radians a step."""
        return float(state[-1]) if self.bias_sd > 0 else 0.0

    def _poses(self, state: Array) -> Array:
        number = self.keyframes(state)
        return np.asarray(state[: number * self.by_keyframe].reshape(number, self.by_keyframe))

    def reckoned(self, state: Array, number: int) -> Array:
        """Go on from a state by steps alone, until it has so many keyframes."""
        poses, bias = self._poses(state), self.bias(state)
        added = np.zeros((number, self.by_keyframe))
        have = len(poses)
        added[:have] = poses
        ways = slice(have - 1, number - 1)
        headings = float(self.headings(state)[-1]) + bias * (
            np.cumsum(self._counts[ways]) - self._counts[ways]
        )
        moved = turned(self._moved(bias, ways)[0], np.asarray(-headings, np.float64))
        added[have:, :2] = poses[-1, :2] + moved.cumsum(axis=0)
        if self.by_keyframe == 3:
            added[have:, 2] = headings + bias * self._counts[ways]
        return np.append(added.ravel(), [bias] if self.bias_sd > 0 else [])

    def between(self, state: Array, way: int) -> Array:
        """Tell the steps of one way between keyframes as a state turns them, in metres."""
        steps = self._moves[way, : int(self._counts[way])]
        angles = self.headings(state)[way] + self.bias(state) * np.arange(1, len(steps) + 1)
        return turned(steps, np.asarray(-angles, np.float64))

    def _moved(self, bias: float, ways: slice) -> tuple[Array, Array]:
        """Sum the steps of each way, relative to its first heading; and its change by the bias."""
        after = np.arange(1, self._moves.shape[1] + 1)
        steps = turned(self._moves[ways], np.asarray(-bias * after, np.float64))
        change = (after[:, None] * steps).sum(axis=1)
        return steps.sum(axis=1), np.stack([change[:, 1], -change[:, 0]], axis=-1)

    # --- residuals --------------------------------------------------------------------------------

    def residuals(self, state: Array, closures: Closures) -> Array:
        """Tell all residuals, each in standard deviations.

        Parameters
        ----------
        state : numpy.ndarray of float64, of shape (n_unknown,)
        closures : Closures

        Returns
        -------
        numpy.ndarray of float64, of shape (n_residuals,)
            Half their sum of squares is the negative log probability, up to a constant.
        """
        known = self._known(state)
        apart = self.odometry_residuals(state)
        places = self.places(state)
        meant = (closures.weights[..., None] * places[closures.anchors]).sum(axis=1)
        off = places[closures.keyframes] - meant - closures.offsets
        closed = (_roots(closures.information) @ off[..., None])[..., 0]
        return np.concatenate([known, apart.ravel(), closed.ravel()])

    def odometry_residuals(self, state: Array) -> Array:
        """Tell those of the ways between keyframes, of shape (n_ways, 2) or (n_ways, 3)."""
        places, headings, bias = self.places(state), self.headings(state), self.bias(state)
        ways = slice(0, len(places) - 1)
        apart = np.zeros((len(places) - 1, self.by_keyframe))
        apart[:, :2] = turned(np.diff(places, axis=0), headings[:-1]) - self._moved(bias, ways)[0]
        if self.by_keyframe == 3:
            apart[:, 2] = np.diff(headings) - bias * self._counts[ways]
        return np.asarray((self._whiten[ways] @ apart[..., None])[..., 0])

    def _known(self, state: Array) -> Array:
        """Tell how far off what is known is: of the start, and of the bias."""
        apart = [*(state[:2] - self.start) / _START_SD]
        if self.by_keyframe == 3:
            apart.append(state[2] / _START_HEADING_SD)
        if self.bias_sd > 0:
            apart.append(state[-1] / self.bias_sd)
        return np.array(apart)

    def jacobian(self, state: Array, closures: Closures) -> scipy.sparse.csr_matrix:
        """Tell the derivatives of `residuals`, of shape (n_residuals, n_unknown)."""
        places, headings, bias = self.places(state), self.headings(state), self.bias(state)
        size, number = self.by_keyframe, len(places)
        rows: list[npt.NDArray[np.intp]] = []
        columns: list[npt.NDArray[np.intp]] = []
        values: list[Array] = []

        def put(first: int, column: Numbers, blocks: Array) -> None:
            """Put blocks below one another, each from a column of its own on."""
            count, high, wide = blocks.shape
            row = first + np.arange(count * high).reshape(count, high)
            rows.append(np.broadcast_to(row[..., None], blocks.shape).ravel())
            across = column[:, None, None] + np.arange(wide)
            columns.append(np.broadcast_to(across, blocks.shape).ravel())
            values.append(blocks.ravel())

        sds = [_START_SD, _START_SD, _START_HEADING_SD][:size]
        for row, sd in enumerate(sds):
            put(row, np.array([row]), np.array([[[1 / sd]]]))
        first = size
        if self.bias_sd > 0:
            put(first, np.array([len(state) - 1]), np.array([[[1 / self.bias_sd]]]))
            first += 1

        ways = slice(0, number - 1)
        whiten = self._whiten[ways]
        before = np.zeros((number - 1, size, size))
        cos, sin = np.cos(headings[:-1]), np.sin(headings[:-1])
        before[:, 0, 0] = before[:, 1, 1] = -cos
        before[:, 0, 1], before[:, 1, 0] = sin, -sin
        after = -before
        if size == 3:
            moved = turned(np.diff(places, axis=0), headings[:-1])
            before[:, 0, 2], before[:, 1, 2] = -moved[:, 1], moved[:, 0]
            before[:, 2, 2], after[:, 2, 2] = -1.0, 1.0
        at = size * np.arange(number - 1)
        put(first, at, whiten @ before)
        put(first, at + size, whiten @ after)
        if self.bias_sd > 0:
            change = np.zeros((number - 1, 3, 1))
            change[:, :2, 0] = -self._moved(bias, ways)[1]
            change[:, 2, 0] = -self._counts[ways]
            put(first, np.full(number - 1, len(state) - 1), whiten @ change)
        first += size * (number - 1)

        roots = _roots(closures.information)
        put(first, size * closures.keyframes, roots)
        for anchor in range(closures.anchors.shape[1]):
            weight = closures.weights[:, anchor, None, None]
            put(first, size * closures.anchors[:, anchor], -weight * roots)
        first += 2 * len(roots)
        entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return scipy.sparse.csr_matrix(entries, shape=(first, len(state)))

    def improved(self, state: Array, closures: Closures) -> Array:
        """Take one step of Gauss and Newton towards the least squares."""
        return self.improved_and_newest(state, closures, 0)[0]

    def improved_and_newest(
        self, state: Array, closures: Closures, newest: int
    ) -> tuple[Array, Array]:
        """Take a step, and tell how unsure the newest keyframes are, without a whole inverse.

        Parameters
        ----------
        state : numpy.ndarray of float64, of shape (n_unknown,)
        closures : Closures
        newest : int
            How many keyframes, at most all.

        Returns
        -------
        state : numpy.ndarray of float64, of shape (n_unknown,)
        covariance : numpy.ndarray of float64, of shape (newest * size, newest * size)
            Of x, y (and the heading error) of the newest, in the order of a state; before the step.
        """
        jacobian = self.jacobian(state, closures)
        pull = jacobian.T @ self.residuals(state, closures)
        factor = scipy.sparse.linalg.splu(
            (jacobian.T @ jacobian).tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        end = self.keyframes(state) * self.by_keyframe
        those = np.arange(end - newest * self.by_keyframe, end)
        columns = np.zeros((len(state), 1 + len(those)))
        columns[:, 0] = pull
        columns[those, 1 + np.arange(len(those))] = 1.0
        solved = factor.solve(columns)
        covariance = solved[those, 1:]
        return np.asarray(state - solved[:, 0]), np.asarray((covariance + covariance.T) / 2)

    def covariance(self, state: Array, closures: Closures) -> Array:
        """Tell how unsure a state of least squares is, of shape (n_unknown, n_unknown)."""
        jacobian = self.jacobian(state, closures)
        lower = scipy.linalg.cholesky((jacobian.T @ jacobian).toarray(), lower=True)
        inverse, _ = scipy.linalg.lapack.dpotri(lower, lower=1)
        full = np.tril(inverse) + np.tril(inverse, -1).T
        return np.asarray(full)


def _roots(information: Array) -> Array:
    """Symmetric roots of symmetric matrices of shape (n, 2, 2) that need have no inverse."""
    values, vectors = np.linalg.eigh(information)
    scaled = vectors * np.sqrt(np.clip(values, 0.0, None))[:, None, :]
    return np.asarray(scaled @ np.swapaxes(vectors, 1, 2))
