"""What was measured once comes with the library, and is read by its name."""

import json
import re

import pytest

from benchmarks import origins
from tree_world.studies import stored_results

FILES = sorted((origins.ROOT / origins.RESULTS).glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_are_found_where_the_benchmarks_put_them(path):
    assert origins.results_file(path.stem) == path
    assert origins.root_of(path) == origins.ROOT
    assert stored_results(path.stem) == json.loads(path.read_text())


def test_each_call_gives_results_of_its_own():
    name = FILES[0].stem
    stored_results(name).clear()
    assert stored_results(name)


def test_what_is_not_stored_is_told_with_what_is():
    names = ", ".join(path.stem for path in FILES)
    with pytest.raises(ValueError, match=re.escape(f"'../{FILES[0].stem}'. Name one of {names}")):
        stored_results(f"../{FILES[0].stem}")


def test_they_lie_in_the_library():
    """With all of which they come: `tests/test_wheel.py` looks whether a wheel holds every file."""
    library = origins.ROOT / "tree_world"
    assert len(FILES) > 5
    assert {path for path in library.rglob("*.json") if path.parent.name == "results"} == {*FILES}
