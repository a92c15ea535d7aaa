"""Computing in the precision of what is given, whatever a caller's ``torch.autocast`` says."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def without_autocast(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function compute in the precision of what it is given, under ``torch.autocast``, too.

    Parameters
    ----------
    function : callable

    Returns
    -------
    callable
    """

    @functools.wraps(function)
    def exact(*args: P.args, **kwargs: P.kwargs) -> R:
        for device in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(device):
                with torch.autocast(device, enabled=False):
                    return exact(*args, **kwargs)
        return function(*args, **kwargs)

    return exact
