"""Writes down how long each cell took. IPython runs this file when a kernel starts.

The engine keeps the outputs of a chapter, but no times. So the kernel adds a line for each cell to
the file that ``TREE_WORLD_CELL_TIMES`` names: a digest of all code up to and with the cell, and
seconds. The theme finds a cell again by that digest, however often its outputs come from the cache.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import hashlib
    import os
    import time
    from pathlib import Path

    from IPython.core.getipython import get_ipython
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult

    path = os.environ.get("TREE_WORLD_CELL_TIMES")
    shell = get_ipython()
    if not path or shell is None:
        return
    digest = hashlib.sha256()
    started = 0.0

    def start(info: ExecutionInfo) -> None:
        nonlocal started
        started = time.perf_counter()

    def stop(result: ExecutionResult) -> None:
        code = result.info.raw_cell if result.info else ""
        if not code:  # an expression in a sentence
            return
        seconds = time.perf_counter() - started
        digest.update(code.encode() + b"\0")
        with Path(path).open("a") as file:  # one short line, appended whole: kernels share the file
            file.write(f"{digest.hexdigest()} {seconds:.3f}\n")

    shell.events.register("pre_run_cell", start)
    shell.events.register("post_run_cell", stop)


_set_up()
del _set_up
