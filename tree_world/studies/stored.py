"""Results of benchmarks and of long studies, which come with the library."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def stored_results(name: str) -> dict[str, Any]:
    """Read the stored results of the benchmarks, or of a file of long studies.

    They were measured by `benchmarks`, which only a checkout of the project has. Each says by which
    code it was made (``origin``), on which machine and on which day (``machine``).

    Parameters
    ----------
    name : str
        Such as ``"forgetting"``, for the studies in ``benchmarks/study_forgetting.py``, by their
        names; ``"memory"`` for the speeds that ``make bench`` measures, as ``rows``.

    Returns
    -------
    dict
        Made anew by each call.

    Raises
    ------
    ValueError
        If nothing is stored under that name; the message lists what is.

    Examples
    --------
    >>> from tree_world.studies import stored_results
    >>> sorted(stored_results("memory"))
    ['machine', 'origin', 'rows']
    """
    folder = resources.files(__package__) / "results"
    kept = {one.name.removesuffix(".json"): one for one in folder.iterdir()}
    if name not in kept:
        raise ValueError(
            f"There are no stored results {name!r}. Name one of {', '.join(sorted(kept))}"
        )
    found: dict[str, Any] = json.loads(kept[name].read_text("utf-8"))
    return found
