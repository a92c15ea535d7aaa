"""Studies: what takes too long for a chapter, which draws it from the results that are kept.

A study is a function that returns what is to be stored, as a dict that JSON can hold. Beside it
stand its *short form*, which takes at most a minute, and what of that must agree with what is
stored. A file ``study_NAME.py`` keeps its results where `tree_world.studies.stored_results` finds
them by NAME, and so do those who install the library; it ends in::

    def lives(part: Part, seeds: Sequence[int] = range(5), steps: int = 100_000) -> dict[str, Any]:
        found = [part(f"life {seed}", _life, seed, steps) for seed in seeds]
        return {"errors": [one["error"] for one in found], "seconds": ...}

    STUDIES = {
        "lives": Study(
            lives,
            short=lambda part: lives(part, seeds=[0, 1], steps=2000),
            agrees=[Same("errors")],
        ),
    }

    def main(options: list[str]) -> int:
        return run_studies(STUDIES, results_file(NAME), options)

**Parts.** ``part(name, function, *arguments)`` calls the function, stores what it returns under
``.cache/studies`` as soon as it is there, and takes it from there when the study is run again by
the same code, with the same versions, on the same machine. So an interrupt loses only the part that
was running. A part takes at most half an hour. It returns what JSON can hold (arrays, tensors and
NumPy's numbers become lists and numbers; keys become text), and may keep files of its own, such as
a memory that the next part goes on with, in ``part.folder``. Names of parts are unique in a study;
what else a part depends on must be in its name or in the code. In a short form nothing is stored.

**Parts that need not wait for each other.** ``part.each(function, calls)`` takes all of them at
once, as ``{name: arguments}``, and returns what each returns, in that order: one after another
here, or side by side on the workers of a cluster (``--cluster``). Each has one thread, so that
results are the same. What measures seconds by the clock, or goes on from files of the part before,
is no such part; seconds of a processor are right where a worker has one thread.

**Agreement.** `Same` compares numbers with those at the same place of what is stored, `Within` asks
whether a mean lies in the interval of the stored ones; any function of (short, stored) that
returns complaints will do. Speeds are not compared.

**Options** of `main`: names of studies, all by default; ``--anew`` to use no parts of before;
``--short`` to run the short forms, store nothing, and say whether they agree;
``--cluster=tcp://…``, the address of a scheduler of Dask, whose workers run the parts of
``part.each``. They need this checkout, and what it is installed with.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
import scipy.stats

from benchmarks.machine import machine
from benchmarks.origins import NotCommitted, origin, root_of
from tree_world.files import write_atomically
from tree_world.studies import over_seeds

LONGEST_PART = 30 * 60  # seconds
LONGEST_SHORT_FORM = 60  # seconds

Result = dict[str, Any]
Check = Callable[[Result, Result], list[str]]
"""Compares what a short form found with what is stored, and returns complaints, if any."""

_LIST_OF_NUMBERS = re.compile(r"\[[-+.e\d,\s]+\]")  # on one line it is easier to read


class Part(Protocol):
    """Runs a part of a study, or takes it from where it was stored."""

    folder: Path

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the work returns for the arguments, as JSON holds it."""
        ...

    def each(self, work: Callable[..., Any], calls: Mapping[str, Sequence[Any]]) -> list[Any]:
        """Return what the work returns for the arguments of each part, by its name."""
        ...


@dataclass(frozen=True)
class Study:
    """What is run, its short form, and what of that must agree with what is stored.

    Attributes
    ----------
    run : callable
        Takes a `Part` and returns the results.
    short : callable
        The same, smaller, in at most a minute. It may leave out any key and end any list sooner.
    agrees : sequence of callable
        At least one `Same`, `Within` or other `Check`.
    """

    run: Callable[[Part], Result]
    short: Callable[[Part], Result]
    agrees: Sequence[Check]

    def __post_init__(self) -> None:
        if not self.agrees:
            raise ValueError("a study must say what of its short form agrees: give `agrees`")


# --- parts ----------------------------------------------------------------------------------------


