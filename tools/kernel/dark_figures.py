"""Shows each figure twice, for light and for dark. IPython runs this file when a kernel starts.

Where ``TREE_WORLD_DARK_FIGURES`` is set, the outputs of a cell hold a figure as PNG, on light
paper, and as WebP, on dark paper. The theme shows the one or the other.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import os
    from typing import Any

    from IPython.core.formatters import BaseFormatter
    from IPython.core.getipython import get_ipython
    from traitlets import ObjectName, Unicode

    class DarkFigureFormatter(BaseFormatter):
        format_type = Unicode("image/webp")
        print_method = ObjectName("_repr_webp_")

        # Printers of figures, registered as such, are removed when Matplotlib's backend starts. So
        # figures are told by their class; and an error here is one of the cell.
        def __call__(self, obj: Any) -> str | None:
            kind = type(obj)
            is_figure = (kind.__module__, kind.__name__) == ("matplotlib.figure", "Figure")
            return draw(obj) if is_figure else None

    def draw(figure: Any) -> str | None:
        # Imported when there is a figure, as chapters without one need not wait for it.
        import base64
        import io

        from IPython.core.pylabtools import print_figure
        from PIL import Image

        from tree_world.plotting.dark import drawn_for_dark

        with drawn_for_dark(figure):
            png = print_figure(figure, "png")
        if png is None:  # a figure without axes
            return None
        webp = io.BytesIO()
        Image.open(io.BytesIO(png)).save(webp, "webp", lossless=True, quality=80, method=4)
        return base64.b64encode(webp.getvalue()).decode()

    shell = get_ipython()
    display = None if shell is None else shell.display_formatter
    if display is not None and os.environ.get("TREE_WORLD_DARK_FIGURES"):
        display.formatters["image/webp"] = DarkFigureFormatter(parent=display)


_set_up()
del _set_up
