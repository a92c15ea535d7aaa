"""Interrupts, tried at each line in turn."""

import sys
from collections.abc import Callable, Iterator

# Loops repeat their lines: after a few hundred interrupts the rest are of the same kinds.
MOST = 400


class Interrupt(KeyboardInterrupt):
    """Not Ctrl-C by whoever runs the tests."""


def interrupted_at_each_line(
    prepare: Callable[[], object], act: Callable[[object], object], inside: str = "tree_world"
) -> Iterator[object]:
    """Do something again and again, interrupted at its first line, at its second, and so on.

    Parameters
    ----------
    prepare : callable
        Makes the thing anew.
    act : callable
        Does it.
    inside : str
        Lines count in files whose path holds this.

    Yields
    ------
    object
        What was prepared, after the interrupt. The last one was not interrupted.
    """
    for at in range(MOST):
        thing = prepare()
        count = 0

        def trace(frame, event, _, at=at):
            nonlocal count
            if f"/{inside}/" not in frame.f_code.co_filename:
                return None
            if event == "line":
                count += 1
                if count == at + 1:
                    sys.settrace(None)
                    raise Interrupt
            return trace

        before = sys.gettrace()
        try:
            sys.settrace(trace)
            act(thing)
        except Interrupt:
            sys.settrace(before)
            yield thing
            continue
        finally:
            sys.settrace(before)
        yield thing
        return
    raise AssertionError(f"more than {MOST} lines: interrupt something smaller")
