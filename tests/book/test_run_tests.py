"""A green run of all tests says which pages it confirmed; another leaves nothing of the sort."""

import json
import sys

import pytest

from tools import run_tests, settings

PAGE = """\
# One

The value is {eval}`1 + 1`.

```{code-cell} python
x = 1
```
"""


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """Replace what is run by a command; return how to choose it."""
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "BOOK", tmp_path / "book")
    monkeypatch.setattr(settings, "CACHE", tmp_path)
    monkeypatch.setattr(settings, "CONFIRMED", tmp_path / "confirmed.json")
    monkeypatch.setattr(run_tests, "STAMP", tmp_path / "tested")
    monkeypatch.setattr(run_tests, "REPORT", tmp_path / "pytest.xml")
    monkeypatch.setattr(sys, "argv", ["run_tests", "--force"])
    monkeypatch.setattr(run_tests.colophons, "renew", lambda: 0)
    monkeypatch.setattr(run_tests.takeaway, "renew", lambda: 0)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "01-one.md").write_text(PAGE)

    def choose(code):
        monkeypatch.setattr(run_tests, "STEPS", {"tests": [sys.executable, "-c", code]})

    return choose


def test_a_green_run_confirms_what_each_page_computes(steps):
    steps("")
    assert settings.confirmation() == {}
    assert run_tests.main() == 0
    stamp = settings.confirmation()
    assert stamp == json.loads(settings.CONFIRMED.read_text())
    page = settings.BOOK / "01-one.md"
    assert stamp["pages"] == {"01-one": settings.page_digest(page)}
    assert set(stamp) == {"commit", "clean", "date", "pages"}


def test_a_red_run_confirms_nothing(steps):
    steps("")
    assert run_tests.main() == 0
    steps("raise SystemExit(1)")
    assert run_tests.main() == 1
    assert settings.confirmation() == {}


def test_what_runs_beside_another_step_is_told_and_counted(steps, monkeypatch, capfd):
    def step(said, code):
        return [sys.executable, "-c", f"print({said!r}); raise SystemExit({code})"]

    for codes in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)):
        names = ("types", "book", "tests")
        said = [f"of {name}" for name in names]
        monkeypatch.setattr(
            run_tests, "STEPS", dict(zip(names, map(step, said, codes), strict=True))
        )
        assert run_tests.main() == 1
        out, err = capfd.readouterr()
        assert all(line in out for line in said)
        failed = ", ".join(sorted(name for name, code in zip(names, codes, strict=True) if code))
        assert f"Failed: {failed} " in err


def test_what_was_edited_meanwhile_is_not_confirmed(steps, monkeypatch):
    steps("")
    states = iter("ab")
    monkeypatch.setattr(run_tests, "project_digest", lambda: next(states))
    assert run_tests.main() == 0
    assert settings.confirmation() == {}


def test_the_digest_of_a_page_is_that_of_what_it_computes(tmp_path, monkeypatch):
    path = tmp_path / "01-one.md"

    def digest(text, library="one"):
        path.write_text(text)
        monkeypatch.setattr(settings, "library_digest", lambda: library)
        return settings.page_digest(path)

    first = digest(PAGE)
    assert digest(PAGE.replace("The value", "Another value")) == first
    end = PAGE.partition("The value")[2].partition("\n")
    moved = "# One\n" + end[2] + "\nThe value" + end[0] + "\n"
    others = [
        digest(PAGE, "two"),
        digest(PAGE.replace("1 + 1", "1 + 2")),
        digest(PAGE.replace("x = 1", "x = 2")),
        digest(PAGE.replace("x = 1", ":tags: [skip-execution]\nx = 1")),
        digest(PAGE.replace("x = 1", "# repeats 1: x\nx = 1")),
        digest(moved),
    ]
    assert len({first, *others}) == 7


def test_an_unreadable_stamp_is_none(steps):
    for text in ("", "{", "[]"):
        settings.CONFIRMED.write_text(text)
        assert settings.confirmation() == {}
