"""Whole or not at all: how a memory is read by one thread at a time, and how it is changed.

A change happens wholly or not at all, wherever it is broken off: by an error, by an interrupt, at
any line. Before it begins, all that it may change is noted; the change is made by one assignment at
its end, and whatever is raised before that makes everything as it was. If that is broken off, too,
it is done before anybody uses the memory again.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from tree_world.models.memory.assignment import follow_assigned
from tree_world.models.memory.common import Change, Common
from tree_world.precision import outside_inference_mode, without_autocast

P = ParamSpec("P")
R = TypeVar("R")


class HasCommon(Protocol):
    """Who reads and changes memories: the face of a batch, or one memory of it."""

    @property
    def common(self) -> Common:
        """What the memories have in common."""
        ...


Self = TypeVar("Self", bound=HasCommon)


def reading(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """Let one thread at a time use a memory, which it finds whole."""
    exact = without_autocast(method)

    @functools.wraps(method)
    def locked(self: Self, *args: P.args, **kwargs: P.kwargs) -> R:
        common = self.common
        # On one line, so that an interrupt finds no place between the end and the release.
        with common.lock: return whole(common, exact, self, args, kwargs)  # noqa: E701  # fmt: skip

    return cast("Callable[Concatenate[Self, P], R]", locked)


def changing(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """Let one thread at a time change a memory, wholly or not at all."""

    @functools.wraps(method)
    def changed(self: Self, *args: P.args, **kwargs: P.kwargs) -> R:
        common = self.common
        with common.lock: return whole_or_not_at_all(common, method, self, args, kwargs)  # noqa: E701  # fmt: skip

    return cast("Callable[Concatenate[Self, P], R]", changed)


def assigning(method: Callable[Concatenate[Self, P], R]) -> Callable[Concatenate[Self, P], R]:
    """As `changing`, also while tensors that were assigned wait for others."""

    @functools.wraps(method)
    def assigned(self: Self, *args: P.args, **kwargs: P.kwargs) -> R:
        common = self.common
        with common.lock: return whole_or_not_at_all(common, method, self, args, kwargs, True)  # noqa: E701  # fmt: skip

    return cast("Callable[Concatenate[Self, P], R]", assigned)


def whole(
    common: Common,
    method: Callable[..., R],
    who: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    """Call a method on a memory that no change has left half made; the lock is held.

    Parameters
    ----------
    common : Common
    method : callable
    who : SpatialMemory or Memory
        Whose method it is.
    args, kwargs
        What it is given.
    """
    mend(common)
    if common.pending or common.assigned:
        follow_assigned(common)
    for row in common.rows:
        row.adopt()
        if common.requires_grad:  # reads look at the parameters themselves
            row.check_parameters()
        else:
            row.settle()
    return method(who, *args, **kwargs)


def whole_or_not_at_all(
    common: Common,
    method: Callable[..., R],
    who: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    assigning: bool = False,
) -> R:
    """Call a method that changes the memory; the lock is held.

    Whatever is raised meanwhile, everything is as it was. If that comes while it is made so, it
    is made so before anybody uses the memory again.

    Parameters
    ----------
    common : Common
    method : callable
    who : SpatialMemory or Memory
        Whose method it is.
    args, kwargs
        What it is given.
    assigning : bool, default=False
        Whether tensors that were assigned may wait for others meanwhile.
    """
    mend(common)
    if not assigning and (common.pending or common.assigned):
        follow_assigned(common)
    attributes = {
        name: value for name, value in common.__dict__.items() if name not in ("lock", "unfinished")
    }
    for row in common.rows:
        row.adopt()
    noted = []
    try:
        for row in common.rows:
            noted.append((row, row.begin()))
        common.unfinished = Change(attributes, noted)
        if not assigning:
            common.assigned = {}
        result = outside_inference_mode(method, who, *args, **kwargs)
        common.unfinished = None  # which makes it so
        return result
    except BaseException:
        _undo(common)
        raise


def mend(common: Common) -> None:
    """Undo a change that was broken off, and whose undoing was broken off as well."""
    if common.forked:
        raise OSError(
            "this memory on disk belongs to the process from which this one was forked, which "
            "may change it. Save it there, and load here what that wrote."
        )
    if common.unfinished is None:
        return
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        here = frame.f_code is whole_or_not_at_all.__code__
        if here and frame.f_locals.get("common") is common:
            raise RuntimeError(
                "the memory is being changed by what was interrupted for this call, as by a "
                "signal. Let the handler make a note, and call when the change is complete."
            )
    _undo(common)


def _undo(common: Common) -> None:
    """Make everything as it was before the change that is not complete, if there is one."""
    change = common.unfinished
    if change is not None:
        outside_inference_mode(_undo_change, common, change)
        common.unfinished = None


def _undo_change(common: Common, change: Change) -> None:
    files = {row.file for row in (*common.rows, *(row for row, _ in change.rows))}
    common.__dict__.update(change.attributes, searches={})
    for row, noted in change.rows:
        row.undo(noted)
        row.point(common.requires_grad)
    folder = common.folder
    if folder is None:
        return
    for file in files - {row.file for row in common.rows}:
        if file is not None:
            folder.remove(file)
    is_there = change.checkpoint is not None and folder.checkpoint.exists()
    if is_there and folder.checkpoint.stat().st_ino == change.checkpoint:
        common.checkpoint_is_complete()
