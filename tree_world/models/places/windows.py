r"""Where actions lead, from short stretches of a walk: smells change there as over a plane.

Let :math:`c_{t,k}` count how often action k was done since a stretch of a walk began. With shifts
A, of shape (K, d), the body is at :math:`c_t A` from where it began. In a stretch of a few steps,
all that is smelled is nearly linear in the place. So where A is right, a plane through the smells
explains each of them; with the hat matrix H of the regression on 1 and :math:`c_t A`, the residual
of a smell that was left out is

.. math::

    r_t = \frac{z_t - (H Z)_t}{1 - H_{tt}}, \qquad
    E = \sum_t \lVert r_t \rVert^2, \qquad
    L(A) = \operatorname{mean}_w \frac{E_w}{E_w + V_w},

V being what E is for a plane that does not slope, which knows no place at all. L lies between 0 and
1, and is ½ where places tell nothing. It is bounded, so that a stretch with a jump cannot rule.

L is the same for A and A M with any regular M: planes do not tell a metric. So the gauge is fixed,
by :math:`(A M)^\top A M = I`, with M from a decomposition of Cholesky.

*Dimension.* From random shifts in many dimensions L is brought down, then the direction in which
smells slope least is dropped, and so on. Least squares in the dimension sought from random shifts
would often end in a bad place; with room to spare it seldom does. Where d is too small L is large,
and from the true d on it falls no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Array: TypeAlias = npt.NDArray[np.float64]
Actions: TypeAlias = npt.NDArray[np.intp]

_RIDGE = (
    1e-3  # of a regression, in units of squared steps: stretches that go one way tell one slope
)
_STILL = 1e-3  # of the mean variance: stretches that smell of less than that tell nothing
_ITERATIONS = 100


@dataclass(frozen=True)
class Windows:
    """Stretches of a walk.

    Attributes
    ----------
    counts : torch.Tensor of float64, of shape (n_windows, n_steps, num_actions)
        How often each action was done since the stretch began, after each step.
    senses : torch.Tensor of float64, of shape (n_windows, n_steps, sensory_dim)
    """

    counts: torch.Tensor
    senses: torch.Tensor


def windows_of(
    actions: Actions, senses: Array, num_actions: int, steps: int, most: int, every: int = 1
) -> Windows:
    """Cut stretches out of a walk, evenly spread over it; they may overlap.

    Parameters
    ----------
    actions : numpy.ndarray of int, of shape (n,)
    senses : numpy.ndarray of float64, of shape (n, sensory_dim)
        After each.
    num_actions : int
    steps : int
        How long each is, at most n.
    most : int
        How many, at most.
    every : int, default=1
        Which of the steps of each are looked at: each so many.

    Returns
    -------
    Windows
        With `n_steps` = `steps` / `every`, rounded up.

    Examples
    --------
    >>> import numpy as np
    >>> found = windows_of(np.array([0, 1, 1, 0]), np.zeros((4, 1)), 2, steps=3, most=2)
    >>> found.counts.tolist()
    [[[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [[0.0, 1.0], [0.0, 2.0], [1.0, 2.0]]]
    """
    last = len(actions) - steps
    starts = np.unique(np.linspace(0, last, min(most, last + 1)).round().astype(np.intp))
    which = starts[:, None] + np.arange(steps)
    counts = np.eye(num_actions)[actions[which]].cumsum(axis=1)[:, ::every]
    return Windows(torch.from_numpy(counts), torch.from_numpy(senses[which[:, ::every]]))


def with_smells(windows: Windows) -> Windows:
    """Leave out stretches in which smells hardly change.

    Parameters
    ----------
    windows : Windows

    Returns
    -------
    Windows
    """
    variance = windows.senses.var(dim=1).sum(dim=-1)
    keep = variance > _STILL * variance.mean()
    return Windows(windows.counts[keep], windows.senses[keep])


def gauged(shifts: torch.Tensor) -> torch.Tensor:
    r"""Map shifts so that :math:`A^\top A = I`.

    With :math:`A^\top A = L L^\top`, they are :math:`A L^{-\top}`: differentiable where A has full
    rank, as a singular value decomposition is not where two of its values are alike.

    Parameters
    ----------
    shifts : torch.Tensor of float64, of shape (num_actions, dim)

    Returns
    -------
    torch.Tensor of float64, of shape (num_actions, dim)

    Examples
    --------
    >>> import torch
    >>> right = gauged(torch.tensor([[3.0, 1.0], [4.0, 0.0], [0.0, 2.0]], dtype=torch.float64))
    >>> bool(torch.allclose(right.T @ right, torch.eye(2, dtype=torch.float64)))
    True
    """
    lower = torch.linalg.cholesky(shifts.T @ shifts)
    right: torch.Tensor = torch.linalg.solve_triangular(lower, shifts.T, upper=False).T
    return right


def planes(windows: Windows, shifts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay a plane through the smells of each stretch.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)

    Returns
    -------
    left : torch.Tensor of float64, of shape (n_windows,)
        E: squared residuals of smells that were left out, added up.
    slopes : torch.Tensor of float64, of shape (n_windows, dim, sensory_dim)
    """
    places = windows.counts @ shifts
    places = places - places.mean(dim=1, keepdim=True)
    senses = windows.senses - windows.senses.mean(dim=1, keepdim=True)
    steps, dim = places.shape[1:]
    square = places.mT @ places + _RIDGE * torch.eye(dim, dtype=places.dtype)
    solved = torch.linalg.solve(square, places.mT)  # (n_windows, dim, n_steps)
    slopes = solved @ senses
    hat = 1 / steps + (solved.mT * places).sum(dim=-1)
    residuals = (senses - places @ slopes) / (1 - hat).unsqueeze(-1)
    return residuals.square().sum(dim=(1, 2)), slopes


def plane_loss(windows: Windows, shifts: torch.Tensor) -> torch.Tensor:
    """L: how badly planes explain smells, from 0 to 1; ½ where places tell nothing.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
        In any gauge.

    Returns
    -------
    torch.Tensor of float64, of shape ()
    """
    left, _ = planes(windows, gauged(shifts))
    steps = windows.senses.shape[1]
    senses = windows.senses - windows.senses.mean(dim=1, keepdim=True)
    level = senses.square().sum(dim=(1, 2)) * (steps / (steps - 1)) ** 2
    return (left / (left + level)).mean()


def improved(windows: Windows, shifts: torch.Tensor, iterations: int = _ITERATIONS) -> torch.Tensor:
    """Bring L down, by the method of Broyden, Fletcher, Goldfarb and Shanno with little memory.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
        Where to begin.
    iterations : int, default=100
        At most.

    Returns
    -------
    torch.Tensor of float64, of shape (num_actions, dim)
        With the gauge fixed.
    """
    sought = gauged(shifts).contiguous().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [sought], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = plane_loss(windows, sought)
        loss.backward()
        return loss

    optimiser.step(closure)
    return gauged(sought.detach())


def sloping(windows: Windows, shifts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Tell how steep smells are along which directions.

    With the slopes G of a window, these are the eigenvalues and eigenvectors of the mean of
    :math:`G G^\top` over all windows, each weighted by :math:`1 / V`.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
        With the gauge fixed.

    Returns
    -------
    squares : torch.Tensor of float64, of shape (dim,)
        Increasing.
    directions : torch.Tensor of float64, of shape (dim, dim)
        As columns.
    """
    _, slopes = planes(windows, shifts)
    variance = windows.senses.var(dim=1).sum(dim=-1)
    weighted = slopes / variance.sqrt()[:, None, None]
    found = torch.linalg.eigh((weighted @ weighted.mT).mean(dim=0))
    return found.eigenvalues, found.eigenvectors


def by_dimension(
    windows: Windows, dims: int, generator: torch.Generator
) -> dict[int, tuple[float, torch.Tensor]]:
    """Find shifts in many dimensions, and drop one after the other.

    Parameters
    ----------
    windows : Windows
    dims : int
        With how many to begin.
    generator : torch.Generator
        Of the first shifts.

    Returns
    -------
    dict of int to tuple
        For each number of dimensions, L and shifts, with the gauge fixed.
    """
    num_actions = windows.counts.shape[-1]
    shifts = torch.randn(num_actions, dims, generator=generator, dtype=torch.float64)
    found = {}
    for dim in range(dims, 0, -1):
        shifts = improved(windows, shifts)
        found[dim] = float(plane_loss(windows, shifts)), shifts
        shifts = shifts @ sloping(windows, shifts)[1][:, 1:]
    return found
