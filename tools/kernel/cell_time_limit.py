"""Stops a cell that runs too long. IPython runs this file when a kernel starts.

The engine of the book waits for a cell for ever. So the kernel itself sets an alarm before each
cell, and the error that a late cell gets names the cell like any other error.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import os
    import signal
    from types import FrameType

    from IPython.core.getipython import get_ipython

    seconds = float(os.environ.get("TREE_WORLD_CELL_TIMEOUT", "0"))
    shell = get_ipython()
    if seconds <= 0 or shell is None or not hasattr(signal, "setitimer"):
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(
            f"This cell ran for more than {seconds:g} seconds. Make it quicker, or raise "
            "cell-timeout-seconds in pyproject.toml."
        )

    signal.signal(signal.SIGALRM, stop)
    shell.events.register("pre_execute", lambda: signal.setitimer(signal.ITIMER_REAL, seconds))
    shell.events.register("post_execute", lambda: signal.setitimer(signal.ITIMER_REAL, 0))


_set_up()
del _set_up