class KeptParts:
    """Parts that are stored in a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Of the study, and of what made it: code, versions, machine.
    cluster : str, optional
        The address of a scheduler of Dask, for the parts that need not wait for each other.
    """

    def __init__(self, folder: Path, cluster: str | None = None) -> None:
        self.folder, self.cluster = folder, cluster
        self.seconds: dict[str, float] = {}

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Take a part from the folder, or run and store it."""
        if not self._begin(name):
            self._keep(name, _timed(work, arguments))
        return self._kept(name)["value"]

    def each(self, work: Callable[..., Any], calls: Mapping[str, Sequence[Any]]) -> list[Any]:
        """Take parts from the folder, or run and store them, each as soon as it is there."""
        missing = [name for name in calls if not self._begin(name)]
        over_seeds(
            functools.partial(
                _named_call, _by_its_name(work), {name: calls[name] for name in missing}
            ),
            missing,
            processes=1,
            client=self.cluster,
            on_result=self._keep,
        )
        return [self._kept(name)["value"] for name in calls]

    def _begin(self, name: str) -> bool:
        """Say whether a part is there already."""
        if name in self.seconds:
            raise ValueError(f"two parts of a study have the name {name!r}")
        self.seconds[name] = math.nan
        if not self._path(name).exists():
            return False
        self.seconds[name] = self._kept(name)["seconds"]
        print(f"{name}: taken from before ({self.seconds[name]:.0f} s then)", flush=True)
        return True

    def _keep(self, name: str, found: dict[str, Any]) -> None:
        seconds = self.seconds[name] = found["seconds"]
        write_whole(self._path(name), json.dumps(found))
        if seconds > LONGEST_PART:
            print(f"{name}: took {seconds / 60:.0f} minutes; divide it, so that less can be lost")

    def _kept(self, name: str) -> Any:
        return json.loads(self._path(name).read_text())

    def _path(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe=' ,')}.json"


class FleetingParts:
    """Parts of a short form, which are not stored.

    Parameters
    ----------
    folder : pathlib.Path
        For files that one part leaves to the next.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run a part."""
        return _plain(work(*arguments))

    def each(self, work: Callable[..., Any], calls: Mapping[str, Sequence[Any]]) -> list[Any]:
        """Run parts, one after another."""
        found = over_seeds(functools.partial(_named_call, work, calls), calls, processes=1)
        return [one["value"] for one in found]


def _by_its_name(work: Callable[..., Any]) -> Callable[..., Any]:
    """Find the function of a program in the module of that, which workers can import."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if work.__module__ != "__main__" or spec is None:
        return work
    found: Callable[..., Any] = getattr(importlib.import_module(spec.name), work.__name__)
    return found


def _named_call(
    work: Callable[..., Any], calls: Mapping[str, Sequence[Any]], name: str
) -> dict[str, Any]:
    return _timed(work, calls[name])


def _timed(work: Callable[..., Any], arguments: Sequence[Any]) -> dict[str, Any]:
    started = time.monotonic()
    value = _plain(work(*arguments))
    return {"seconds": round(time.monotonic() - started, 1), "value": value}


def write_whole(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())


def _plain(value: Any) -> Any:
    """Make of a value what JSON does, so that it is the same now and when it is read again."""

    def listed(one: Any) -> Any:
        if hasattr(one, "tolist"):  # of NumPy or PyTorch
            return one.tolist()
        raise TypeError(
            f"a part returns numbers, texts, lists and dicts, but there is a {type(one).__name__}"
        )

    return json.loads(json.dumps(value, default=listed))


