"""The site shows what the reference notebooks store."""

import json

import nbformat
import pytest

from tools import build, notebooks, settings
from tools.checks import agreement

CHAPTER = """\
---
title: One
kernelspec:
  name: python3
  display_name: Python 3
execute:
  depends_on_env:
    - TREE_WORLD_DIGEST
---

```{code-cell} python
from pathlib import Path
value = float(Path("data.csv").read_text())
print("read", value)
print("long " * 6000)
```

The value is {eval}`f"{value:.2f}"`, or 2.50.

% repeats 2.50: value

```{code-cell} python
:tags: [raises-exception]
raise ValueError("on purpose")
```

```{code-cell} python
#| alt: Nothing.
import matplotlib.pyplot as plt
plt.figure();
plt.plot([value]);
```

```{code-cell} python
:tags: [skip-execution]
1 / 0
```
"""


def tree():
    (page,) = (settings.CONTENT / "content").glob("*.json")
    return json.loads(page.read_text())


def test_files_beside_a_chapter_reach_site_and_notebook(small_project):
    """Data that changed are read again by both; if only one did, the other disagrees."""
    folder, patch = small_project
    patch.setattr(settings, "BOOK", folder / "book")
    (folder / "book").mkdir()
    (folder / "myst.yml").write_text(
        (folder / "myst.yml").read_text().replace("chapter.md", "book/01-one.md")
    )
    source, data = folder / "book" / "01-one.md", folder / "book" / "data.csv"
    source.write_text(CHAPTER)
    path = folder / "book" / "notebooks" / "01-one.ipynb"
    (folder / "requirements").mkdir()
    (folder / "requirements" / "book.lock").write_text("")
    digest = settings.library_digest
    patch.setattr(settings, "library_digest", lambda: digest(folder))
    patch.setattr(settings, "chapters", lambda: [source])

    data.write_text("2.5")
    assert notebooks.update(source, path, settings.library_digest()) == "executed"
    assert build.run_engine() == 1
    assert agreement.disagreements(tree(), nbformat.read(path, as_version=4)) == []
    # Nothing that either of them left there counts as a change.
    assert notebooks.update(source, path, settings.library_digest()) == "unchanged"

    data.write_text("2.6")
    assert build.run_engine() == 1
    stale = nbformat.read(path, as_version=4)
    found = {finding.place: finding.fault for finding in agreement.disagreements(tree(), stale)}
    assert set(found) == {'f"{value:.2f}"', "code cell 0"}
    assert found['f"{value:.2f}"'].startswith("'2.50' became '2.60'")
    source.write_text(CHAPTER.replace("2.50", "2.60"))
    assert notebooks.update(source, path, settings.library_digest()) == "executed"
    assert agreement.disagreements(tree(), nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("source", settings.chapters(), ids=lambda path: path.stem)
def test_the_site_shows_what_the_notebooks_store(source, built_site):
    trees = [json.loads(path.read_text()) for path in (settings.CONTENT / "content").glob("*.json")]
    place = "/" + source.relative_to(settings.ROOT).as_posix()
    (page,) = (tree for tree in trees if tree["location"] == place)
    path = settings.NOTEBOOKS / f"{source.stem}.ipynb"
    assert agreement.disagreements(page, nbformat.read(path, as_version=4)) == []
