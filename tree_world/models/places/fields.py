r"""How probable smells are at places, as a smooth field over them: differentiable by the places.

Smells are held to be a random field of which values at x and y are alike as
:math:`k(x, y) = e^{-\lVert x - y \rVert^2 / 2}`: places are in units of the kernel's length. Its D
coordinates have a covariance S of their own, for some differ much over the world and others
little, and what little there is tells as well of places. For W stretches of n observations each,
which know nothing of each other, with :math:`K_{ij} = k(x_i, x_j) + \nu^2 \delta_{ij}` and an S
that all share, the mean log density of a number is

.. math::

    -\frac{1}{2} \left(1 + \log 2 \pi\right) - \frac{1}{2 D} \log \lvert S \rvert
    - \frac{1}{2 W n} \sum_w \log \lvert K_w \rvert, \qquad
    S = \frac{1}{W n} \sum_w Z_w^\top K_w^{-1} Z_w

at the best S. Any regular map of smells changes it by a constant alone, but for this: a thousandth
of S is spread evenly over all directions, so that those in which next to nothing is smelled do not
rule. The determinants of K keep places from flying apart, where any smells could be told from none.
For one coordinate it is what `tree_world.models.memory.recall.kriging.evidence` tells.

*A whole walk* has thousands of smells, and time grows with the cube of their number. So they are
put into a random order, and each is told by the m nearest, P(i), of those that come before it, in
place of all of them (Vecchia):

.. math::

    \log p(Z) \approx \sum_i \log p(z_i \mid Z_{P(i)}).

As early ones are far apart and late ones near each other, both loops and single steps count.

References
----------
A. V. Vecchia, "Estimation and model identification for continuous spatial processes", 1988.
J. Guinness, "Permutation and grouping methods for sharpening Gaussian process approximations",
2018: why not in the order of a line.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.spatial
import torch

from tree_world.models.places.windows import Windows

__all__ = ["NEAREST", "mean_evidence"]

Array: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[np.intp]

NEAREST = 16  # observations that come before one and tell of it
_RIDGE = 1e-3  # of counts, in squared steps: an action that was never done stays as it was
_EVENLY = 1e-3  # of the covariance of smells: as much in all directions
_CHOSEN_ANEW = 2  # times: what tells of a smell
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
    white, roots = _whitened(places, senses, nugget)
    return _at_the_best_covariance(white.flatten(0, 1), roots)


def chain_of(places: Array, order: Numbers, nearest: int = NEAREST) -> Numbers:
    """Choose what tells of each observation: the nearest of those that come before it.

    They are chosen among those of earlier blocks, each block being an eighth of all before it.

    Parameters
    ----------
    places : numpy.ndarray of float64, of shape (n, dim)
    order : numpy.ndarray of int, of shape (n,)
        A permutation: a random one is best.
    nearest : int, default=16
        How many tell of each, fewer than n.

    Returns
    -------
    numpy.ndarray of int, of shape (n − nearest, nearest + 1)
        A row for each observation in this order, but for the first ones: numbers of those that tell
        of it, and its own at the end.

    Examples
    --------
    >>> import numpy as np
    >>> chain_of(np.array([[0.0], [10.0], [1.0], [9.0]]), np.arange(4), nearest=2).tolist()
    [[0, 1, 2], [1, 2, 3]]
    """
    there, rows, begin = places[order], [], nearest
    while begin < len(there):
        end = min(begin + max(begin // 8, 1), len(there))
        tree = scipy.spatial.cKDTree(there[:begin])
        near = tree.query(there[begin:end], k=[*range(1, nearest + 1)])[1]
        rows.append(np.concatenate([near, np.arange(begin, end)[:, None]], axis=1))
        begin = end
    return np.asarray(order[np.concatenate(rows)])


def chained_evidence(
    places: torch.Tensor, senses: torch.Tensor, order: Numbers, chain: Numbers, nugget: float
) -> torch.Tensor:
    """Tell about how probable a number of the smells is, each told by few others.

    Parameters
    ----------
    places : torch.Tensor of float64, of shape (n, dim)
        In units of the kernel's length.
    senses : torch.Tensor of float64, of shape (n, sensory_dim)
    order : numpy.ndarray of int, of shape (n,)
    chain : numpy.ndarray of int, of shape (n − nearest, nearest + 1)
        See `chain_of`.
    nugget : float

    Returns
    -------
    torch.Tensor of float64, of shape ()
        In nats; that of `mean_evidence` if all tell of each.

    Examples
    --------
    >>> import numpy as np, torch
    >>> places = torch.arange(20, dtype=torch.float64)[:, None]
    >>> order = np.random.default_rng(0).permutation(20)
    >>> chain = chain_of(places.numpy(), order, nearest=10)
    >>> about = float(chained_evidence(places, torch.sin(places / 2), order, chain, 0.1))
    >>> exact = float(mean_evidence(places[None], torch.sin(places / 2)[None], 0.1))
    >>> abs(about - exact) < 0.1
    True
    """
    first = torch.from_numpy(order[: chain.shape[1] - 1]).unsqueeze(0)
    others = torch.from_numpy(chain)
    begun, roots = _whitened(places[first], senses[first], nugget)
    white, last = _whitened(places[others], senses[others], nugget)
    return _at_the_best_covariance(
        torch.cat([begun[0], white[:, -1]]), torch.cat([roots[0], last[:, -1]])
    )


def _whitened(
    places: torch.Tensor, senses: torch.Tensor, nugget: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Divide what each smell adds to those before it in its stretch by how much it may be."""
    squares = torch.zeros(*places.shape[:2], places.shape[1], dtype=places.dtype)
    for along in places.unbind(dim=-1):  # an axis at a time: half the time of a sum over them
        squares = squares + (along.unsqueeze(2) - along.unsqueeze(1)).square()
    noise = max(nugget**2, _LEAST) * torch.eye(places.shape[1], dtype=places.dtype)
    lower = torch.linalg.cholesky(torch.exp(-0.5 * squares) + noise)
    white = torch.linalg.solve_triangular(lower, senses, upper=False)
    return white, torch.diagonal(lower, dim1=1, dim2=2)