# --- agreement ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Same:
    """Numbers, texts and shapes are those at the same place of what is stored.

    Attributes
    ----------
    where : str
        Keys and positions, with slashes between, for example "errors/policy" or "lives/0/size".
    tolerance : float, default=1e-3
        Of numbers, relative to the greater one; stored are five digits.
    """

    where: str
    tolerance: float = 1e-3

    def __call__(self, short: Result, stored: Result) -> list[str]:
        """Compare everything that the short form has there; it may have less."""
        return self._compare(self.where, _at(short, self.where), _at(stored, self.where))

    def _compare(self, where: str, ours: Any, theirs: Any) -> list[str]:
        if isinstance(ours, dict) and isinstance(theirs, dict) and set(ours) <= set(theirs):
            pairs = [(f"{where}/{key}", ours[key], theirs[key]) for key in ours]
        elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) <= len(theirs):
            pairs = [(f"{where}/{n}", one, theirs[n]) for n, one in enumerate(ours)]
        elif _is_number(ours) and _is_number(theirs):
            near = math.isclose(ours, theirs, rel_tol=self.tolerance, abs_tol=1e-12)
            if near or (math.isnan(ours) and math.isnan(theirs)):
                return []
            return [f"{where} is {ours:.6g}, stored {theirs:.6g}"]
        else:
            return [] if ours == theirs else [f"{where} is {ours!r:.60}, stored {theirs!r:.60}"]
        if not pairs:
            return [f"{where} is empty, so that nothing is compared"]
        return [complaint for pair in pairs for complaint in self._compare(*pair)]


@dataclass(frozen=True)
class Within:
    """The mean of the short form's numbers lies where the stored ones let it be.

    Attributes
    ----------
    where : str
        Keys and positions that lead to a list of numbers, one for each seed, in both.
    level : float, default=0.99
        Of the interval for the mean of so many more, by Student's t.
    """

    where: str
    level: float = 0.99

    def __call__(self, short: Result, stored: Result) -> list[str]:
        """Compare the two means."""
        ours, theirs = (np.asarray(_at(one, self.where), dtype=float) for one in (short, stored))
        if ours.ndim != 1 or theirs.ndim != 1 or len(ours) == 0 or len(theirs) < 2:
            return [f"{self.where} must be a list of numbers, with two or more of them stored"]
        spread = theirs.std(ddof=1) * math.sqrt(1 / len(ours) + 1 / len(theirs))
        reach = float(scipy.stats.t.ppf((1 + self.level) / 2, len(theirs) - 1)) * spread
        away = abs(float(ours.mean() - theirs.mean()))
        if away <= reach:
            return []
        kept = f"{theirs.mean():.5g} ± {reach:.2g}"
        return [f"the mean of {self.where} is {ours.mean():.5g}, stored {kept}"]


class Missing(LookupError):
    """What is to be compared is not there."""


def _at(result: Any, where: str) -> Any:
    for key in filter(None, where.split("/")):
        try:
            result = result[int(key)] if isinstance(result, list) else result[key]
        except (LookupError, ValueError, TypeError):
            raise Missing(f"there is no {where}, for {key!r} is missing") from None
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- running --------------------------------------------------------------------------------------


def run_studies(studies: Mapping[str, Study], results: Path, options: list[str]) -> int:
    """Run studies, all by default, and write each one's results in place of its last.

    Parameters
    ----------
    studies : mapping of str to Study
    results : pathlib.Path
        As `benchmarks.origins.results_file` names it for the ``study_NAME.py`` that these are of.
    options : list of str
        As the module says.

    Returns
    -------
    int
        Exit status: 1 if a short form does not agree, 2 if there is no such study or it is made of
        code that is not committed, 130 after an interrupt.

    Raises
    ------
    TypeError
        If one is no `Study`, so that nothing could confirm it later.
    """
    for name, study in studies.items():
        if not isinstance(study, Study):
            raise TypeError(
                f"{name!r} must be a Study, with a short form, but is a {type(study).__name__}"
            )
    cluster = cluster_of(options)
    options = [option for option in options if option != f"--cluster={cluster}"]
    names = [option for option in options if not option.startswith("--")]
    unknown = {option for option in options if option.startswith("--")} - {"--short", "--anew"}
    if unknown or set(names) - set(studies):
        wrong = sorted(unknown | set(names) - set(studies))
        print(f"There is no study or option {', '.join(wrong)}; there are {', '.join(studies)}.")
        return 2
    chosen = {name: studies[name] for name in names or studies}
    if "--short" in options:
        return max(confirm(name, study, results) for name, study in chosen.items())
    for name, study in chosen.items():
        try:
            _run(name, study, results, anew="--anew" in options, cluster=cluster)
        except NotCommitted as reason:
            print(f"{name}: {reason}")
            return 2
        except KeyboardInterrupt:
            print(f"\n{name}: interrupted. The parts that were finished are kept; run it again.")
            return 130
    print(f"Studied: {', '.join(chosen)}; written to {results.relative_to(root_of(results))}")
    return 0


