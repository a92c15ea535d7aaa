"""Lives to be killed, all forked from one process: what they import takes seconds, once."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

_PARENT = """
import os, sys
exec(sys.argv[1])
for argument in sys.stdin:
    argument = argument.rstrip()
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        exec(sys.argv[2])
        os._exit(0)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""

TORCH = """
import torch
torch.set_num_threads(1)  # a fork has none of its parent's threads
"""
"""To be imported once by lives that need it."""


class Lives:
    """Begin a life, read what it prints, kill it, and begin another."""

    def __init__(self, process):
        self.process, self.child = process, 0

    def begin(self, argument=""):
        """Fork a process that does what a life does, with its argument."""
        self.process.stdin.write(f"{argument}\n")
        self.process.stdin.flush()
        self.child = int(self.line())

    def line(self):
        """The next line that it prints."""
        return self.process.stdout.readline()

    def end(self):
        """Wait until it has ended by itself."""
        assert self.line() == "ended\n", "it goes on"
        self.child = 0

    def kill(self):
        """Kill it, and return all lines that it had printed until then."""
        os.kill(self.child, signal.SIGKILL)
        self.child = 0
        lines = []
        while (line := self.line()) != "ended\n":
            assert line, "the parent has died"
            lines.append(line)
        return lines


@contextmanager
def lives(once, life):
    """Run code once, and other code, which knows its ``argument``, in each life.

    Parameters
    ----------
    once, life : str
        A life has none of the threads of what is imported once: see `TORCH`.

    Yields
    ------
    Lives
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT, once, life],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        own = Lives(process)
        try:
            yield own
        finally:
            if own.child:
                os.kill(own.child, signal.SIGKILL)
            process.kill()
