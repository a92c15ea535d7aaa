r"""How probable smells are at places, as a smooth field over them: differentiable by the places.

Each coordinate of a smell is held to be a random field of which values at x and y are alike as
:math:`k(x, y) = e^{-\lVert x - y \rVert^2 / 2}`: places are in units of the kernel's length. For W
stretches of n observations each, which know nothing of each other, with :math:`K_{ij} = k(x_i, x_j)
+ \nu^2 \delta_{ij}` and an amplitude a that all share, the mean log density of a number is

.. math::

    -\frac{1}{2} \left(1 + \log 2 \pi a^2\right) - \frac{1}{2 W n} \sum_w \log \lvert K_w \rvert,
    \qquad a^2 = \frac{1}{W n D} \sum_w \operatorname{tr} Z_w^\top K_w^{-1} Z_w

at the best amplitude. It is what `tree_world.models.memory.recall.kriging.evidence` tells, for a
number, and is compared with it in the tests. The determinant keeps places from flying apart, where
any smells could be told from none.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.models.places.windows import Windows

_RIDGE = 1e-3  # of counts, in squared steps: an action that was never done stays as it was
_LEAST = 1e-10  # on the diagonal, without which places that are near are as one


def mean_evidence(places: torch.Tensor, senses: torch.Tensor, nugget: float) -> torch.Tensor:
    """Tell how probable a number of the smells is, as the mean of its log density.

    Parameters
    ----------
    places : torch.Tensor of float64, of shape (n_windows, n_steps, dim)
        In units of the kernel's length.
    senses : torch.Tensor of float64, of shape (n_windows, n_steps, sensory_dim)
    nugget : float
        ν: standard deviation of what the field does not explain, as a share of the amplitude.

    Returns
    -------
    torch.Tensor of float64, of shape ()
        In nats.

    Examples
    --------
    >>> import torch
    >>> places = torch.arange(20, dtype=torch.float64)[None, :, None]
    >>> senses = torch.sin(places / 2)
    >>> rates = [float(mean_evidence(scale * places, senses, 0.02)) for scale in (0.1, 0.5, 3.0)]
    >>> rates[0] < rates[1] > rates[2]
    True
    """
    squares = (places.unsqueeze(2) - places.unsqueeze(1)).square().sum(dim=-1)
    noise = max(nugget**2, _LEAST) * torch.eye(places.shape[1], dtype=places.dtype)
    lower = torch.linalg.cholesky(torch.exp(-0.5 * squares) + noise)
    white = torch.linalg.solve_triangular(lower, senses, upper=False)
    variance = white.square().mean()
    log_roots = torch.diagonal(lower, dim1=1, dim2=2).log().mean()  # half of a log determinant
    evidence: torch.Tensor = -0.5 * (1 + (2 * math.pi * variance).log()) - log_roots
    return evidence


def in_units_of_the_kernel(windows: Windows, shifts: torch.Tensor, nugget: float) -> torch.Tensor:
    """Scale shifts so that smells are most probable.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
    nugget : float

    Returns
    -------
    torch.Tensor of float64, of shape (num_actions, dim)
    """
    with torch.no_grad():
        width = float((windows.counts @ shifts).std(dim=1).norm(dim=-1).mean())
        scales: list[float] = [factor / width for factor in np.geomspace(0.05, 5.0, 24)]
        return max(
            (scale * shifts for scale in scales),
            key=lambda scaled: float(
                mean_evidence(windows.counts @ scaled, windows.senses, nugget)
            ),
        )


def refined(
    windows: Windows, shifts: torch.Tensor, nugget: float, iterations: int
) -> tuple[torch.Tensor, float]:
    """Bring shifts to where smells of stretches of a walk are most probable.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
        Where to begin, in units of the kernel's length.
    nugget : float
    iterations : int
        At most.

    Returns
    -------
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
    evidence : float
        Theirs: see `mean_evidence`.
    """
    # In coordinates in which each moves the places of the walk as much, it takes fewer iterations.
    centred = windows.counts - windows.counts.mean(dim=1, keepdim=True)
    square = torch.einsum("wnk,wnl->kl", centred, centred) / (len(centred) * centred.shape[1])
    square = square + _RIDGE * torch.eye(len(square), dtype=square.dtype)
    upper = torch.linalg.cholesky(square).mT
    counts = torch.linalg.solve_triangular(upper, windows.counts, upper=True, left=False)
    sought = (upper @ shifts).contiguous().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [sought], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = -mean_evidence(counts @ sought, windows.senses, nugget)
        loss.backward()
        return loss

    optimiser.step(closure)
    shifts = torch.linalg.solve_triangular(upper, sought.detach(), upper=True)
    with torch.no_grad():
        found = float(mean_evidence(windows.counts @ shifts, windows.senses, nugget))
    return shifts, found


def with_one_less(windows: Windows, shifts: torch.Tensor) -> torch.Tensor:
    """Leave out the direction along which places of the windows differ least.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)

    Returns
    -------
    torch.Tensor of float64, of shape (num_actions, dim − 1)

    Examples
    --------
    >>> import torch
    >>> counts = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [2.0, 1.0]]], dtype=torch.float64)
    >>> shifts = torch.tensor([[0.0, 3.0], [0.2, 0.0]], dtype=torch.float64)
    >>> with_one_less(Windows(counts, counts), shifts).abs().round(decimals=1).tolist()
    [[3.0], [0.0]]
    """
    places = windows.counts @ shifts
    places = (places - places.mean(dim=1, keepdim=True)).flatten(0, 1)
    kept: torch.Tensor = torch.linalg.eigh(places.T @ places).eigenvectors[:, 1:]
    return shifts @ kept
