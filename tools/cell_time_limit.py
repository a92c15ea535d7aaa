"""Stops a cell that runs too long. IPython runs this file when a kernel starts.

The engine of the book waits for a cell for ever. So the kernel itself sets an alarm before each cell,
and the error that a late cell gets names the cell like any other error.
"""

import os
import signal


def _set_up():
    seconds = float(os.environ.get("TREE_WORLD_CELL_TIMEOUT", "0"))
    if seconds <= 0 or not hasattr(signal, "setitimer"):
        return

    def stop(signum, frame):
        raise TimeoutError(
            f"This cell ran for more than {seconds:g} seconds. Make it quicker, or raise "
            "cell-timeout-seconds in pyproject.toml."
        )

    signal.signal(signal.SIGALRM, stop)
    events = get_ipython().events  # noqa: F821
    events.register("pre_execute", lambda: signal.setitimer(signal.ITIMER_REAL, seconds))
    events.register("post_execute", lambda: signal.setitimer(signal.ITIMER_REAL, 0))


_set_up()
del _set_up
