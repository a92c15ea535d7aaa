"""What readers can take with them: the archive of the site, and the block that tells of it."""

import json
import posixpath
import re
import zipfile
from urllib.parse import unquote, urlsplit

import html5lib
import pytest

from tools import archive, packing, settings, takeaway

ADDRESS = re.compile(r"""\s(?:href|src|srcset)=(?:"([^"]*)"|'([^']*)'|([^\s>]+))""")


@pytest.fixture(scope="module")
def packed(built_site):
    """Files of the archive by name, without its folder."""
    with zipfile.ZipFile(built_site / "downloads" / packing.ARCHIVE) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        assert {name.split("/")[0] for name in names} == {archive.FOLDER}
        return {name.partition("/")[2]: opened.read(name) for name in names}


def test_the_archive_is_the_site(packed, built_site):
    site = {
        path.relative_to(built_site).as_posix(): path.read_bytes()
        for path in built_site.rglob("*")
        if path.is_file()
    }
    for name in packing.TAKEN:
        site.pop(f"downloads/{name}", None)
    site["index.html"] = packing.emptied(site["index.html"].decode()).encode()
    assert packed == site


def test_links_of_the_archive_lead_to_files_in_it(packed):
    count = 0
    for name, content in packed.items():
        if not name.endswith(".html"):
            continue
        for found in ADDRESS.finditer(content.decode()):
            parts = urlsplit(next(filter(None, found.groups()), ""))
            if parts.scheme or parts.netloc or not parts.path:
                continue
            folder = posixpath.dirname(name)
            target = posixpath.normpath(posixpath.join(folder, unquote(parts.path)))
            assert target in packed, (name, found[0])
            count += 1
    assert count > 1000


def test_the_same_site_has_the_same_archive(packed, built_site):
    before = (built_site / "downloads" / packing.ARCHIVE).read_bytes()
    assert archive.make().read_bytes() == before


# --- the block -----------------------------------------------------------------------------------


def links(html):
    tree = html5lib.parse(html, namespaceHTMLElements=False)
    (place,) = [one for one in tree.iter("div") if one.get("class") == "take-away"]
    spans = [one.text for one in place.iter("span")]
    hrefs = [(one.get("href"), one.text) for one in place.iter("a")]
    return [(*one, said) for one, said in zip(hrefs, spans, strict=True)]


def test_the_front_page_leads_to_all_that_there_is(built_site):
    found = links((built_site / "index.html").read_text())
    offered = [address for address, *_ in found if not urlsplit(address).scheme]
    there = [name for name in packing.TAKEN if (built_site / "downloads" / name).exists()]
    assert offered == [f"downloads/{name}" for name in there]
    assert {packing.EPUB, packing.ARCHIVE} <= set(there)
    for address, _, said in found:
        if address in offered:
            assert said.startswith(packing.size(built_site / address))


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "SITE", tmp_path)
    monkeypatch.delenv("BOOK_SOURCE", raising=False)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "index.html").write_text("<p>a</p><div class=take-away></div><p>b</p>")
    return tmp_path


def test_the_block_names_only_what_is_there(site):
    assert takeaway.fill() == 0
    assert (site / "index.html").read_text() == "<p>a</p><div class=take-away></div><p>b</p>"
    (site / "downloads" / packing.PDF).write_bytes(b"0" * 1_230_000)
    assert takeaway.fill() == 1
    ((address, name, said),) = links((site / "index.html").read_text())
    assert (address, name) == (f"downloads/{packing.PDF}", "PDF")
    assert said.startswith("1.2 MB, ")
    (site / "downloads" / packing.PDF).unlink()
    assert takeaway.fill() == 0
    assert (site / "index.html").read_text() == "<p>a</p><div class=take-away></div><p>b</p>"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("https://example.org/a?b&c", "https://example.org/a?b&c"),
        ("forgejo+https://example.org/a/b.git#branch", "https://example.org/a/b"),
        ("javascript:x", None),
        ("", None),
    ],
)
def test_sources_are_named_where_the_build_is_told_of_them(site, monkeypatch, source, shown):
    monkeypatch.setenv("BOOK_SOURCE", source)
    takeaway.fill()
    found = links((site / "index.html").read_text())
    assert [address for address, *_ in found] == ([shown] if shown else [])


def test_a_small_book_that_nobody_has_dated_can_be_taken_along(site, monkeypatch):
    content = site / "content"
    content.mkdir()
    monkeypatch.setattr(settings, "CONTENT", content)
    monkeypatch.setattr(settings, "CACHE", content)
    monkeypatch.setattr(settings, "ROOT", content)
    project = {"title": "Small", "pages": []}
    (content / "config.json").write_text(json.dumps({"projects": [project]}))
    (site / "index.html").write_text(
        "<main><h1>One</h1><p>Words.</p><div class=take-away></div></main>"
    )
    assert takeaway.renew() == 2
    offered = [address for address, *_ in links((site / "index.html").read_text())]
    assert offered == [f"downloads/{packing.EPUB}", f"downloads/{packing.ARCHIVE}"]
    with zipfile.ZipFile(site / "downloads" / packing.EPUB) as made:
        assert b"Words." in made.read("EPUB/index.xhtml")
        assert b"1980-01-01" in made.read("EPUB/package.opf")


def test_a_front_page_without_a_place_is_left_as_it_is(site):
    (site / "index.html").write_text("<p>a</p>")
    assert takeaway.fill() == 0
    assert (site / "index.html").read_text() == "<p>a</p>"


def test_sizes_are_told_in_two_digits(tmp_path):
    for size, told in ((49_000, "0.0 MB"), (8_618_749, "8.6 MB"), (17_542_709, "18 MB")):
        (tmp_path / "x").write_bytes(b"0" * size)
        assert packing.size(tmp_path / "x") == told
