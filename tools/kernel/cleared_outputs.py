"""Marks where outputs were cleared. IPython runs this file when a kernel starts.

The engine of the book passes over ``clear_output``. So where ``TREE_WORLD_FOR_SITE`` is set, it is
an output, too, and the theme takes away what came before it, as Jupyter does.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import os

    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or not os.environ.get("TREE_WORLD_FOR_SITE"):
        return
    publisher = shell.display_pub
    clear = publisher.clear_output

    def cleared(wait: bool = False) -> None:
        clear(wait=wait)
        publisher.publish({"application/vnd.tree-world.cleared": "wait" if wait else "now"})

    publisher.clear_output = cleared  # type: ignore[method-assign]


_set_up()
del _set_up
