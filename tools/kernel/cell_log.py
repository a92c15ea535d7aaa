"""Writes down which cell runs and what failed. IPython runs this file when a kernel starts.

When a kernel dies, or IPython itself complains, the engine of the book does not say of which page
and cell. So the kernel adds a line to the file that ``TREE_WORLD_CELL_LOG`` names when a cell
or an expression in a sentence starts, and when it ends: a digest of all code up to and with the
cell, as in ``cell_times.py``, and the error, if there is one.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import hashlib
    import json
    import os
    import re
    import traceback
    from pathlib import Path
    from typing import Any

    from IPython.core.getipython import get_ipython
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult

    path = os.environ.get("TREE_WORLD_CELL_LOG")
    shell = get_ipython()
    if not path or shell is None:
        return
    digest = hashlib.sha256()

    def line_of(error: Any) -> int:
        """Line of the cell on which it failed, from 1 on; 0 if that is not known."""
        if isinstance(error, SyntaxError):
            return error.lineno or 0
        frames = traceback.extract_tb(error.__traceback__)
        own = [one.lineno for one in frames if re.search("ipykernel_|<ipython", one.filename)]
        return own[-1] or 0 if own else 0

    def told(kind: str, message: str) -> str:
        """Say an error on one line, without the colours that compilers and the like give it."""
        words = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", f"{kind}: {message}").split()
        return " ".join(words).rstrip(": ")

    def note(**what: Any) -> None:
        line = json.dumps({"kernel": os.getpid(), "cell": digest.hexdigest(), **what})
        with Path(path).open("a") as file:  # one short line, appended whole: kernels share the file
            file.write(line + "\n")

    def start(info: ExecutionInfo) -> None:
        if info.raw_cell and info.raw_cell.strip():
            digest.update(info.raw_cell.encode() + b"\0")
            note(event="start")

    def stop(result: ExecutionResult) -> None:
        if result.info and (result.info.raw_cell or "").strip():
            error = result.error_before_exec or result.error_in_exec
            if not isinstance(error, BaseException):
                note(event="end")
                return
            message = error.msg if isinstance(error, SyntaxError) else str(error)
            note(event="end", error=told(type(error).__name__, message), line=line_of(error))

    def watched(expressions: dict[str, str]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, code in expressions.items():
            note(event="start", expression=code)
            values |= compute({key: code})
            failed = values[key] if values[key]["status"] != "ok" else None
            error = {"error": told(failed["ename"], failed["evalue"])} if failed else {}
            note(event="end", expression=code, **error)
        return values

    compute = shell.user_expressions
    shell.user_expressions = watched  # type: ignore[method-assign]
    shell.events.register("pre_run_cell", start)
    shell.events.register("post_run_cell", stop)


_set_up()
del _set_up
