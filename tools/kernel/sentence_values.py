"""Writes numbers in sentences as numbers. IPython runs this file when a kernel starts.

NumPy prints a scalar as ``np.float64(0.1)``. In a sentence it is a number like any other: 0.1.
"""


def _set_up() -> None:
    # Imported in here, so that chapters find no names that they did not import themselves.
    import re
    from typing import Any

    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        return
    compute = shell.user_expressions
    scalar = re.compile(r"\bnp\.\w+\(((?:[^()'\"]|\([^()'\"]*\)|'[^']*')*)\)")

    def as_numbers(expressions: dict[str, str]) -> dict[str, Any]:
        values: dict[str, Any] = compute(expressions)
        for value in values.values():
            data = value.get("data", {})
            text = data.get("text/plain", "")
            if not text.startswith(("'", '"')):  # a text says what it says
                data["text/plain"] = scalar.sub(r"\1", text)
        return values

    shell.user_expressions = as_numbers  # type: ignore[method-assign]


_set_up()
del _set_up
