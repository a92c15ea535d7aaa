"""Drives a browser without a window by its DevTools protocol, over a pipe, to print a page."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from tools import browser


class PrintError(Exception):
    """The browser could not do what it was asked for. The message says what, and why."""


class Printer:
    """A browser with one page, to be used in a ``with`` statement.

    Parameters
    ----------
    path : str
        The browser's program.
    patience : float, optional
        For how many seconds it may say nothing before it is given up.
    """

    def __init__(self, path: str, patience: float = 300) -> None:
        self._path = path
        self._patience = patience
        self._sent = 0
        self._session: str | None = None
        self._heard = b""

    def __enter__(self) -> Printer:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def connect() -> None:  # the browser listens to file 3 and answers on file 4
            reading, writing = os.dup(to_read), os.dup(to_write)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        options = ["--headless", "--remote-debugging-pipe", f"--user-data-dir={self._profile.name}"]
        self._browser = subprocess.Popen(
            [self._path, *options, *browser.OPTIONS, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4, to_read, to_write),
            preexec_fn=connect,
        )
        os.close(to_read)
        os.close(to_write)
        try:
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            self.ask("Page.enable")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        os.close(self._write)
        os.close(self._read)
        self._browser.terminate()
        try:
            self._browser.wait(10)
        except subprocess.TimeoutExpired:
            self._browser.kill()
            self._browser.wait()
        self._profile.cleanup()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and wait for its answer."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._sent:
                break
        if "error" in answer:
            raise PrintError(f"The browser refused {method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        parts = [self._heard]
        while b"\0" not in parts[-1]:
            if not select.select([self._read], [], [], self._patience)[0]:
                raise PrintError(f"The browser has said nothing for {self._patience} seconds.")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise PrintError("The browser ended before it was done.")
            parts.append(part)
        message, _, self._heard = b"".join(parts).partition(b"\0")
        heard: dict[str, Any] = json.loads(message)
        return heard

    def open(self, page: Path, width: int) -> None:
        """Open a file as print shows it, in a window of so many pixels, and wait for all of it."""
        self.ask("Emulation.setEmulatedMedia", media="print")
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=1000,
            deviceScaleFactor=2,
            mobile=False,
        )
        self.ask("Page.navigate", url=page.resolve().as_uri())
        self.run(
            """new Promise((done) => document.readyState === "complete" ? done()
                : addEventListener("load", () => done()))
            .then(() => document.fonts.ready)
            .then(() => Promise.all([...document.images].map((image) => image.decode())))
            .then(() => true)"""
        )

    def run(self, script: str) -> Any:
        """Evaluate a script in the page; what it gives, or what its promise does."""
        answer = self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            said = answer["exceptionDetails"]
            why = said.get("exception", {}).get("description") or said["text"]
            raise PrintError(f"A script failed in the page to be printed: {why}")
        return answer["result"].get("value")

    def print(self) -> bytes:
        """Print the page as its style says; a PDF with bookmarks, and tags for those who listen."""
        answer = self.ask(
            "Page.printToPDF",
            preferCSSPageSize=True,
            printBackground=True,
            generateDocumentOutline=True,
            generateTaggedPDF=True,
        )
        return base64.b64decode(answer["data"])
