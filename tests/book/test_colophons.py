"""The colophon says when numbers were confirmed, and from what stored studies they come."""

import json
import re

import pytest

from benchmarks.origins import Stored
from tools import colophons, settings

CHAPTER = """\
# One

```{code-cell} python
from tree_world.studies import stored_results
lives = stored_results("lives")["long life"]
```

It is {eval}`lives["error"]`.
"""
PLACE = '<section class="colophon"><p>Before.</p><p class="confirmed">Old.</p></section>'


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A built site of one page: its source, and its HTML."""
    for name in ("ROOT", "SITE", "CONTENT", "CONFIRMED"):
        monkeypatch.setattr(settings, name, tmp_path / name.lower())
    monkeypatch.setattr(settings, "library_digest", lambda: "one")
    source = settings.ROOT / "book" / "05-one.md"
    source.parent.mkdir(parents=True)
    source.write_text(CHAPTER)
    page = settings.SITE / "one" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(PLACE)
    (settings.CONTENT / "content").mkdir(parents=True)
    tree = {"slug": "one", "location": "/book/05-one.md"}
    (settings.CONTENT / "content" / "one.json").write_text(json.dumps(tree))
    return source, page


def stamp(source, **changes):
    known = {"commit": "a" * 40, "clean": True, "date": "2026-11-05"}
    pages = {source.stem: settings.page_digest(source)}
    settings.CONFIRMED.write_text(json.dumps({**known, "pages": pages, **changes}))


def said(page):
    assert colophons.renew() == 1
    text = page.read_text()
    before, words, after = re.fullmatch(r'(.*<p class="confirmed">)(.*)(</p>.*)', text).groups()
    assert before + "Old." + after == PLACE
    return words.replace("\u00a0", " ")


def test_without_a_stamp_nothing_is_confirmed(site):
    assert "<em>not yet confirmed</em>" in said(site[1])
    settings.CONFIRMED.write_text("{")
    assert "<em>not yet confirmed</em>" in said(site[1])


def test_commit_and_day_are_those_of_the_stamp(site):
    source, page = site
    stamp(source)
    words = "Its numbers were last confirmed on 5 November 2026"
    assert said(page) == f"{words} at commit aaaaaaaaaa."
    stamp(source, clean=False)
    assert said(page) == f"{words} with changes to commit aaaaaaaaaa."
    stamp(source, commit="")
    assert said(page) == f"{words}."


@pytest.mark.parametrize("what", ["code", "expression", "library", "page"])
def test_what_has_changed_since_is_not_confirmed(site, monkeypatch, what):
    source, page = site
    stamp(source)
    if what == "code":
        source.write_text(CHAPTER.replace('["long life"]', '["short life"]'))
    elif what == "expression":
        source.write_text(CHAPTER.replace('lives["error"]', 'lives["size"]'))
    elif what == "library":
        monkeypatch.setattr(settings, "library_digest", lambda: "two")
    else:
        stamp(source, pages={"06-other": settings.page_digest(source)})
    assert "<em>not yet confirmed</em>" in said(page)


def test_prose_may_change(site):
    source, page = site
    stamp(source)
    source.write_text(CHAPTER.replace("It is", "It was"))
    assert "last confirmed" in said(page)


def test_a_page_that_need_not_change_is_left_alone(site):
    source, page = site
    stamp(source)
    said(page)
    before = page.stat().st_mtime_ns
    said(page)
    assert page.stat().st_mtime_ns == before


STUDIES = [
    Stored("lives", "long life", "c0ffee", "2026-11-24", True),
    Stored("lives", "short life", None, "2026-11-25", False),
    Stored("speed", "", "beef", "2026-11-25", True),
    Stored("other", "one", "beef", "2026-11-25", True),
]


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('x = stored_results("lives")["long life"]', ["lives: long life"]),
        ('x = studies.stored_results("lives")', ["lives: long life", "lives: short life"]),
        ('x = stored_results("speed")', ["speed"]),
        ('x = stored_results(n) for n in ("lives", "b")', []),  # not Python
        (
            'x = [stored_results(n) for n in ("lives", "one")]\ny = x["long life"]',
            ["lives: long life"],
        ),
        ('x = map(stored_results, ["lives"])\ny = x[0]["long life"]', ["lives: long life"]),
        ('x = "lives"; y = "long life"', []),
        ('from tree_world.studies import stored_results\nx = "long life", "lives"', []),
        ('# stored_results("lives")', []),
    ],
)
def test_what_a_page_draws_is_known(tmp_path, code, names):
    source = tmp_path / "one.md"
    source.write_text(f"# One\n\n```{{code-cell}} python\n{code}\n```\n")
    assert [study.study for study in colophons.drawn_by(source, STUDIES)] == names


def test_studies_are_named_with_commit_and_date(site):
    words = colophons.drawn(site[0], STUDIES[:1]).replace("\u00a0", " ")
    assert words == "Drawn from stored studies: lives: long life (2026-11-24, commit c0ffee)."
    words = colophons.drawn(site[0], [Stored("lives", "long life", None, "2026-11-25", False)])
    assert words.endswith("(2026-11-25, commit not known†). †\u00a0By code that has changed since.")


def test_chapters_that_draw_studies_say_so():
    from benchmarks.origins import stored

    studies = stored()
    for chapter in settings.chapters():
        reads = f"{colophons.READER}(" in chapter.read_text()
        assert bool(colophons.drawn_by(chapter, studies)) == reads, chapter.name