def cluster_of(options: Sequence[str]) -> str | None:
    """Find the address of a cluster among options."""
    found = [
        option.removeprefix("--cluster=") for option in options if option.startswith("--cluster=")
    ]
    return found[-1] if found else None


def source_of(results: Path) -> Path:
    """Name the file of the studies whose results these are."""
    return root_of(results) / "benchmarks" / f"study_{results.stem}.py"


def _run(name: str, study: Study, results: Path, anew: bool, cluster: str | None) -> None:
    root = root_of(results)
    made = origin([source_of(results)], root)  # before, for the files may be edited meanwhile
    what = {**_undated(machine()), **made["versions"], "code": made["code"]}
    if cluster is not None:
        made["workers"] = _workers(cluster)
        others = [one for one in made["workers"]["machines"] if one != _undated(machine())]
        what |= {"workers": others} if others else {}
    folder = root / ".cache" / "studies" / results.stem / quote(name, safe=" ") / _digest(what)
    parts = KeptParts(folder, cluster)
    if anew and parts.folder.exists():
        for path in parts.folder.glob("*.json"):
            path.unlink()
    parts.folder.mkdir(parents=True, exist_ok=True)
    found = study.run(parts)
    made["seconds_of_parts"] = parts.seconds
    write_result(results, name, {"machine": machine(), "origin": made, **found})


def _workers(cluster: str) -> dict[str, Any]:
    """Say how many there are, and on what they run, each kind of machine once."""
    import distributed

    with distributed.Client(cluster, set_as_default=False) as client:
        found = [_undated(one) for one in client.run(machine).values()]
    kinds = {json.dumps(one, sort_keys=True) for one in found}
    return {"number": len(found), "machines": [json.loads(one) for one in sorted(kinds)]}


def _undated(found: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in found.items() if key != "date"}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def write_result(results: Path, name: str, found: Result) -> None:
    """Put the results of one study in place of its last, and leave the others."""
    kept = json.loads(results.read_text()) if results.exists() else {}
    kept[name] = found
    text = json.dumps(_rounded(_plain(kept)), indent=1)
    text = _LIST_OF_NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
    write_whole(results, text + "\n")


def confirm(name: str, study: Study, results: Path) -> int:
    """Run the short form of a study, and say whether it agrees with what is stored.

    Returns
    -------
    int
        0 if it agrees, 1 if not.
    """
    title = f"{results.stem}: {name}"
    stored = json.loads(results.read_text()).get(name) if results.exists() else None
    if stored is None:
        print(f"{title}: nothing is stored; run the study", flush=True)
        return 1
    print(f"{title} ...", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".short-") as folder:
        short = _plain(study.short(FleetingParts(Path(folder))))
    seconds = time.monotonic() - started
    complaints = []
    for check in study.agrees:
        try:
            complaints += check(short, stored)
        except Missing as missing:
            complaints.append(str(missing))
    took = f"{seconds:.0f} s" + (", more than a minute" if seconds > LONGEST_SHORT_FORM else "")
    print(f"{title}: {'does NOT agree' if complaints else 'agrees'} ({took})", flush=True)
    for complaint in complaints[:8]:
        print(f"  {complaint}")
    if len(complaints) > 8:
        print(f"  and {len(complaints) - 8} more")
    return 1 if complaints else 0


def _rounded(value: Any) -> Any:
    """Keep five digits of each number, which is more than they are good for."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value
