"""Serve the book and reload it while chapters are edited.

Usage: ``python -m tools.live``
"""

from __future__ import annotations

import signal
import subprocess
import sys

from tools import build, settings


def main() -> int:
    """Run the engine's server until it is interrupted, then end all that it started."""
    build.theme_assets()
    environment = settings.site_environment()
    print("Serving the book; Ctrl-C stops it.", flush=True)
    engine = subprocess.Popen(
        ["jupyter", "book", "start", "--execute", *sys.argv[1:]],
        cwd=settings.ROOT,
        env=environment,
        start_new_session=True,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as tidily as on Ctrl-C
    try:
        return engine.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        build.end_group(engine.pid)


if __name__ == "__main__":
    sys.exit(main())
