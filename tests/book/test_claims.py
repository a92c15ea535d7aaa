"""What the chapters claim can be listed, and what is false is noticed."""

import os
import re

import pytest

from tools import myst, settings
from tools.checks import claims
from tools.myst import ChapterError
from tree_world.evaluation import ClaimError

CHAPTER = """\
---
kernelspec:
  name: python3
  display_name: Python 3
---

```{code-cell} python
:tags: [hide-input]

from tree_world import evaluation
from tree_world.evaluation import claim
x = 3
claim("größer als zwei, "
      "but less than five", (x > 2
   and x < 5), margin=1)
```

```{code-cell} python
%matplotlib inline
for y in (1, 2):
    evaluation.claim(text="ä: three", holds=x == 3); claim("below five", x + y < 9, 1.5)
```
"""


@pytest.fixture
def chapter(tmp_path):
    path = tmp_path / "01-one.md"
    path.write_text(CHAPTER)
    return path


def test_claims_are_listed_with_their_lines(chapter):
    assert list(map(str, claims.claims_of(chapter))) == [
        "01-one.md:13: größer als zwei, but less than five",
        "01-one.md:21: ä: three",
        "01-one.md:21: below five",
    ]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"below five"', 'f"below {y}"', r"01-one\.md:21: the text of a claim must be a literal"),
        ('text="ä: three"', "text=x", r"01-one\.md:21: the text .*, but it is x"),
        (", holds=x == 3", "", r"01-one\.md:21: the claim says not what must hold"),
        ("for y in", "for y", r"01-one\.md:20: "),
    ],
)
def test_a_claim_that_cannot_be_listed_is_an_error(chapter, before, after, message):
    chapter.write_text(CHAPTER.replace(before, after))
    with pytest.raises(ChapterError, match=message):
        claims.claims_of(chapter)


def run(code, names):
    """Run a cell in this process, which loads no library anew as a kernel must."""
    exec(code.replace("%matplotlib inline", "pass"), names)


def test_each_claim_that_is_negated_turns_red(chapter):
    cells = [cell.code for cell in myst.read(CHAPTER).cells]
    found = claims.claims_of(chapter)
    assert len(found) == 3
    for claim in found:
        names = {}
        for code in cells[: claim.cell]:
            run(code, names)
        with pytest.raises(ClaimError, match=re.escape(claim.text)):
            run(claims.negated(claim, cells[claim.cell]), names)


def test_in_a_kernel_one_is_noticed_unless_nothing_checks_it(chapter, monkeypatch):
    for name, value in settings.kernel_environment().items():
        monkeypatch.setitem(os.environ, name, value)
    assert claims.is_noticed(claims.claims_of(chapter)[1])
    # A call of that name that checks nothing is seen through.
    deaf = CHAPTER.replace("x = 3\n", "x = 3\nclaim = lambda *words, **more: None\n", 1)
    chapter.write_text(deaf)
    assert not claims.is_noticed(claims.claims_of(chapter)[0])


@pytest.mark.parametrize("chapter", settings.chapters(), ids=lambda chapter: chapter.stem)
def test_each_chapter_of_the_book_claims_something_and_nothing_twice(chapter):
    texts = [claim.text for claim in claims.claims_of(chapter)]
    assert texts
    assert sorted(set(texts)) == sorted(texts)
