r"""How probable it is to smell what was smelled, if actions move a body as is supposed.

An action a shifts the body by (d₁, d₂) in its own frame, and then turns it by d₃: with the heading
θ and the matrix R(θ) that turns by it,

.. math::

    x_{t+1} = x_t + R(\theta_t) \begin{pmatrix} d_{a1} \\ d_{a2} \end{pmatrix}, \qquad
    \theta_{t+1} = \theta_t + d_{a3}.

A walk is cut into W windows, each of which begins at the origin with the heading zero, as where one
lies beside another is not asked. Each of D coordinates of smells is a Gaussian process over the
plane, with the matrix :math:`K^w_{ij} = e^{-\lVert x_i - x_j \rVert^2 / 2} + \nu^2 \delta_{ij}`
among the places of the window w, in units of the kernel's length, times an amplitude a² that all
windows share. At the best amplitude, the logarithm of the density of all N numbers that were
smelled, for each of them, is the *evidence*

.. math::

    E = -\tfrac12 \left(1 + \log 2 \pi a^2\right) - \frac{D}{2 N} \sum_w \log \lvert K^w \rvert,
    \qquad a^2 = \frac1N \sum_w \operatorname{tr} Z_w^\top (K^w)^{-1} Z_w .

It is the same for walks that are turned, shifted or mirrored as a whole. Its slope by the entries
of a matrix is, with :math:`A_w = (K^w)^{-1} Z_w`,

.. math::

    \frac{\partial E}{\partial K^w} = \frac{A_w A_w^\top}{2 N a^2} - \frac{D}{2 N} (K^w)^{-1}.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.int64]

_AT_ONCE = 1_000_000  # entries of matrices that are held at a time


def places_of(moves: torch.Tensor, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Follow actions from the origin and the heading zero.

    Parameters
    ----------
    moves : torch.Tensor of float64, of shape (..., num_actions, 3)
        What each action does: shift ahead, shift to the left, and turn, in radians.
    actions : torch.Tensor of int64, of shape (n_windows, n)

    Returns
    -------
    places : torch.Tensor of shape (..., n_windows, n + 1, 2)
        In the unit of the shifts.
    headings : torch.Tensor of shape (..., n_windows, n + 1)
        In radians, not wrapped.

    Examples
    --------
    >>> moves = torch.tensor([[1.0, 0.0, math.pi / 2]], dtype=torch.float64)
    >>> places, headings = places_of(moves, torch.tensor([[0, 0]]))
    >>> places.round(decimals=3).tolist()
    [[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]
    """
    ahead, aside, turns = moves[..., actions, :].unbind(-1)
    headings = torch.nn.functional.pad(turns.cumsum(-1), (1, 0))
    along, across = headings[..., :-1].cos(), headings[..., :-1].sin()
    steps = torch.stack([along * ahead - across * aside, across * ahead + along * aside], dim=-1)
    return torch.nn.functional.pad(steps.cumsum(-2), (0, 0, 1, 0)), headings


