"""The build fails when it should, and executes only what it must."""

import fcntl
import importlib.metadata
import json
import re
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from benchmarks import origins
from tools import build, settings

CHAPTER = """\
---
kernelspec:
  name: python3
  display_name: Python 3
execute:
  depends_on_env:
    - TREE_WORLD_DIGEST
    - TREE_WORLD_FIGURE_DPI
---

# One

Some words.

```{code-cell} python
print("from the cell")
```
"""


def test_only_a_change_of_code_or_library_executes_a_chapter(small_project):
    folder, patch = small_project
    chapter = folder / "chapter.md"
    names = "sorted(name for name in globals() if not name.startswith('_'))"
    text = CHAPTER.replace('print("from the cell")', f'print("from the cell", {names})')
    chapter.write_text(text)
    patch.setattr(settings, "library_digest", lambda: "one")
    assert build.run_engine() == 1
    assert len((settings.CACHE / "cell-times.txt").read_text().splitlines()) == 1
    patch.setattr(settings, "library_digest", lambda: "two")
    assert build.run_engine() == 1
    times = (settings.CACHE / "cell-times.txt").read_text()
    patch.setattr(settings, "library_digest", lambda: "one")
    chapter.write_text(text.replace("Some words", "Other words"))
    assert build.run_engine() == 0
    assert (settings.CACHE / "cell-times.txt").read_text() == times
    page = (settings.SITE / "index.html").read_text()
    assert "Other words" in page
    # Names from the files that kernels run first would hide that a chapter lacks an import.
    names = re.search(r'class="stdout">from the cell \[(.*?)\]', page)[1]
    assert set(names.replace("'", "").split(", ")) <= {
        "In",
        "Out",
        "exit",
        "get_ipython",
        "open",
        "quit",
    }
    (settings.CACHE / "cell-times.txt").unlink()
    assert build.run_engine() == 1  # outputs without times are made again


def test_what_the_notebooks_could_not_hold_is_refused_before_anything_runs(small_project):
    folder, _ = small_project
    (folder / "chapter.md").write_text(CHAPTER.replace("```{code", "``` {code"))
    with pytest.raises(build.BuildError, match=r"^chapter.md, line 15: notebooks cannot hold"):
        build.run_engine()
    (folder / "chapter.md").write_text(CHAPTER.replace("name: python3", "name: julia"))
    with pytest.raises(build.BuildError, match=r"^chapter.md, line 2: the kernel 'julia' is not"):
        build.run_engine()


def test_an_engine_that_hangs_is_stopped(small_project):
    folder, patch = small_project
    patch.setattr(settings, "BUILD_TIMEOUT_SECONDS", 2)
    (folder / "chapter.md").write_text(
        CHAPTER.replace('print("from', 'import time; time.sleep(60); print("from')
    )
    with pytest.raises(build.BuildError, match="did not finish within 2 seconds"):
        build.run_engine()
    assert processes_in(folder) == []


def test_a_missing_chapter_fails_the_build(small_project):
    with pytest.raises(build.BuildError, match=r"chapter\.md"):
        build.run_engine()


def test_an_unresolved_reference_fails_the_build(small_project):
    folder, _ = small_project
    (folder / "chapter.md").write_text("# One\n\nSee [](#nowhere).\n")
    with pytest.raises(build.BuildError, match="nowhere"):
        build.run_engine()


def test_a_failed_build_leaves_no_site(small_project, capsys):
    folder, _ = small_project
    (folder / "chapter.md").write_text("# One\n\nA [link](./gone.md).\n")
    settings.SITE.mkdir(parents=True)
    (settings.SITE / "index.html").write_text("of yesterday")
    assert build.main() == 1
    assert not settings.SITE.exists()
    printed = capsys.readouterr()
    assert "gone.md" in printed.err
    assert printed.err.endswith("The book was not built.\n")
    assert "Built 1 page" not in printed.out


