"""Turns Markdown that a cell computes into HTML. IPython runs this file when a kernel starts.

The theme reads no Markdown; the engine does, but not in outputs. So where ``TREE_WORLD_FOR_SITE``
is set, an object that shows itself as Markdown, and not as HTML, gets both. Formulas are marked,
and the theme draws them.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import os
    from typing import Any

    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    display = None if shell is None else shell.display_formatter
    if display is None or not os.environ.get("TREE_WORLD_FOR_SITE"):
        return
    plain = display.format

    def rich(*args: Any, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = plain(*args, **options)
        if "text/markdown" in data and "text/html" not in data:
            data["text/html"] = html(data["text/markdown"])
        return data, metadata

    def html(source: str) -> str:
        # Imported when it is needed, as most chapters need not wait for it.
        from markdown_it import MarkdownIt
        from mdit_py_plugins.dollarmath import dollarmath_plugin

        parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
        text = str(parser.use(dollarmath_plugin, double_inline=True).render(source)).strip()
        inside = text.removeprefix("<p>").removesuffix("</p>")
        return inside if f"<p>{inside}</p>" == text and "<p>" not in inside else text

    display.format = rich  # type: ignore[method-assign]


_set_up()
del _set_up
