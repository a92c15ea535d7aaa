"""Shows each figure for light and for dark, wide and narrow. IPython runs this as a kernel starts.

Where ``TREE_WORLD_DARK_FIGURES`` is set, the outputs of a cell hold a figure as PNG, on light
paper, and as WebP, on dark paper; and both once more laid out for a narrow column. The theme shows
the one that fits. To be taken along, they hold it as SVG, on white, and what it shows as numbers.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import os
    from collections.abc import Callable
    from contextlib import ExitStack
    from functools import partial
    from typing import Any

    from IPython.core.formatters import BaseFormatter
    from IPython.core.getipython import get_ipython
    from traitlets import ObjectName, Unicode

    def formatter(kind: str, made: Callable[[Any], str | None]) -> type[BaseFormatter]:
        class FigureFormatter(BaseFormatter):
            format_type = Unicode(kind)
            print_method = ObjectName("_repr_webp_")

            # Printers of figures, registered as such, are removed when Matplotlib's backend starts.
            # So figures are told by their class; and an error here is one of the cell.
            def __call__(self, obj: Any) -> str | None:
                made_by = type(obj)
                is_figure = (made_by.__module__, made_by.__name__) == (
                    "matplotlib.figure",
                    "Figure",
                )
                return made(obj) if is_figure else None

        return FigureFormatter

    def draw(figure: Any, *, narrow: bool, dark: bool) -> str | None:
        # Imported when there is a figure, as chapters without one need not wait for it.
        import base64
        import io

        from IPython.core.pylabtools import print_figure
        from PIL import Image

        from tree_world.plotting.dark import drawn_for_dark
        from tree_world.plotting.narrow import drawn_narrow, small_letters
        from tree_world.plotting.style import LEAST_SIZE, WIDE

        if narrow and getattr(figure, WIDE, False):
            return None

        if small := small_letters(figure):
            raise ValueError(
                f"{small[0]!r} is set in letters of less than {LEAST_SIZE} points, too small for a "
                "phone. Leave fontsize to the style of the book."
            )
        ways: list[Any] = [drawn_narrow] * narrow + [drawn_for_dark] * dark
        with ExitStack() as stack:
            for way in ways:
                stack.enter_context(way(figure))
            png = print_figure(figure, "png")
        if png is None:  # a figure without axes
            return None
        webp = io.BytesIO()
        Image.open(io.BytesIO(png)).save(webp, "webp", lossless=True, quality=80, method=4)
        return base64.b64encode(webp.getvalue()).decode()

    def vectors(figure: Any) -> str | None:
        from tree_world.plotting.vectors import as_svg

        return as_svg(figure) if figure.axes or figure.lines else None

    def numbers(figure: Any) -> str | None:
        from tree_world.plotting.numbers import as_csv, figure_numbers

        return as_csv(figure_numbers(figure)) or None

    shell = get_ipython()
    display = None if shell is None else shell.display_formatter
    if display is not None and os.environ.get("TREE_WORLD_DARK_FIGURES"):
        # The engine takes the ending of a file from what stands before the plus sign.
        # Those for a narrow column come last, since they lay a figure out anew.
        for kind, made in (
            ("image/webp", partial(draw, narrow=False, dark=True)),
            ("image/svg+xml+paper", vectors),
            ("text/csv+numbers", numbers),
            ("image/webp+narrow", partial(draw, narrow=True, dark=False)),
            ("image/webp+narrow-dark", partial(draw, narrow=True, dark=True)),
        ):
            shown = formatter(kind, made)
            display.formatters[kind] = shown(parent=display)


_set_up()
del _set_up
