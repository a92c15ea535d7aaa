"""Shows each figure for light and for dark, wide and narrow. IPython runs this as a kernel starts.

Where ``TREE_WORLD_DARK_FIGURES`` is set, the outputs of a cell hold a figure as PNG, on light
paper, and as WebP, on dark paper; and both once more laid out for a narrow column. The theme shows
the one that fits.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import os
    from contextlib import ExitStack
    from typing import Any

    from IPython.core.formatters import BaseFormatter
    from IPython.core.getipython import get_ipython
    from traitlets import ObjectName, Unicode

    def formatter(kind: str, *, narrow: bool, dark: bool) -> type[BaseFormatter]:
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
                return draw(obj, narrow=narrow, dark=dark) if is_figure else None

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

    shell = get_ipython()
    display = None if shell is None else shell.display_formatter
    if display is not None and os.environ.get("TREE_WORLD_DARK_FIGURES"):
        # The engine takes the ending of a file from what stands before the plus sign.
        for kind, narrow, dark in (
            ("image/webp", False, True),
            ("image/webp+narrow", True, False),
            ("image/webp+narrow-dark", True, True),
        ):
            shown = formatter(kind, narrow=narrow, dark=dark)
            display.formatters[kind] = shown(parent=display)


_set_up()
del _set_up