class Windows:
    """Pieces of a walk, under which moves are judged.

    Parameters
    ----------
    actions : numpy.ndarray of int64, of shape (n,)
        Numbers of the actions, from zero.
    senses : numpy.ndarray of float64, of shape (n + 1, D)
        What was smelled before the first action and after each.
    count : int
        Into how many windows of one length n // count to cut.
    every : int
        Which of the smells to look at: every so many of a window.
    nugget : float
        ν, as a share of the amplitude.

    Attributes
    ----------
    length : int
        Of a window, in actions.

    Examples
    --------
    Ahead and back again, to the same smells:

    >>> actions = np.array([0, 0, 1, 1])
    >>> windows = Windows(actions, np.array([[0.0], [1.0], [3.0], [1.0], [0.0]]), 1, 1, 0.02)
    >>> back = [[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]]
    >>> on = [[0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]
    >>> better, worse = windows.evidence(np.array([back, on]))
    >>> bool(better > worse)
    True
    """

    def __init__(
        self, actions: Numbers, senses: Array, count: int, every: int, nugget: float
    ) -> None:
        self.length = len(actions) // count
        used = self.length * count
        kept = np.arange(0, self.length + 1, every)
        starts = np.arange(0, used, self.length)
        self._actions = torch.from_numpy(actions[:used].reshape(count, self.length))
        self._kept = torch.from_numpy(kept)
        self._senses = torch.from_numpy(senses[starts[:, None] + kept])
        self._noise = nugget**2

    def evidence(self, moves: Array) -> Array:
        """Judge moves.

        Parameters
        ----------
        moves : numpy.ndarray of float64, of shape (n_moves, num_actions, 3)
            Of many bodies; shifts in units of the kernel's length.

        Returns
        -------
        numpy.ndarray of float64, of shape (n_moves,)
            E of each; minus infinity where a matrix has no inverse in double precision.
        """
        size = len(self._actions) * len(self._kept) ** 2
        parts = torch.from_numpy(moves).split(max(1, _AT_ONCE // size))
        return np.concatenate([self._evidence(part) for part in parts])

    def _evidence(self, moves: torch.Tensor) -> Array:
        places = places_of(moves, self._actions)[0][..., self._kept, :]
        alike = _alike(places)
        alike.diagonal(dim1=-2, dim2=-1).add_(self._noise)
        lower, failed = torch.linalg.cholesky_ex(alike)
        white = torch.linalg.solve_triangular(
            lower, self._senses.expand(len(moves), -1, -1, -1), upper=False
        )
        found = self._total(lower, (white**2).sum((1, 2, 3)))
        found[(failed > 0).any(-1)] = -math.inf
        return found.nan_to_num(-math.inf, posinf=-math.inf, neginf=-math.inf).numpy()

    def _total(self, lower: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
        number, coordinates = self._senses.numel(), self._senses.shape[-1]
        logarithms = 2 * lower.diagonal(dim1=-2, dim2=-1).log().sum((-1, -2))
        amplitude = 1 + torch.log(2 * math.pi * squares / number)
        return -0.5 * amplitude - 0.5 * coordinates / number * logarithms

    def with_slope(self, moves: Array) -> tuple[float, Array]:
        """Judge moves, and tell how to change them.

        Parameters
        ----------
        moves : numpy.ndarray of float64, of shape (num_actions, 3)

        Returns
        -------
        float
            E; minus infinity where a matrix has no inverse in double precision.
        numpy.ndarray of float64, of shape (num_actions, 3)
            Derivatives of E; zeros where it is infinite.
        """
        given = torch.from_numpy(moves).requires_grad_()
        places = places_of(given, self._actions)[0][..., self._kept, :]
        where = places.detach() - places.detach().mean(dim=-2, keepdim=True)
        alike = _alike(where)
        noisy = alike.clone()
        noisy.diagonal(dim1=-2, dim2=-1).add_(self._noise)
        lower, failed = torch.linalg.cholesky_ex(noisy)
        if bool(failed.any()):
            return -math.inf, np.zeros_like(moves)
        white = torch.linalg.solve_triangular(lower, self._senses, upper=False)
        weights = torch.linalg.solve_triangular(lower.mT, white, upper=True)
        squares = (white**2).sum()
        number, coordinates = self._senses.numel(), self._senses.shape[-1]
        by_entry = 0.5 * weights @ weights.mT / squares
        by_entry -= 0.5 * coordinates / number * torch.cholesky_inverse(lower)
        pull = by_entry * alike
        # An entry changes with x_i by −K_ij (x_i − x_j), and stands in the matrix twice.
        by_place = 2 * (pull @ where - pull.sum(-1, keepdim=True) * where)
        (slope,) = torch.autograd.grad(places, given, by_place)
        return float(self._total(lower, squares)), slope.numpy()


def _alike(places: torch.Tensor) -> torch.Tensor:
    """Values of the kernel, from (..., n, 2) to (..., n, n)."""
    where = places - places.mean(dim=-2, keepdim=True)
    halves = 0.5 * (where**2).sum(-1)
    return torch.exp(where @ where.mT - halves[..., None] - halves[..., None, :])
