"""Build the library's wheel, and try it where nothing else of this project is.

Usage: ``python -m tools.wheel [--examples]``

A fresh environment gets the wheel and what it asks for, in the versions of the lock, and lives,
remembers and asks for its extras in another folder; with ``--examples``, which takes minutes, it
runs the documented examples there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path

from tools import settings

TRIED = settings.ROOT / "tools" / "checks" / "installed.py"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "tree_world")


def main() -> int:
    """Build it, try it, and say what came of it."""
    print("Trying the wheel by itself ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder) / "source", Path(folder) / "made"
        copy_sources(source)
        command = [*("wheel", "--quiet", "--no-deps", "--no-build-isolation"), str(source)]
        subprocess.run(
            [sys.executable, "-m", "pip", *command, "--wheel-dir", str(made)], check=True
        )
        told = failure(next(made.iterdir()), examples="--examples" in sys.argv)
    print(told or "The wheel works by itself.", file=sys.stderr if told else sys.stdout)
    return 1 if told else 0


def copy_sources(folder: Path) -> None:
    """Copy what the library is built from, so that nothing is left behind in the checkout."""
    folder.mkdir()
    for name in SOURCES:
        path = settings.ROOT / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, folder / name, ignore=ignored)
        else:
            shutil.copy(path, folder)


def distributions(source: Path, made: Path) -> tuple[list[Path], list[str]]:
    """Build a source distribution and, from that, a wheel; list them, and what is wrong.

    Parameters
    ----------
    source : pathlib.Path
        What to build.
    made : pathlib.Path
        Where to put them.

    Returns
    -------
    files : list of pathlib.Path
    complaints : list of str
    """
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made)]
    if told := complaint([*build, str(source)]):
        return [], [f"they cannot be built: {told}"]
    files, found = sorted(made.iterdir()), []
    wheels = [str(file) for file in files if file.suffix == ".whl"]
    for command in (
        ["twine", "check", "--strict", *map(str, files)],
        ["check-wheel-contents", "--ignore", "W002", *wheels],  # a licence twice, as it must be
    ):
        if told := complaint(command):
            found.append(f"{command[0]} says: {told}")
    return files, found


def failure(wheel: Path, lock: Path = settings.LOCKS / "book.lock", examples: bool = False) -> str:
    """Install a wheel into a fresh environment and try it there; say what fails, if anything does.

    Parameters
    ----------
    wheel : pathlib.Path
    lock : pathlib.Path
        Versions of what it asks for. PyTorch's newest may come with CUDA.
    examples : bool, default=False
        Whether to run the documented examples, too.

    Returns
    -------
    str
        Nothing if it works.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment, elsewhere = Path(folder) / "environment", Path(folder) / "elsewhere"
        elsewhere.mkdir()
        venv.create(environment)
        scripts = environment / ("Scripts" if os.name == "nt" else "bin")
        python = str(scripts / "python")
        pip = [*(sys.executable, "-m", "pip", "--python", python, "install", "--quiet")]
        # To compile all of PyTorch and SymPy takes longer than what is tried here.
        pip += ["--no-compile", "--constraint", str(lock), str(wheel)]
        # Apart from all that is set for this checkout, from what it has compiled, and from words
        # that have been embedded on this machine.
        own = {"TREE_WORLD_CACHE": str(elsewhere / "words")}
        alone = [python, "-I", str(TRIED)]
        for command in (
            pip,
            # To compile what each example calls takes minutes.
            [*alone, "--examples"] if examples else alone,
            [str(scripts / "tree-world"), "--version"],
        ):
            if told := complaint(command, elsewhere, own):
                return told
    return ""


def complaint(
    command: list[str], folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> str:
    """Say how a command fails; nothing if it does not. Variables are of its environment."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder or tempfile.gettempdir(),
        env=kept | dict(variables or {}),
    )
    told = (result.stdout + result.stderr).strip().splitlines()
    if result.returncode != 0:
        return " ".join(told[-5:]) or "it failed"
    return ""


if __name__ == "__main__":
    sys.exit(main())
