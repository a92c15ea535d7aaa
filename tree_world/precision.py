"""Computing as this package does, whatever context of PyTorch a caller has entered."""

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


@without_autocast
def outside_inference_mode(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function so that tensors that it makes are exact, and can be changed later.

    Parameters
    ----------
    work : callable
    args, kwargs
        What it is given.

    Returns
    -------
    object
        What it returns.
    """
    if not torch.is_inference_mode_enabled():
        return work(*args, **kwargs)
    with torch.inference_mode(False):
        return work(*args, **kwargs)
