"""Serve the book and reload it while chapters are edited.

Usage: ``python -m tools.live [options of the engine's start]``

Where the engine gives up, as it does when it cannot read ``myst.yml``, a page says why, until a
file is mended; then the engine starts again, at the same address.
"""

from __future__ import annotations

import html
import http.server
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import yaml

from tools import build, reference, settings
from tools.engine import plain

FIRST_PORT = 3000  # the engine's own choice
LAST_LINES = 40  # of what the engine printed, shown when it has given up
PATIENCE = 20.0  # seconds that the engine's theme may be unreachable

_ADDRESS = re.compile(r"http://localhost:(\d+)")
_PROGRESS = re.compile(r"^(📖|📚|💥|🔌|🌍|🌎|🌏|🔄|💌|🚀|🎉)")
_SKIPPED = {"_build", "node_modules", "__pycache__", "public"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<title>The book cannot be shown</title><meta name="color-scheme" content="light dark"><style>
body {{ max-width: 50rem; margin: 4rem auto; padding: 0 1.5rem; font: 1.1rem/1.6 Georgia, serif; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 monospace; }}
</style></head><body><main data-error><h1>The book cannot be shown</h1>
<p>The engine has stopped, and says:</p><pre>{said}</pre>
<p>The book comes back by itself when a file is mended and saved.</p></main>
<script>
// Nothing answers while the engine starts; a page that is loaded then would be the browser's.
let said;
setInterval(async () => {{
  const answer = await fetch(location.href, {{ cache: "no-store" }}).catch(() => null);
  const text = answer && await answer.text();
  if (text && (answer.status !== 503 || text !== (said ??= text))) location.reload();
}}, 1000);
</script></body></html>
"""


def main() -> int:
    """Keep the engine's server running until it is interrupted, and end all that it started."""
    with suppress(OSError, ValueError, yaml.YAMLError):  # what is wrong, the engine tells
        reference.make(settings.ROOT)
    build.theme_assets()
    print("Serving the book; Ctrl-C stops it.", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as tidily as on Ctrl-C
    port: int | None = None
    try:
        while True:
            said, port, changed = _serve(port)
            if changed:
                print("myst.yml has changed: starting anew.", flush=True)
                continue
            before = _state()
            port = port or FIRST_PORT
            print(
                "The engine has stopped; it starts again when a file is changed. "
                f"What is wrong is told at http://localhost:{port}, too.",
                flush=True,
            )
            with _page_that_says(said, port):
                while _state() == before:
                    time.sleep(0.3)
    except KeyboardInterrupt:
        return 0


def _serve(port: int | None) -> tuple[str, int | None, bool]:
    """Run the engine until it ends, or the book's contents change.

    Returns
    -------
    said : str
        Its last lines.
    port : int or None
        At which the book is, if it came so far.
    changed : bool
        Whether it was ended because ``myst.yml`` changed. Of that file the engine takes in some
        changes, goes on with the old book after others, and sees none any more after a third kind.
    """
    try:
        environment = settings.site_environment()
    except ValueError as error:
        print(error, file=sys.stderr)
        return str(error), port, False
    chosen = [] if port is None else ["--port", str(port)]
    engine = subprocess.Popen(
        ["jupyter", "book", "start", "--execute", *chosen, *sys.argv[1:]],
        cwd=settings.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert engine.stdout is not None
    lines: deque[str] = deque(maxlen=LAST_LINES)
    ended, changed = threading.Event(), threading.Event()
    watch = threading.Thread(target=_end_when_changed, args=(engine.pid, ended, changed))
    watch.start()
    dead: threading.Thread | None = None
    try:
        for line in engine.stdout:
            print(line, end="", flush=True)
            said = plain(line)
            if said and not _PROGRESS.match(said):
                lines.append(said)
            found = _ADDRESS.search(line)
            if found and port is None:
                port = int(found[1])
            if found and dead is None:
                address = f"http://localhost:{port}/assets/favicon.svg"
                dead = threading.Thread(target=_end_when_dead, args=(address, engine.pid, ended))
                dead.start()
        engine.wait()
    finally:
        ended.set()
        build.end_group(engine.pid)
    return "\n".join(lines).strip() or "nothing", port, changed.is_set()


def _contents() -> bytes:
    try:
        return (settings.ROOT / "myst.yml").read_bytes()
    except OSError:
        return b""


def _end_when_changed(engine: int, ended: threading.Event, changed: threading.Event) -> None:
    """End an engine when the contents of the book are others."""
    before = _contents()
    while not ended.wait(0.5):
        if _contents() != before:
            # The engine tells open pages to load again: they must have done so before it is gone,
            # for of a page that nobody answers for, the browser would go on showing its own.
            if ended.wait(3):
                return
            changed.set()
            build.end_group(engine)
            return


def _end_when_dead(address: str, engine: int, ended: threading.Event) -> None:
    """End an engine that lives on without its theme, so that it can be started again."""
    reached = time.monotonic()
    while not ended.wait(2):
        try:
            urllib.request.urlopen(address, timeout=PATIENCE).close()
            reached = time.monotonic()
        except urllib.error.HTTPError:  # it answers
            reached = time.monotonic()
        except OSError:
            if time.monotonic() - reached > PATIENCE:
                build.end_group(engine)
                return


@contextmanager
def _page_that_says(said: str, port: int) -> Iterator[None]:
    """Answer every request with what the engine said."""
    body = _PAGE.format(said=html.escape(said)).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    try:
        server = http.server.ThreadingHTTPServer(("localhost", port), Handler)
    except OSError:  # somebody else has the port; then the terminal alone says it
        yield
        return
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _state() -> list[tuple[str, int, int]]:
    """Say what the files of the book are like, to see when one is changed."""
    found = []
    for path in [*settings.ROOT.glob("*"), *(settings.ROOT / "book").rglob("*")]:
        if path.is_file() and not _SKIPPED & set(path.relative_to(settings.ROOT).parts):
            state = path.stat()
            found.append((str(path), state.st_mtime_ns, state.st_size))
    return sorted(found)


if __name__ == "__main__":
    sys.exit(main())
