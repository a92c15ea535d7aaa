"""Numbers are not typed where a reader takes them for computed ones; those that are, are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import computed, settings
from tools.checks import prose

TEXT = """\
---
title: Of 1 thing
site: {seed: "2 for the world"}
---

(sec-3)=
# Heading 101

Words 102 and `4`, $5$, {math}`6`, [link 103](./07-x.md#sec-8), {cite:p}`author2009`,
[](#fig-10), @other2010, <https://example.org/11>, {eval}`12`, {eval}`x`13 m, {sub}`104`,
{term}`14`, *105*, **10⁵**, "106 %",
![alt 107](picture-15.png), {ref}`sec-16`, {kbd}`Ctrl+17`.

% a comment with 18
% so is 19

<!-- and 20 -->

1. first 108
2. second

| 109 | b |
| --- | --: |
| 110 | {eval}`21` |

```python
x = 22
```

    code = 23

$$
a = 24
$$ (eq-25)

:::{table} Caption 111
:label: tab-26
:width: 27%

| a |
| - |
| 1,112.5 |
:::

::::{note}
:class: c-28
Words 113.

:::{exercise} Title 114
:label: ex-29
Do 115.
:::
::::

:::{figure} leaf-30.png
:width: 31px
:alt: A leaf of 116.
:name: fig-32

Its caption 117.
:::

```{code-cell} python
---
label: fig-33
caption: "Of 118 places"
---
#| alt: A line through 119.
# 34
print(35)
```

```{math}
:label: eq-36
b = 37
```

A note.[^38]

[^38]: Of 120.
"""


def test_every_number_that_was_typed_is_found_and_no_other():
    found = [typed.number for typed in prose.typed_numbers(TEXT)]
    expected = [str(number) for number in (101, 102, 103, 13, 104, 105, 10, *range(106, 112))]
    expected += ["1,112.5", *map(str, range(113, 121))]
    assert sorted(found) == sorted(expected)


def test_a_typed_number_is_told_with_line_and_sentence():
    text = "# One\n\nNothing here.\nThe first has `1`. It is 5 m\nwide. The last has none.\n"
    (typed,) = prose.typed_numbers(text)
    assert (typed.line, typed.number, typed.sentence) == (4, "5", "It is 5 m wide.")
    for typed in prose.typed_numbers(TEXT):
        assert typed.number in TEXT.split("\n")[typed.line - 1]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Of 25 m and 25 s.\n\n% repeats 25 m: x\n", ["25"]),
        ("Of 25 m and 25 s.\n\n% repeats 25: x\n", []),
        ("Of 25\nm.\n% repeats 25 m: x\n", []),
        ("Of 25, 250, 2.25, 25,000.\n\n% repeats 25: x\n", ["250", "2.25", "25,000"]),
        ("Of 25.\n\nOf 25 again.\n\n% repeats 25: x\n", ["25"]),
        ("Of 7 and 8 %.\n% repeats 7: x\n% repeats 8 %: y\n", []),
        ("| a |\n| - |\n| 7 |\n\n% repeats 7: x\n", []),
        ("- 7\n  - 8\n\n% repeats 7: x\n% repeats 8: x\n", []),
        (":::{table} Of 7\n% repeats 7: x\n\n| a |\n| - |\n| 8 |\n% repeats 8: x\n:::\n", []),
        (":::{table} Of 7\n\n| a |\n| - |\n| 8 |\n:::\n\n% repeats 7: x\n% repeats 8: x\n", []),
        (":::{note}\nOf 7.\n\n% repeats 7: x\n\nOf 7.\n:::\n", ["7"]),
        ("```{code-cell}\n:caption: Of 7 and 8\n# repeats 7: x\nx = 9\n```\n", ["8"]),
        ("```{code-cell}\n#| alt: Of 7\n    # repeats 7: x\n```\n\nOf 7.\n", ["7"]),
    ],
)
def test_a_named_number_is_excused_where_it_is_named(text, left):
    assert [typed.number for typed in prose.typed_numbers(text)] == left
    assert prose.unused_repeats(text) == []


def test_names_of_what_is_not_typed_are_found():
    text = "Of 25.\n\n% repeats 26: x\n\nOf 27.\n\n% repeats 25: x\n"
    assert [(one.line, one.typed) for one in prose.unused_repeats(text)] == [(3, "26"), (7, "25")]


# --- compared as they were typed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "value", "same"),
    [
        ("25", "25.0", True),
        ("25", "24.6", True),
        ("25", "25.6", False),
        ("25 m", "25.0", True),
        ("1,024 places", "1024.0", True),
        ("1024", "1024.0", True),
        ("1,024", "1025.0", False),
        ("95 %", "0.95", True),
        ("95%", "0.951", True),
        ("95 %", "0.96", False),
        ("0.706", "0.7062", True),
        ("0.706", "0.7072", False),
        ("−5", "-5.0", True),
        ("-0.04", "-0.041", True),
        ("5", "-5.0", False),
        ("−5", "5.0", False),
        ("+3", "3.0", True),
        ("twenty-five", "'twenty-five'", True),
        ("twenty-five", "'twenty-six'", False),
        ("25", "'25'", True),
        ("25", "nan", False),
        ("25", "inf", False),
        ("no number", "5.0", False),
        ("5 of 6", "5.0", False),
    ],
)
def test_a_value_is_compared_as_it_was_typed(typed, value, same):
    assert (computed.mismatch(typed, "x", value) is None) == same


@given(st.integers(0, 10**9), st.integers(0, 4), st.booleans(), st.sampled_from(["", "-", "−"]))
def test_what_was_formatted_so_is_what_was_typed(number, decimals, grouped, sign):
    value = number / 10**decimals
    typed = f"about {sign}{value:{',' if grouped else ''}.{decimals}f} m"
    signed = -value if sign else value
    if value == 0 and sign:
        return
    assert computed.mismatch(typed, "x", repr(signed)) is None
    assert computed.mismatch(typed, "x", repr(signed + 2 * 10**-decimals)) is not None


# --- the book ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", settings.chapters(), ids=lambda chapter: chapter.stem)
def test_numbers_in_the_prose_of_the_book_are_computed_or_named(chapter):
    text = chapter.read_text()
    typed = prose.typed_numbers(text)
    told = "\n".join(f"{chapter.name}:{one.line}: {one.number}: {one.sentence}" for one in typed)
    assert len(typed) <= prose.MOST_UNNAMED, told
    assert prose.unused_repeats(text) == []
