"""What a memory says at the place of each observation without having it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch

from tree_world.checks import whole_number
from tree_world.models.memory.forget.neighbours import PRUNING_LIMIT, Neighbours, Places
from tree_world.models.memory.types import Observations, ReadOptions


@dataclass(frozen=True)
class LeaveOneOut:
    """What a memory says at the place of each observation without having it.

    Attributes
    ----------
    value : torch.Tensor of shape (n_observations, sensory_dim)
        The read at each place from all others; zeros where it is isolated.
    error : torch.Tensor of shape (n_observations,)
        Distance of the value from what was sensed there; infinite where it is isolated.
    dependencies : scipy.sparse.csr_array of shape (n_observations, n_observations)
        Entry (r, t) is the weight of observation t in the read at r. Rows sum to one; a row without
        entries is isolated.
    """

    value: torch.Tensor
    error: torch.Tensor
    dependencies: scipy.sparse.csr_array

    @property
    def isolated(self) -> torch.Tensor:
        """Whether an observation has no other to be read from."""
        return torch.isinf(self.error)


def leave_one_out(
    observations: Observations,
    match_threshold: float | None = None,
    memory_limit: int = PRUNING_LIMIT,
) -> LeaveOneOut:
    r"""Read the place of each observation from all others.

    .. math::

        \hat z_r = \sum_{t \ne r} w_{rt} z_t, \qquad
        w_{rt} = \frac{k(\ell_r, \ell_t)}{\sum_{s \ne r} k(\ell_r, \ell_s)}

    with the kernel of `tree_world.models.memory.kernel.affinity`, which is the same in both
    directions. Only neighbours are visited: with a threshold, time and memory grow with their
    number.

    Parameters
    ----------
    observations : Observations
        With finite deviations.
    match_threshold : float, optional
        Observations farther away than this, in metres, do not count. Without one all pairs are
        looked at, and those kept that weigh more than e⁻⁴⁰ times the best.
    memory_limit : int, default=1 GiB
        In bytes.

    Returns
    -------
    LeaveOneOut

    Raises
    ------
    MemoryError
        If the lists of neighbours do not fit the limit.

    Examples
    --------
    >>> import torch
    >>> from tree_world.models.memory.types import Observations
    >>> places = torch.tensor([[0.0, 0.0], [1.0, 0.0], [90.0, 0.0]])
    >>> senses = torch.tensor([[1.0], [3.0], [5.0]])
    >>> left_out = leave_one_out(Observations(places, torch.full((3, 2), 5.0), senses), 25.0)
    >>> left_out.value.ravel(), left_out.isolated
    (tensor([3., 1., 0.]), tensor([False, False,  True]))
    """
    match_threshold = ReadOptions(match_threshold).match_threshold  # which checks it
    memory_limit = whole_number("memory_limit", memory_limit)
    neighbours = Neighbours.of(Places.of(observations), match_threshold, memory_limit)
    dependencies = neighbours.weights()
    senses = observations.senses.detach().cpu()
    # Summed in double precision: thousands that are alike would lose digits.
    value = torch.from_numpy(dependencies @ senses.double().numpy()).to(senses.dtype)
    error = torch.linalg.vector_norm(value - senses, dim=-1)
    alone = torch.from_numpy(np.diff(neighbours.edges) == 0)
    error = error.masked_fill(alone, torch.inf)
    device = observations.senses.device
    return LeaveOneOut(value.to(device), error.to(device), dependencies)
