"""Make the book as an EPUB, to be read in a reader's own letters and without a browser.

Usage: ``python -m tools.pocket``

It is made of the built pages of the site (`tools.pocket_pages`) and of the pictures as the engine
keeps them, and packed without anything that changes from one time to the next.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import sys
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tools import cover, packing, pocket_pages, pocket_widths, settings
from tools.pocket_pages import Page, PocketError, document, element, fill
from tree_world.files import write_atomically

STYLE = settings.THEME / "pocket.css"
_SOURCES = [Path(module.__file__ or "") for module in (cover, packing, pocket_pages, pocket_widths)]
_MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
}
_FEATURES = (
    *("alternativeText", "MathML", "tableOfContents", "structuralNavigation"),
    *("readingOrder", "displayTransformability"),
)
_SUMMARY = (
    "Every figure has a description, every formula is MathML, and all is in the order of reading. "
    "Hints, solutions and code that the text does not show stand at the end of each chapter, with "
    "links there and back."
)


@dataclass(frozen=True)
class Entry:
    """A page, or the name of a part if it has no slug, as the contents list it."""

    title: str
    slug: str = ""
    number: str = ""
    level: int = 1


@dataclass
class Book:
    """What an EPUB is made of.

    Attributes
    ----------
    title, description : str
    imprint : dict
        As `settings.imprint` gives it.
    entries : list of Entry
    html : dict of str to str
        Pages of the site, by slug.
    pictures : dict of str to bytes
        By their names in the EPUB; filled as the pages are made.
    """

    title: str
    description: str
    imprint: dict[str, object]
    entries: list[Entry]
    html: dict[str, str]
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def made_at(self) -> datetime:
        """The day of this edition."""
        return day(self.imprint)

    @property
    def version(self) -> str:
        """Of this edition, as the cover names it."""
        version = self.imprint.get("version")
        return f"Version {version}" if version else ""

    @property
    def authors(self) -> list[str]:
        """Names of those who made it."""
        names = self.imprint.get("authors")
        return [str(name) for name in names] if isinstance(names, list) else []


def day(imprint: dict[str, object]) -> datetime:
    """Read the day of an edition from its imprint; a fixed one if nobody has named it."""
    named = imprint.get("date")
    return datetime.strptime(str(named), "%d %B %Y") if named else packing.FIRST_DAY


def read() -> Book:
    """Read the built site, and what the engine knows of it."""
    project = json.loads((settings.CONTENT / "config.json").read_text())["projects"][0]
    entries = [Entry(str(project.get("title", "")), "index")]
    for page in project["pages"]:
        if is_left_out(page.get("slug")):
            continue
        number = str(page.get("enumerator") or "")
        entries.append(Entry(page["title"], page.get("slug") or "", number, page.get("level", 1)))
    html = {
        entry.slug: pocket_pages.main_of(
            settings.SITE.joinpath(*_folders(entry.slug), "index.html").read_text()
        )
        for entry in entries
        if entry.slug
    }
    title, description = str(project.get("title", "")), str(project.get("description", ""))
    return Book(title, description, settings.imprint(settings.ROOT), entries, html)


def is_left_out(slug: str | None) -> bool:
    """Whether a page is on the site alone, as its front matter says: it is looked up, not read."""
    tree = settings.CONTENT / "content" / f"{slug}.json"
    site = json.loads(tree.read_text())["frontmatter"].get("site") if slug else None
    return (site or {}).get("printed") is False


def _folders(slug: str) -> list[str]:
    return [] if slug == "index" else slug.split("/")


def digest(book: Book) -> str:
    """Digest of all that an EPUB depends on. Names of pictures tell what is in them."""
    made = hashlib.sha256(
        json.dumps([book.title, book.description, book.imprint, *map(str, book.entries)]).encode()
    )
    for slug, html in book.html.items():
        made.update(slug.encode() + html.encode())
    for path in (*_SOURCES, Path(__file__), STYLE):
        made.update(path.read_bytes())
    return made.hexdigest()


def make() -> Path:
    """Make the EPUB if something that it is made of has changed, and put it into the site.

    Returns
    -------
    pathlib.Path
        Of the file that the site offers.
    """
    book = read()
    state, kept = settings.CACHE / "book.epub.digest", settings.CONTENT.parent / "book.epub"
    now = digest(book)
    if not (kept.exists() and state.exists() and state.read_text() == now):
        write_atomically(kept, bound(book))
        write_atomically(state, now.encode())
    offered = settings.SITE / "downloads" / packing.EPUB
    offered.parent.mkdir(exist_ok=True)
    write_atomically(offered, kept.read_bytes())
    return offered


def bound(book: Book) -> bytes:
    """Bind a book.

    Parameters
    ----------
    book : Book

    Returns
    -------
    bytes
        The EPUB: the same for the same book.
    """
    slugs = set(book.html)
    pages = [
        pocket_pages.convert(slug, html, _pictures(book, slug), slugs)
        for slug, html in book.html.items()
    ]
    front = cover.draw(book.title, book.description, [*book.authors, book.version], _first(book))
    files = {
        "cover.jpg": front,
        "style.css": STYLE.read_bytes(),
        "cover.xhtml": document(book.title, [_cover(book.title)], "cover"),
        "nav.xhtml": document(f"Contents of {book.title}", _navigation(book, pages)),
    }
    for page in pages:
        kind = "frontmatter" if page.slug == "index" else "bodymatter"
        files[_file(page.slug)] = document(page.title, page.body, kind)
    files |= {f"images/{name}": book.pictures[name] for name in sorted(book.pictures)}
    files["package.opf"] = _package(book, pages, files)
    packed = {"META-INF/container.xml": _CONTAINER}
    packed |= {f"EPUB/{name}": content for name, content in files.items()}
    # Its kind stands first and bare, so that it can be told by the first bytes.
    first = {"mimetype": b"application/epub+zip"}
    return packing.packed(first | packed, book.made_at, bare=("mimetype",))


def _file(slug: str) -> str:
    return f"{slug.replace('/', '-')}.xhtml"


def _pictures(book: Book, slug: str) -> Callable[[str], str]:
    """Give a function that keeps a picture of a page, and says where it is."""

    def keep(address: str) -> str:
        name = Path(address).name
        original = settings.CONTENT / "public" / Path(name).with_suffix(".png")
        folder = "/".join(_folders(slug))
        shown = settings.SITE / posixpath.normpath(posixpath.join(folder, address))
        if original.exists():
            kept = original.name
            book.pictures[kept] = original.read_bytes()
        elif Path(name).suffix in _MEDIA and shown.is_file():
            kept = name
            book.pictures[kept] = shown.read_bytes()
        else:
            raise PocketError(
                f"{slug}: the picture {address[:60]} cannot be put into an EPUB, which knows "
                f"{', '.join(sorted(_MEDIA))} alone. Store it as one of them, in a file"
            )
        return f"images/{kept}"

    return keep


def _first(book: Book) -> bytes | None:
    """Find the picture that the book begins with."""
    return next(iter(book.pictures.values()), None)


def _cover(title: str) -> Element:
    image = element("img", src="cover.jpg", alt=f"Cover of {title}", class_="cover")
    return element("section", image, epub_type="cover")


# --- contents ------------------------------------------------------------------------------------


def _navigation(book: Book, pages: list[Page]) -> list[Element]:
    by_slug = {page.slug: page for page in pages}
    listed: list[tuple[int, str, str]] = []
    for entry in book.entries:
        title = f"{entry.number} {entry.title}".strip()
        listed.append((entry.level, title, _file(entry.slug) if entry.slug else ""))
        page = by_slug.get(entry.slug)
        if page and entry.slug != "index":
            listed += [
                (entry.level + level - 1, words, f"{_file(entry.slug)}#{name}")
                for level, words, name in page.sections
            ]
    figures = [
        (1, words, f"{_file(page.slug)}#{name}") for page in pages for words, name in page.figures
    ]
    first = next((entry for entry in book.entries if entry.number), book.entries[0])
    landmarks = element(
        "nav",
        element("h2", "Landmarks"),
        element(
            "ol",
            *(
                element("li", element("a", words, href=href, epub_type=kind))
                for kind, words, href in (
                    ("cover", "Cover", "cover.xhtml"),
                    ("toc", "Contents", "nav.xhtml#toc"),
                    ("bodymatter", "Start reading", _file(first.slug)),
                )
            ),
        ),
        epub_type="landmarks",
        id="landmarks",
        hidden="hidden",
    )
    made = [element("nav", element("h1", "Contents"), _nested(listed), epub_type="toc", id="toc")]
    if figures:
        list_of_figures = [element("h2", "Figures"), _nested(figures)]
        made.append(element("nav", *list_of_figures, epub_type="loi", id="loi", hidden="hidden"))
    return [*made, landmarks]


def _nested(listed: Iterable[tuple[int, str, str]]) -> Element:
    """Nest a list. A level that is left out counts as the next one."""
    top = element("ol")
    open_: list[tuple[int, Element]] = [(0, top)]
    for level, text, href in listed:
        while len(open_) > 1 and level <= open_[-2][0]:
            open_.pop()
        if level > open_[-1][0] and len(open_[-1][1]):
            inner = element("ol")
            open_[-1][1][-1].append(inner)
            open_.append((level, inner))
        open_[-1] = (level, open_[-1][1])
        entry = element("a", text, href=href) if href else element("span", text)
        open_[-1][1].append(element("li", entry))
    return top


# --- the package ---------------------------------------------------------------------------------

_CONTAINER = b"""<?xml version="1.0" encoding="utf-8"?>
<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">
<rootfiles>
<rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/>
</rootfiles>
</container>
"""


def _package(book: Book, pages: list[Page], files: dict[str, bytes]) -> bytes:
    root = Element(
        "package",
        {
            "xmlns": "http://www.idpf.org/2007/opf",
            "xmlns:dc": "http://purl.org/dc/elements/1.1/",
            "version": "3.0",
            "unique-identifier": "id",
            "xml:lang": "en",
        },
    )
    manifest, spine = element("manifest"), element("spine")
    for name, content in files.items():
        manifest.append(_item(name, content))
    for name in ["cover.xhtml", _file("index"), "nav.xhtml", *(_file(p.slug) for p in pages[1:])]:
        spine.append(Element("itemref", {"idref": _identifier(name)}))
    fill(root, [_metadata(book), manifest, spine])
    ElementTree.indent(root, " ")
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _item(name: str, content: bytes) -> Element:
    kinds = _MEDIA | {".xhtml": "application/xhtml+xml", ".css": "text/css"}
    item = Element("item", {"id": _identifier(name), "href": name})
    item.set("media-type", kinds[Path(name).suffix])
    properties = []
    if name == "nav.xhtml":
        properties.append("nav")
    if name == "cover.jpg":
        properties.append("cover-image")
    if name.endswith(".xhtml") and b"<math" in content:
        properties.append("mathml")
    if properties:
        item.set("properties", " ".join(properties))
    return item


def _identifier(name: str) -> str:
    return "file-" + name.replace("/", "-").replace(".", "-")


def _metadata(book: Book) -> Element:
    made = element("metadata")
    # A book has one name for all its editions; those differ in version and day.
    identifier = uuid.uuid5(uuid.NAMESPACE_OID, book.title)
    made.append(element("dc:identifier", identifier.urn, id="id"))
    made.append(element("dc:title", book.title or "A book"))
    made.append(element("dc:language", "en"))
    for name in book.authors:
        made.append(element("dc:creator", name))
    if book.description:
        made.append(element("dc:description", book.description))
    made.append(element("dc:date", book.made_at.date().isoformat()))
    properties = [("dcterms:modified", f"{book.made_at:%Y-%m-%dT%H:%M:%SZ}")]
    if book.version:
        properties.append(("schema:version", str(book.imprint["version"])))
    properties += [
        ("schema:accessMode", "textual"),
        ("schema:accessMode", "visual"),
        ("schema:accessModeSufficient", "textual"),
        *(("schema:accessibilityFeature", feature) for feature in _FEATURES),
        ("schema:accessibilityHazard", "none"),
        ("schema:accessibilitySummary", _SUMMARY),
    ]
    for name, value in properties:
        made.append(element("meta", value, property=name))
    return made


def main() -> int:
    """Make the EPUB, and say how large it is."""
    if not (settings.SITE / "index.html").exists():
        sys.exit("The book is not built: run make build first.")
    try:
        path = make()
    except PocketError as error:
        sys.exit(f"The EPUB was not made: {error}.")
    print(f"EPUB: {packing.size(path)}, {path.relative_to(settings.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