def test_the_last_line_says_what_was_built_and_where(small_project, capsys):
    """And studies older than their code are named; and nothing keeps running."""
    folder, patch = small_project
    patch.setattr(settings, "NOTEBOOKS", folder / "notebooks")
    (folder / "chapter.md").write_text("# One\n\nA [link](#one).\n\n(one)=\n## Two\n\nWords.\n")
    for name in ("tiny", "small"):
        results = origins.results_file(name, folder)
        results.parent.mkdir(parents=True, exist_ok=True)
        study = folder / "benchmarks" / f"study_{name}.py"
        study.parent.mkdir(exist_ok=True)
        study.write_text("x = 1\n")
        code = origins.digest_of_code([study], folder)
        origin = {"code": code, "commit": "abc", "date": "today"}
        results.write_text(json.dumps({"lives": {"origin": origin}}))
    (folder / "benchmarks" / "study_tiny.py").write_text("x = 2\n")
    before = threading.active_count()
    assert build.main() == 0, capsys.readouterr().err
    assert threading.active_count() == before
    assert processes_in(folder) == []
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith("Built 1 page with 0 figures, 0 executed anew, in ")
    assert printed[-1].endswith(": _build/html/index.html")
    assert [line for line in printed if "Older" in line] == [
        "Older than the code that makes it: the study tiny: lives (today, abc)"
    ]


def test_a_finding_of_the_check_fails_the_build(small_project, capsys):
    folder, _ = small_project
    (folder / "chapter.md").write_text("# One\n\n![](leaf.png)\n")
    shutil.copy(settings.THEME.parent.parent / "tests/book/specimen/leaf.png", folder)
    assert build.main() == 1
    assert "index.html: an image without a description (alt)" in capsys.readouterr().err
    assert not settings.SITE.exists()


@pytest.mark.usefixtures("small_project")
def test_two_builds_do_not_mix():
    settings.CACHE.mkdir(exist_ok=True)
    with (settings.CACHE / "build.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="under way"):
            build.main()


def processes_in(folder):
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process.cmdline())
    return found


# --- what the outputs depend on ------------------------------------------------------------------


DIGESTED = (
    "tree_world/one.py",
    "tree_world/data/two.bin",
    "tree_world/studies/results/speed.json",
    "requirements/book.lock",
    "book/data.csv",
    "book/helper.py",
    "book/more/table.json",
    "book/_data/table.json",
)


@pytest.fixture
def library(tmp_path):
    """A copy of what the digest is taken of, beside other files."""
    for name in (*DIGESTED, "README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", DIGESTED)
def test_a_change_of_the_library_or_the_lock_is_seen(library, name):
    before = settings.library_digest(library)
    path = library / name
    text = path.read_text()
    path.write_text(text + " ")
    assert settings.library_digest(library) != before
    path.write_text(text)
    assert settings.library_digest(library) == before


def test_a_new_or_renamed_file_is_seen(library):
    before = settings.library_digest(library)
    (library / "tree_world/one.py").rename(library / "tree_world/three.py")
    renamed = settings.library_digest(library)
    (library / "tree_world/four.py").write_text("")
    assert len({before, renamed, settings.library_digest(library)}) == 3


def test_nothing_else_is_seen(library):
    before = settings.library_digest(library)
    (library / "README.md").write_text("other")
    for name in (
        *("01.md", "references.bib", "preview.webp", ".01.md.swp", "01.md~", "notebooks/01.ipynb"),
        *("_theme/page.mjs", "__pycache__/helper.pyc", ".ipynb_checkpoints/01-checkpoint.md"),
    ):
        path = library / "book" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("other")
    (library / "tree_world/__pycache__").mkdir()
    (library / "tree_world/__pycache__/one.pyc").write_text("compiled")
    assert settings.library_digest(library) == before


def test_the_engine_leaves_no_processor_idle():
    """It takes one less than Node tells of, and so is told of one more."""
    own = ["node", "--print", "os.cpus().length"]
    told = [
        int(subprocess.run(own, env=environment, capture_output=True, text=True, check=True).stdout)
        for environment in (settings.kernel_environment(), settings.site_environment())
    ]
    assert told[1] == told[0] + 1
    # Should a newer engine do as its option says, there is nothing to mend any more.
    package = importlib.metadata.distribution("jupyter-book")
    (engine,) = [file for file in package.files if file.name == "jupyter-book.cjs"]
    lines = engine.locate().read_text().splitlines()
    (rule,) = [line for line in lines if "this.executionSemaphore =" in line]
    assert re.search(r"cpus\)\(\)\.length - 1", rule)


def test_cells_run_offline_and_under_a_limit():
    environment = settings.kernel_environment()
    assert environment["TREE_WORLD_CELL_TIMEOUT"] == str(settings.CELL_TIMEOUT_SECONDS)
    assert environment["TREE_WORLD_DIGEST"] == settings.library_digest()
    assert environment["HF_HUB_OFFLINE"] == "1"
