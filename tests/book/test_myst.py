"""The tools read a chapter as the engine does."""

import json
import shutil
import subprocess
from pathlib import Path

from tools import myst, settings
from tools.checks import check_site

SPECIMEN = Path(__file__).with_name("specimen")

HEAD = """\
---
title: Values
kernelspec:
  name: python3
  display_name: Python 3
---
"""

# Everything in which a value may stand, or only seems to.
PAGE = (
    HEAD
    + r"""
# A heading with {eval}`1`

Plain {eval}`2`, ``{eval}`not` in code``, {eval}``'`3`'``, and with braces
{eval}`{"a": 4}["a"]`, over two lines {eval}`[5,
5][0]`, escaped \{eval}`not`, in *emphasis {eval}`6`*, in a [link {eval}`7`](https://example.org/),
in {sub}``{eval}`8` ``, {kbd}``{eval}`not` ``, $\text{eval} = `not`$, and
`code` {eval}`9`{eval}`10`.

% a comment with {eval}`not`

<!-- and {eval}`not` in it -->

    {eval}`not`, as this is code

> Quoted {eval}`11`.

- In a list {eval}`12`
  - and deeper {eval}`13`

    ```python
    {eval}`not`
    ```

1. {eval}`14`

A term {eval}`15`
: And what it is, {eval}`16`.

| a {eval}`17` | b |
| --- | --- |
| {eval}`18` | {eval}`19` |

```{code-cell} python
:tags: [hide-input]
x = "{eval}`not`"
```

:::{table} A caption with {eval}`20`
:label: tab-one

| a |
| - |
| {eval}`21` |
:::

::::{exercise} A title {eval}`22`
:label: ex-one
Words {eval}`23`.

:::{note} In it {eval}`24`
And in it {eval}`25`.
:::
::::

:::{solution} ex-one
:class: dropdown
See {eval}`26`.
:::

:::{aside}
Aside {eval}`27`.
:::

```{math}
:label: eq-one
a = {eval}`not`
```

$$
b = {eval}`not`
$$

```{code-block} python
{eval}`not`
```

~~~{code-cell} python
y = 1
~~~

::::{tab-set}
:::{tab-item} Name
{eval}`28`
:::
::::

:::{list-table} A caption {eval}`29`
:header-rows: 1

* - one {eval}`30`
  - two
* - three
  - four {eval}`31`
:::

:::{epigraph}
Said {eval}`32`.
:::

```{figure} leaf.png
:alt: A leaf with {eval}`not`

A caption {eval}`33`
```

:::{card} A card {eval}`34`
:footer: A foot {eval}`36`
{eval}`35`
:::

:::{dropdown} More {eval}`37`
{eval}`38`
:::

:::{prf:theorem} Named {eval}`39`
:label: thm-one
{eval}`40`
:::

{eval .some-class}`41`, { eval }`42`, {eval}`43 `, {eval}`` 44 ``.

+++

Last {eval}`45`.
"""
)


def engine_reads(folder, text):
    """Cells and values of a page, in the order in which the engine computes them."""
    (folder / "chapter.md").write_text(text)
    shutil.copy(SPECIMEN / "leaf.png", folder)
    done = subprocess.run(
        ["jupyter", "book", "build", "--site"],
        cwd=folder,
        env=settings.site_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    pages = list((settings.CONTENT / "content").glob("*.json"))
    assert len(pages) == 1, done.stdout + done.stderr
    return in_order(json.loads(pages[0].read_text())["mdast"])


def in_order(tree):
    found = []
    for node in check_site.walk(tree):
        if node["type"] == "inlineExpression":
            found.append(("value", node["value"]))
        elif node["type"] == "block" and node.get("kind") == "notebook-code":
            code = next(part["value"] for part in node["children"] if part["type"] == "code")
            found.append(("cell", code))
    return found


def tools_read(text):
    return [
        ("cell", item.code) if isinstance(item, myst.Cell) else ("value", item.code)
        for item in myst.read(text).root.items()
        if not isinstance(item, myst.Piece)
    ]


def test_the_tools_find_the_values_that_the_engine_finds(small_project):
    folder, _ = small_project
    ours = tools_read(PAGE)
    assert ours == engine_reads(folder, PAGE)
    values = [str(eval(code.strip())) for kind, code in ours if kind == "value"]
    assert values == [str(number) if number != 3 else "`3`" for number in range(1, 46)]
