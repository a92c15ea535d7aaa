"""Names that have moved within the library. Until 0.3 they are found where they were, too."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

MOVED = {
    "tree_world.models.localisation.read_location": "tree_world.models.reading_places.read_location"
}
"""Where each name was, and where it is."""


def names_of(module: str) -> Callable[[str], Any]:
    """Make what a module looks names up with that it does not hold: its ``__getattr__``.

    Parameters
    ----------
    module : str
        Its name, as in ``__name__``.

    Returns
    -------
    callable
        Finds what has moved, with a `DeprecationWarning` that says where it is now.
    """

    def look_up(name: str) -> Any:
        now = MOVED.get(f"{module}.{name}")
        if now is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} has moved to {now}, and will not be found here from 0.3 on.",
            DeprecationWarning,
            stacklevel=2,
        )
        home, _, own = now.rpartition(".")
        return getattr(importlib.import_module(home), own)

    return look_up
