"""Names that have moved within the library. Until 0.3 they are found where they were, too."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_MEMORY = "tree_world.models.memory"
_SEARCH = f"{_MEMORY}.search"
_BOUNDS = f"{_MEMORY}.kernel.bounds"

MODULES = {
    "tree_world.dark_figures": "tree_world.plotting.dark",
    "tree_world.models.affinity": f"{_MEMORY}.kernel.affinity",
    "tree_world.models.compiling": "tree_world.compiling",
    "tree_world.models.consolidation": f"{_MEMORY}.forget.consolidation",
    "tree_world.models.forgetting": f"{_MEMORY}.policy",
    "tree_world.models.hot_swap": f"{_MEMORY}.store.exchange",
    "tree_world.models.localisation": "tree_world.models.places.localiser",
    "tree_world.models.neighbors": f"{_MEMORY}.index.cells",
    "tree_world.models.pairs": f"{_MEMORY}.recall.pairs",
    "tree_world.models.projection": f"{_MEMORY}.projection",
    "tree_world.models.pruning": f"{_MEMORY}.forget.pruning",
    "tree_world.models.read_types": f"{_MEMORY}.types",
    "tree_world.models.reading": f"{_MEMORY}.recall.reading",
    "tree_world.models.sampling": f"{_SEARCH}.exact",
    "tree_world.models.screening": f"{_MEMORY}.recall.screening",
    "tree_world.models.storage": f"{_MEMORY}.store.disk",
    "tree_world.models.store": f"{_MEMORY}.store.slots",
    "tree_world.simulation.agents": "tree_world.simulation.body",
    "tree_world.validation": "tree_world.checks",
}
"""Where each module was, and where most of what it held is."""

NAMES = {
    "tree_world.models.hot_swap.Task": f"{_MEMORY}.store.task.Task",
    "tree_world.models.hot_swap.stop_if_asked": f"{_MEMORY}.store.task.stop_if_asked",
    "tree_world.models.pruning.Cancelled": f"{_MEMORY}.store.task.Cancelled",
    "tree_world.models.pairs.can_read_pairs": f"{_MEMORY}.recall.plan.can_read_pairs",
    "tree_world.models.reading.RUN": f"{_MEMORY}.recall.plan.RUN",
    "tree_world.models.screening.QUERIES": f"{_MEMORY}.recall.plan.QUERIES",
    "tree_world.models.screening.exponent_of_rounding": f"{_BOUNDS}.exponent_of_rounding",
    "tree_world.models.screening.greatest_exponent": f"{_BOUNDS}.greatest_exponent",
    "tree_world.models.read_types.joined": f"{_MEMORY}.types.concatenated",
    "tree_world.models.pruning.LeaveOneOut": f"{_MEMORY}.forget.leave_one_out.LeaveOneOut",
    "tree_world.models.pruning.PRUNING_LIMIT": f"{_MEMORY}.forget.neighbours.PRUNING_LIMIT",
    "tree_world.models.pruning.PruneReport": f"{_MEMORY}.forget.report.PruneReport",
    "tree_world.models.pruning.leave_one_out": f"{_MEMORY}.forget.leave_one_out.leave_one_out",
    "tree_world.models.sampling.CellSearch": f"{_SEARCH}.cells.CellSearch",
    "tree_world.models.sampling.FoundPlaces": f"{_SEARCH}.places.FoundPlaces",
    "tree_world.models.sampling.Query": f"{_SEARCH}.query.Query",
    "tree_world.models.sampling.Samples": f"{_SEARCH}.samples.Samples",
    "tree_world.models.sampling.best_distinct_slots": f"{_SEARCH}.places.best_distinct_slots",
    "tree_world.models.sampling.scattered": f"{_SEARCH}.samples.scattered",
    "tree_world.models.localisation.read_location": f"{_MEMORY}.recall.location.read_location",
    "tree_world.simulation.agents.ExploringModel": "tree_world.simulation.walkers.Exploring",
    "tree_world.simulation.agents.RestingModel": "tree_world.simulation.walkers.Resting",
    "tree_world.simulation.sensors.as_tree_array": "tree_world.simulation.trees.as_tree_array",
}
"""Where each name was that is not where the rest of its module is, and where it is."""


def home_of(module: str, name: str) -> str | None:
    """Where a name is that was, in version 0.1, in a module.

    Parameters
    ----------
    module, name : str

    Returns
    -------
    str or None
        With the module before it; None if it has not moved.

    Examples
    --------
    >>> home_of("tree_world.models.affinity", "log_affinity")
    'tree_world.models.memory.kernel.affinity.log_affinity'
    """
    now = NAMES.get(f"{module}.{name}")
    if now is None and module in MODULES:
        now = f"{MODULES[module]}.{name}"
    return now


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
        now = home_of(module, name)
        if now is None or name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, own = now.rpartition(".")
        found = getattr(importlib.import_module(home), own)
        warnings.warn(
            f"{module}.{name} has moved to {now}, and will not be found here from 0.3 on.",
            DeprecationWarning,
            stacklevel=2,
        )
        return found

    return look_up


class _Moved(MetaPathFinder, Loader):
    """Makes an empty module where one was, which finds what it held."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MODULES else None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = f"What was here is in `{MODULES[module.__name__]}`."
        module.__dict__["__getattr__"] = names_of(module.__name__)


def install() -> None:
    """Let modules be imported from where they were. Python asks for it last, and once."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