def _at_the_best_covariance(white: torch.Tensor, roots: torch.Tensor) -> torch.Tensor:
    number, dim = white.shape
    covariance = white.mT @ white / number
    evenly = torch.diagonal(covariance).mean() * torch.eye(dim, dtype=white.dtype)
    covariance = (covariance + _EVENLY * evenly) / (1 + _EVENLY)
    # The mean of logarithms is half of a log determinant.
    evidence: torch.Tensor = (
        -0.5 * (1 + math.log(2 * math.pi))
        - torch.linalg.cholesky(covariance).diagonal().log().mean()
        - roots.log().mean()
    )
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

    def evidence(places: torch.Tensor) -> torch.Tensor:
        return mean_evidence(places, windows.senses, nugget)

    return _climbed(windows.counts, shifts, evidence, iterations)


def refined_on_the_whole(
    counts: torch.Tensor,
    senses: torch.Tensor,
    shifts: torch.Tensor,
    nugget: float,
    iterations: int,
    generator: torch.Generator,
) -> tuple[torch.Tensor, float]:
    """Bring shifts to where all smells of a walk are most probable, each told by few others.

    Which tell of which is chosen anew as places move.

    Parameters
    ----------
    counts : torch.Tensor of float64, of shape (n, num_actions)
        How often each action was done, after each step.
    senses : torch.Tensor of float64, of shape (n, sensory_dim)
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
        Where to begin, in units of the kernel's length.
    nugget : float
    iterations : int
        At most, each time.
    generator : torch.Generator
        Of the order of smells.

    Returns
    -------
    shifts : torch.Tensor of float64, of shape (num_actions, dim)
    evidence : float
        Theirs: see `chained_evidence`.
    """
    order = torch.randperm(len(counts), generator=generator).numpy()
    found = shifts, -math.inf
    for _ in range(_CHOSEN_ANEW):
        chain = chain_of((counts @ found[0]).numpy(), order)

        def evidence(places: torch.Tensor, chain: Numbers = chain) -> torch.Tensor:
            return chained_evidence(places[0], senses, order, chain, nugget)

        found = _climbed(counts[None], found[0], evidence, iterations)
    return found


def _climbed(
    counts: torch.Tensor,
    shifts: torch.Tensor,
    evidence: Callable[[torch.Tensor], torch.Tensor],
    iterations: int,
) -> tuple[torch.Tensor, float]:
    # In coordinates in which each moves the places of the walk as much, it takes fewer iterations.
    centred = counts - counts.mean(dim=1, keepdim=True)
    square = torch.einsum("wnk,wnl->kl", centred, centred) / (len(centred) * centred.shape[1])
    square = square + _RIDGE * torch.eye(len(square), dtype=square.dtype)
    upper = torch.linalg.cholesky(square).mT
    even = torch.linalg.solve_triangular(upper, counts, upper=True, left=False)
    sought = (upper @ shifts).contiguous().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [sought], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = -evidence(even @ sought)
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        shifts = torch.linalg.solve_triangular(upper, sought, upper=True)
        return shifts, float(evidence(counts @ shifts))


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
