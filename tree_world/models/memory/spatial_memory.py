"""The spatial memory: what would be sensed anywhere, from what was sensed somewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self, cast

import torch

from tree_world.models.memory import tensors
from tree_world.models.memory.changes import changing, reading
from tree_world.models.memory.forget.consolidation import ConsolidationReport
from tree_world.models.memory.forget.report import PruneReport
from tree_world.models.memory.forgetting import Report, forget
from tree_world.models.memory.options import Consolidate, Forgetting, Prune
from tree_world.models.memory.readable_batch import ReadableBatch
from tree_world.models.memory.saving import load, write_state
from tree_world.models.memory.store.task import Task


class SpatialMemory(ReadableBatch):
    r"""A regression of what is sensed on where, ready at every step.

    A read at a place :math:`\ell` with deviation :math:`\sigma` is the mean of the stored senses,
    weighted by how well their places agree, both being uncertain [1]_ [2]_:

    .. math::

        \hat z(\ell) = \sum_t w_t z_t, \quad w_t \propto
        \mathcal N\bigl(\ell;\; \ell_t,\; \operatorname{diag}(\sigma^2 + \sigma_t^2)\bigr).

    Inputs may be of shape (N, d) or (batch, N, d). A memory that is written in batches holds one
    memory for each row of the batch, all of the same kind and independent of each other. Threads
    may share a memory: each call sees it as it is between two changes. A change happens wholly or
    not at all, also if it is interrupted. Whoever only reads may share a memory with the processes
    that are forked from its own, unless it is on disk.

    Parameters
    ----------
    location_dim : int
        Dimension of places.
    sensory_dim : int
        Dimension of senses.
    embed_dim : int, optional
        Numbers that are kept of each sense; all by default. With fewer, senses are projected onto
        their principal components, which are fitted by `fit_projection` or on the first write.
    max_memory_size : int, default=1024
        Greatest number of observations. When it is full, the oldest make room.
    merge_distance : float, default=1.0
        With ``update=True`` or ``"replace"``: how near an observation must be to one in store to be
        merged with it, in combined standard deviations. Of two that were placed independently at
        one and the same spot, with errors as large as their deviations say, the distance exceeds m
        with probability :math:`e^{-m^2 / 2}` in two dimensions (the tail of a chi distribution, in
        any number of them). So 1.0 leaves 61 % of such pairs apart, 2.0 leaves 14 %, 3.0 leaves
        1.1 % and 4.0 leaves 0.03 %; to leave a share p apart takes :math:`\sqrt{-2 \ln p}`. Give
        3.0 to keep one thing one, here or to `write`.
    merge_sense_distance : float, default=0.1
        With ``update=True`` or ``"replace"``: how alike they must be, as a distance between their
        senses. Sights of one tree of this book, fuller or emptier, are at most 0.789 apart, and
        those of trees with different names at least 0.828: 0.8 keeps one tree one, and two two.
    cell_size : float, default=25.0
        A distance in metres that is usual, such as that of `match_threshold`. Cells of the index
        are halved down to a sixteenth of it where there is much.
    projection : torch.Tensor of shape (embed_dim, sensory_dim), optional
        A projection to use instead of principal components; it is copied.
    device : torch.device or str, default="cpu"
    dtype : torch.dtype, default=torch.float32
        In which places are kept and everything is computed: single or double precision.
    storage_dtype : torch.dtype, optional
        In which senses are kept: `dtype` by default, or ``torch.float16`` for half the memory.
        Each entry z is then rounded by at most :math:`\max(2^{-11} |z|, 2^{-25})`. Reads are means,
        so what they lose is no more than the most that any entry loses: for senses of length one,
        less than 0.0005 in length. Each merge rounds once more.
    storage : path-like, optional
        A folder in which to keep senses, for more of them than fit in memory; everything else
        stays in memory. It is made if it is not there, and must not hold a memory yet. `checkpoint`
        makes it last: `tree_world.models.memory.store.disk` tells what is in it, and why it
        survives.

    Raises
    ------
    ValueError
        If a size is not a positive whole number, `embed_dim` is greater than `sensory_dim`, or a
        precision is none of those; if a memory on disk is to be on another device than the CPU.
    MemoryError
        If there is no room for `max_memory_size` observations.
    FileExistsError
        If the folder holds a memory already.
    OSError
        If the folder cannot be made, or is in use.

    References
    ----------
    .. [1] E. A. Nadaraya, "On estimating regression", 1964.
    .. [2] G. S. Watson, "Smooth regression analysis", 1964.

    Examples
    --------
    >>> import torch
    >>> memory = SpatialMemory(location_dim=2, sensory_dim=3)
    >>> places = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    >>> ids = memory.write(places, 5.0, torch.eye(3)[:2])
    >>> memory.read([50.0, 0.0], 5.0)
    tensor([0.5000, 0.5000, 0.0000])
    >>> memory.read([50.0, 0.0], 5.0, match_threshold=25.0)  # nothing is so near
    tensor([0., 0., 0.])
    """

    # --- forgetting ------------------------------------------------------------------------------

    def forget(self, how: Forgetting, *, background: bool = False) -> Report | Task[Report]:
        """Forget, in every memory of the batch, and exchange what is stored in one step.

        Parameters
        ----------
        how : Prune, Consolidate or Expire
        background : bool, default=False
            Whether to do it in a thread of its own, while the memory goes on being read and
            written; not for `Expire`, which takes no time. What is in store when this is called is
            worked on; what was written meanwhile stays, what was deleted meanwhile is gone, what
            was moved meanwhile is where it was moved to.

        Returns
        -------
        PruneReport, ConsolidationReport or ExpireReport, or Task of one
            How much went, and why the rest stayed. A task can be asked whether it is done, for its
            report, or to cancel.

        Raises
        ------
        ValueError
            If the memory requires gradients; if there is nothing to consolidate; if what is old is
            to go in the background.
        MemoryError
            If the lists of neighbours do not fit the limit.
        tree_world.models.memory.store.exchange.Superseded
            If another thread has reset or pruned the memory meanwhile, or moved it to another
            device or precision; by consolidation, also if observations were deleted or moved.

        Whatever is raised, the memory is as it was.

        Examples
        --------
        >>> memory = SpatialMemory(location_dim=2, sensory_dim=3)
        >>> ids = memory.write(torch.rand(50, 2), 5.0, torch.ones(50, 3))
        >>> report = memory.forget(Prune(max_error_to_prune=0.01))
        >>> report.num_kept, len(memory)
        (1, 1)
        >>> from tree_world.models.memory import Expire
        >>> memory.forget(Expire(before=1e3)).num_removed
        1
        """
        return forget(self, how, background=background)

    def prune(
        self,
        max_error_to_prune: float = 0.05,
        match_threshold: float | None = None,
        max_prune_steps: int = 10,
        **choices: Any,
    ) -> PruneReport:
        """Forget observations that the others replace: `forget` with `Prune` of these.

        Parameters
        ----------
        max_error_to_prune, match_threshold, max_prune_steps, choices
            As for `Prune`.

        Returns
        -------
        PruneReport
        """
        how = Prune(max_error_to_prune, match_threshold, max_prune_steps, **choices)
        return cast("PruneReport", self.forget(how))

    def consolidate(
        self, target_size: int, match_threshold: float | None = None, **choices: Any
    ) -> ConsolidationReport:
        """Replace observations by fewer virtual ones: `forget` with `Consolidate` of these.

        Parameters
        ----------
        target_size, match_threshold, choices
            As for `Consolidate`.

        Returns
        -------
        ConsolidationReport
        """
        how = Consolidate(target_size, match_threshold, **choices)
        return cast("ConsolidationReport", self.forget(how))

    def prune_in_background(
        self,
        max_error_to_prune: float = 0.05,
        match_threshold: float | None = None,
        max_prune_steps: int = 10,
        **choices: Any,
    ) -> Task[PruneReport]:
        """See `forget`: with `Prune` of these, in a thread of its own."""
        how = Prune(max_error_to_prune, match_threshold, max_prune_steps, **choices)
        return cast("Task[PruneReport]", self.forget(how, background=True))

    def consolidate_in_background(
        self, target_size: int, match_threshold: float | None = None, **choices: Any
    ) -> Task[ConsolidationReport]:
        """See `forget`: with `Consolidate` of these, in a thread of its own."""
        how = Consolidate(target_size, match_threshold, **choices)
        return cast("Task[ConsolidationReport]", self.forget(how, background=True))

    # --- gradients, devices, files ---------------------------------------------------------------

    @changing
    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Let gradients flow to what is stored, or no longer.

        The tensors to give to an optimiser are those of `parameters`. Writing stays allowed. What
        an optimiser has moved is found at its new place from the next call on.

        Parameters
        ----------
        requires_grad : bool, default=True

        Returns
        -------
        SpatialMemory
            This one.

        Raises
        ------
        ValueError
            If senses are kept on disk, or in half precision, in which steps would vanish. If an
            optimiser has made a deviation zero or negative, or a number not finite: set it right
            in `parameters` first.
        """
        tensors.set_requires_grad(self.common, requires_grad)
        return self

    @changing
    def parameters(self) -> list[torch.Tensor]:
        """Tensors that hold what is stored, and nothing else.

        They are the same at every call, and what is done to them is done to the memory: an
        optimiser that has them moves what is stored. (Draws by cells learn of changes to senses by
        way of ``.data`` or NumPy, which PyTorch does not count, from `requires_grad_` only.) When
        something is written or deleted they go on being what is stored, with as many rows as that
        takes; an optimiser that keeps numbers of its own for each row is to be made anew then.
        Those of a memory on disk, and those from before `reset`, `to`, or forgetting, are copies of
        what was stored.

        Returns
        -------
        list of torch.Tensor
            Places of shape (n, location_dim), deviations of that shape, and senses of shape
            (n, embed_dim), for each row of the batch, in no particular order of observations.
        """
        return tensors.parameters(self.common)

    @changing
    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Move to another device, or to another precision.

        Parameters
        ----------
        device : torch.device or str, optional
        dtype : torch.dtype, optional
            Senses that are kept in half precision stay so.

        Returns
        -------
        SpatialMemory
            This one, as it was if nothing was asked for.

        Raises
        ------
        ValueError
            If the precision is neither single nor double, if a number is beyond what it can hold,
            or if the memory is on disk, where it stays. Nothing has changed then.
        """
        tensors.move(self.common, device, dtype)
        return self

    @reading
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to a safetensors file, whole or not at all.

        Parameters
        ----------
        path : path-like
            The folder must exist; ``~`` is the home folder. Where this is a symbolic link, what it
            leads to is written.

        Raises
        ------
        OSError
            If the file cannot be written. One that was there before is left as it was.
        """
        write_state(self.common, Path(path).expanduser(), with_senses=True)

    @changing
    def checkpoint(self) -> None:
        """Make what is in store now what `load` finds in the folder of a memory on disk.

        Whatever happens to the process at whatever moment, `load` finds the memory of the last
        checkpoint that was completed. It writes what was sensed since the one before and 52 bytes,
        in two dimensions, of every observation.

        Raises
        ------
        ValueError
            If the memory has no storage.
        OSError
            If the disk is full. The last checkpoint is left as it was.
        """
        folder = self.common.folder
        if folder is None:
            raise ValueError("checkpoints are for a memory with storage: call save with a path.")
        for row in self.common.rows:
            if row.file is not None:
                row.file.flush()
        write_state(self.common, folder.checkpoint, with_senses=False)
        self.common.checkpoint_is_complete()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        device: torch.device | str = "cpu",
        *,
        storage: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Read a memory that was saved, or go on with one on disk from its last checkpoint.

        Parameters
        ----------
        path : path-like
            A file that `save` wrote, or the folder that was given as `storage`; ``~`` is the home
            folder. A file may be changed or removed as soon as it is loaded.
        device : torch.device or str, default="cpu"
        storage : path-like, optional
            A folder to keep the senses of a saved file in from now on; call `checkpoint` to make it
            last. It must not hold a memory yet.

        Returns
        -------
        SpatialMemory
            Which reads and forgets as the saved one did. A projection comes back as a matrix.

        Raises
        ------
        FileNotFoundError
            If there is no such file, or no checkpoint in the folder.
        ValueError
            If the file is damaged, or not of a memory, or of a later version; if what was sensed is
            not what the checkpoint says. Nothing is changed then. In files of version 0.1, damage
            to the numbers that were chosen is found only where these do not fit what is stored.
            If `storage` is given for what is a folder already.
        FileExistsError
            If there is a memory in `storage`.
        OSError
            If the folder is in use.
        """
        memory = cls.__new__(cls)
        folder = None if storage is None else Path(storage).expanduser()
        memory.common = load(Path(path).expanduser(), torch.device(device), folder)
        return memory
