r"""How probable smells are along a walk whose steps err: fields at places that are not sure.

A body that adds a shift :math:`a_k` with an error :math:`s \lVert a_k \rVert \xi`, with two (or d)
standard normal numbers ξ, is after some steps at a place that differs from the sum of the shifts.
Between steps i and j the errors add up to a variance along each axis of

.. math::

    \sigma_{ij}^2 = s^2 \sum_{t = i + 1}^{j} \lVert a_{k_t} \rVert^2.

If smells are a smooth field with the kernel :math:`k(x, y) = e^{-\lVert x - y \rVert^2 / 2}`, in
units of its length, then smells at i and j are alike, on an average over the errors, as

.. math::

    \operatorname{E} k = (1 + \sigma_{ij}^2)^{-d/2} \exp\left(-\frac{\lVert x_i - x_j \rVert^2}{2 (1
    + \sigma_{ij}^2)}\right),

with places x by the shifts alone. It takes the place of k in `fields.mean_evidence`. Far steps of a
long stretch then count for little, as they should; without that, errors bend the shifts.

References
----------
A. Girard, C. Rasmussen, J. Quiñonero Candela and R. Murray-Smith, "Gaussian process priors with
uncertain inputs", 2003, has this mean of a kernel over its inputs.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.models.places.windows import Windows

_RIDGE = 1e-3  # of counts, in squared steps: an action that was never done stays as it was
_LEAST = 1e-10  # on the diagonal, without which places that are near are as one


def mean_kernel(squares: torch.Tensor, variances: torch.Tensor, dim: int) -> torch.Tensor:
    """Tell how alike smells are on an average, of places that are not sure.

    Parameters
    ----------
    squares : torch.Tensor of float64, of any shape
        Squared distances of places, in units of the kernel's length.
    variances : torch.Tensor of float64, of the same shape
        Of their difference, along each axis.
    dim : int
        Number of axes.

    Returns
    -------
    torch.Tensor of float64, of that shape
        From 0 to 1.

    Examples
    --------
    >>> import torch
    >>> none = torch.zeros(2, dtype=torch.float64)
    >>> mean_kernel(none, torch.tensor([0.0, 3.0], dtype=torch.float64), dim=2).tolist()
    [1.0, 0.25]
    """
    wide = 1 + variances
    return wide.pow(-dim / 2) * torch.exp(-0.5 * squares / wide)


def noisy_evidence(
    windows: Windows, shifts: torch.Tensor, nugget: float, relative_sd: float
) -> torch.Tensor:
    """Tell how probable a number of the smells is, as the mean of its log density.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
        In units of the kernel's length.
    nugget : float
        ν: standard deviation of what the field does not explain, as a share of the amplitude.
    relative_sd : float
        s: standard deviation of the error of a step along each axis, as a share of its length.

    Returns
    -------
    torch.Tensor of float64, of shape ()
        In nats; differentiable by the shifts.

    Examples
    --------
    >>> import torch
    >>> counts = torch.arange(20, dtype=torch.float64)[None, :, None]
    >>> windows = Windows(counts, torch.sin(counts / 2))
    >>> right, long = torch.tensor([[0.5]]).double(), torch.tensor([[3.0]]).double()
    >>> [bool(noisy_evidence(windows, right, 0.02, s) > noisy_evidence(windows, long, 0.02, s))
    ...  for s in (0.0, 0.1)]
    [True, True]
    """
    places = windows.counts @ shifts
    gone = relative_sd**2 * (windows.counts @ shifts.square().sum(dim=-1))
    squares = (places.unsqueeze(2) - places.unsqueeze(1)).square().sum(dim=-1)
    alike = mean_kernel(squares, (gone.unsqueeze(2) - gone.unsqueeze(1)).abs(), shifts.shape[1])
    noise = max(nugget**2, _LEAST) * torch.eye(places.shape[1], dtype=places.dtype)
    lower = torch.linalg.cholesky(alike + noise)
    white = torch.linalg.solve_triangular(lower, windows.senses, upper=False)
    variance = white.square().mean()
    log_roots = torch.diagonal(lower, dim1=1, dim2=2).log().mean()  # half of a log determinant
    evidence: torch.Tensor = -0.5 * (1 + (2 * math.pi * variance).log()) - log_roots
    return evidence


def scaled_with_noise(
    windows: Windows, shifts: torch.Tensor, nugget: float, relative_sd: float
) -> torch.Tensor:
    """Scale shifts so that smells are most probable.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
    nugget, relative_sd : float
        As for `noisy_evidence`.

    Returns
    -------
    torch.Tensor of float64, of shape (num_actions, dim)
        In units of the kernel's length.
    """
    with torch.no_grad():
        width = float((windows.counts @ shifts).std(dim=1).norm(dim=-1).mean())
        scales: list[float] = [factor / width for factor in np.geomspace(0.05, 5.0, 24)]
        return max(
            (scale * shifts for scale in scales),
            key=lambda scaled: float(noisy_evidence(windows, scaled, nugget, relative_sd)),
        )


def refined_with_noise(
    windows: Windows, shifts: torch.Tensor, nugget: float, relative_sd: float, iterations: int
) -> tuple[torch.Tensor, float]:
    """Bring shifts to where smells of stretches of a walk with errors are most probable.

    Parameters
    ----------
    windows : Windows
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
        Where to begin, in units of the kernel's length.
    nugget, relative_sd : float
        As for `noisy_evidence`.
    iterations : int
        At most.

    Returns
    -------
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
    evidence : float
        Theirs: see `noisy_evidence`.
    """
    # In coordinates in which each moves the places of the walk as much, it takes fewer iterations.
    centred = windows.counts - windows.counts.mean(dim=1, keepdim=True)
    square = torch.einsum("wnk,wnl->kl", centred, centred) / (len(centred) * centred.shape[1])
    square = square + _RIDGE * torch.eye(len(square), dtype=square.dtype)
    upper = torch.linalg.cholesky(square).mT
    sought = (upper @ shifts).contiguous().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [sought], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe"
    )

    def back(coordinates: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.linalg.solve_triangular(upper, coordinates, upper=True)
        return found

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = -noisy_evidence(windows, back(sought), nugget, relative_sd)
        loss.backward()
        return loss

    optimiser.step(closure)
    found = back(sought.detach())
    with torch.no_grad():
        return found, float(noisy_evidence(windows, found, nugget, relative_sd))
