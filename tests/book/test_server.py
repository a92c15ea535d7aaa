"""The server of the theme answers whatever it is asked, and never dies of it."""

import http.client
import json
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tools import settings

PAGE = {
    "slug": "index",
    "location": "/index.md",
    "frontmatter": {"title": "One"},
    "mdast": {"type": "root", "children": [{"type": "paragraph", "children": []}]},
}
CONTENT = {
    "/config.json": {"projects": [{"title": "One", "index": "index", "pages": []}]},
    "/content/index.json": PAGE,
    "/secret.json": {"secret": "yes"},
}


class Engine(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        found = CONTENT.get(self.path)
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The folder in which an engine writes what it serves."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "content").mkdir()
    for name in ("config.json", "content/index.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture(scope="module")
def theme(content):
    """Process and port of the theme's server, beside an engine that has one page."""
    engine = ThreadingHTTPServer(("localhost", 0), Engine)
    threading.Thread(target=engine.serve_forever, daemon=True).start()
    port = free_port()
    environment = settings.site_environment() | {
        "HOST": "localhost",
        "PORT": str(port),
        "CONTENT_CDN_PORT": str(engine.server_port),
        "BOOK_CONTENT": str(content),
        "BOOK_MOVED": "{}",  # what moved in the book is of no matter to this one
    }
    process = subprocess.Popen(
        ["node", str(settings.THEME / "server.mjs")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert "Theme ready" in process.stdout.readline()
    yield process, port
    process.terminate()
    process.wait(10)
    engine.shutdown()


def ask(port, path, method="GET"):
    connection = http.client.HTTPConnection("localhost", port, timeout=20)
    connection.putrequest(method, path, skip_host=False, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    # To a request that is too long, the server answers and hangs up before it has all of it.
    return answer.status, b"" if answer.status == 431 else answer.read(), answer


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/index.html", 200),
        ("/%", 400),
        ("/%E0%A4%A", 400),
        ("/%00", 400),
        ("/assets/%00.css", 400),
        ("//", 400),
        ("*", 404),
        ("/nowhere", 404),
        ("/assets/../../package.json", 404),
        ("/assets/%2e%2e/%2e%2e/package.json", 404),
        ("/assets/..%2f..%2fpackage.json", 404),
        ("/assets/..%5c..%5cpackage.json", 404),
        ("/assets/", 404),
        ("/build/..%2fsecret.json", 404),
        ("/build/content%2findex.json", 404),
        ("/build/", 404),
        ("/downloads/../../README.md", 404),
        ("/assets/numbers/../../../book.mjs", 404),
        ("/constructor", 404),
        ("/?q=%", 200),
        ("/" + "a" * 5000, 404),
        ("/" + "a" * 100_000, 431),
    ],
)
def test_every_address_has_an_answer(theme, path, status):
    process, port = theme
    assert ask(port, path)[0] == status
    assert ask(port, "/")[0] == 200
    assert process.poll() is None


def test_the_book_is_opened_once_a_change(theme, content, monkeypatch):
    _, port = theme

    def times_opened(*paths):
        Engine.asked.clear()
        for path in paths:
            assert ask(port, path)[0] == 200
        return Engine.asked.count("/config.json")

    ask(port, "/")
    addresses = ["/", "/index.html", "/assets/search-index.js"] * 3
    assert times_opened(*addresses) == 0
    # Whatever the engine writes: a page, another page, the contents.
    for name in ("content/index.json", "content/two.json", "config.json"):
        (content / name).write_text(f"{name} has changed")
        assert times_opened(*addresses) == 1, name
    other = {"type": "paragraph", "children": [{"type": "text", "value": "Other words."}]}
    changed = PAGE | {"mdast": {"type": "root", "children": [other]}}
    monkeypatch.setitem(CONTENT, "/content/index.json", changed)
    assert b"Other words." not in ask(port, "/")[1]
    (content / "content/index.json").write_text("other words")
    assert b"Other words." in ask(port, "/")[1]
    # Where nothing can be seen of what it writes, every request looks.
    (content / "config.json").rename(content / "gone")
    assert times_opened(*addresses) == len(addresses)
    (content / "gone").rename(content / "config.json")
    assert times_opened("/") == 0


def test_head_has_no_body(theme):
    _, port = theme
    status, body, answer = ask(port, "/", "HEAD")
    assert (status, body) == (200, b"")
    assert int(answer.getheader("content-length")) == len(ask(port, "/")[1])
    assert ask(port, "/nowhere", "HEAD")[:2] == (404, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_other_methods_are_refused(theme, method):
    _, port = theme
    status, _, answer = ask(port, "/", method)
    assert status == 405
    assert answer.getheader("allow") == "GET, HEAD"


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo",  # and then nothing more
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
)
def test_what_is_no_request_does_no_harm(theme, request_):
    process, port = theme
    with socket.create_connection(("localhost", port)) as connection:
        connection.sendall(request_)
    assert ask(port, "/")[0] == 200
    assert process.poll() is None


def test_without_the_engine_a_page_says_so_and_the_server_lives(theme, content, monkeypatch):
    process, port = theme
    (content / "content" / "index.json").write_text("another")
    monkeypatch.delitem(CONTENT, "/config.json")
    status, body, _ = ask(port, "/")
    assert status >= 400
    assert b"This page cannot be shown" in body
    monkeypatch.undo()
    assert ask(port, "/")[0] == 200
    assert process.poll() is None
