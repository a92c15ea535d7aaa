"""Write the library's reference: pages made of its docstrings, one for each of its rooms.

Usage: ``python -m tools.reference``

griffe reads the library without running it. What is public stands in some ``__all__``; of a class
its public methods, those of private bases included. ``derived.yml`` says where the book derives a
name. The pages, and a list of the names in each cell of the chapters, are made by the build before
the engine runs.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import griffe
import yaml

from tools import commands, docstrings, named, settings
from tree_world.files import write_atomically

FOLDER = "book/reference"
PACKAGE = "tree_world"
WIDTH = 72
"""Columns that a signature may take: more would be cut on a phone sooner than need be."""


@dataclass(frozen=True)
class Room:
    """A page: its name, what it is called, what it holds."""

    name: str
    title: str
    description: str
    modules: tuple[str, ...]
    first: str = ""

    @property
    def slug(self) -> str:
        """Address of the page."""
        return f"reference-{self.name}"


_MEMORY = "models.memory"
ROOMS = (
    Room(
        "world",
        "The world",
        "Trees, sensors, bodies, and whole lives in them.",
        ("simulation",),
        "TreeWorldConfig TreeWorld SimpleSensor",
    ),
    Room(
        "memory",
        "The memory",
        "What is written, read, drawn and searched, and what comes back.",
        (_MEMORY, f"{_MEMORY}.search"),
        "SpatialMemory Read ReadOptions",
    ),
    Room(
        "kernel",
        "The kernel and its reads",
        "How much two places have to do with each other, and the ways to read by it.",
        (f"{_MEMORY}.kernel", f"{_MEMORY}.recall", f"{_MEMORY}.tuning"),
    ),
    Room(
        "forgetting",
        "Forgetting",
        "What may go, how much of it, when, and what is reported.",
        (f"{_MEMORY}.forget", f"{_MEMORY}.policy", "thinning"),
    ),
    Room(
        "drives",
        "Drives",
        "What a smell is worth, learned from words.",
        ("models.drives",),
        "DriveClassifier",
    ),
    Room(
        "places",
        "Places",
        "Where one is: by smell, by steps, by both, and in spaces that are learned.",
        ("models.places",),
        "Localiser Posterior Odometry Tracker Particles Finder",
    ),
    Room(
        "agents", "Agents", "Those who live by all this, and their parts.", ("agents",), "Forager"
    ),
    Room(
        "estimators", "Estimators", "The memory with the manners of scikit-learn.", ("estimators",)
    ),
    Room(
        "studies",
        "Studies, and many machines",
        "The same for many seeds, and what was measured once and stored.",
        ("studies", "cluster"),
    ),
    Room(
        "evaluation",
        "Evaluation, files, words",
        "Claims and intervals, files, embeddings, and what arguments may be.",
        ("evaluation", "files", "embeddings", "checks", ""),
    ),
    Room("plotting", "Plotting", "The figures of the book, and their colours.", ("plotting",)),
    Room("command", "The command line", "What `tree-world` does in a terminal.", ("cli",)),
)


_KINDS = ("class", "exception", "function", "constant", "method", "property")


@dataclass
class Entry:
    """A public name: where it is imported from, what it is, and where it stands."""

    module: str
    thing: Any
    room: Room
    label: str = ""
    owner: Entry | None = None

    @property
    def name(self) -> str:
        """As it is called in texts: a method with its class."""
        own = str(self.thing.name)
        return f"{self.owner.name}.{own}" if self.owner else own

    @property
    def path(self) -> str:
        """As it is reached in code."""
        return f"{self.module}.{self.name}"

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        if self.thing.is_class:
            bases = " ".join(str(base) for base in self.thing.bases)
            return "exception" if re.search(r"Error|Exception", bases) else "class"
        if self.thing.is_function:
            return "method" if self.owner else "function"
        if self.owner:
            return "method" if _is_alias(self.thing) else "property"
        return "constant"


class Library:
    """All public names of a package, by path, and the labels by which they are linked."""

    def __init__(self, folder: Path) -> None:
        self.package = griffe.load(
            PACKAGE, search_paths=[folder], docstring_parser="numpy", allow_inspection=False
        )
        self.entries: list[Entry] = []
        self.by_definition: dict[str, Entry] = {}
        for module, thing in sorted(self._exported(), key=_depth):
            if thing.path not in self.by_definition:
                entry = Entry(module, thing, room_of(module))
                self.by_definition[thing.path] = entry
                self.entries.append(entry)
        for entry in list(self.entries):
            if entry.thing.is_class:
                self.entries += self._members(entry)
        self.entries.sort(key=_order)
        self._label()

    def _exported(self) -> Iterator[tuple[str, Any]]:
        for module in _modules(self.package):
            for name in map(str, module.exports or []):
                thing = _member(module, name)
                if not thing.is_module:
                    yield module.path, thing

    def _members(self, entry: Entry) -> Iterator[Entry]:
        """Methods and properties, those of bases that are not public themselves included."""
        for name, member in entry.thing.all_members.items():
            thing = member.final_target if member.is_alias else member
            owner = self.by_definition.get(thing.parent.path)
            if name.startswith("_") or (owner and owner is not entry):
                continue
            if thing.is_function or "property" in thing.labels or _is_alias(thing):
                yield Entry(entry.module, thing, entry.room, owner=entry)

    def _label(self) -> None:
        """Give each entry a label, and find those that several names could mean."""
        taken: set[str] = set()
        self.by_path: dict[str, Entry] = {}
        self.by_name: dict[str, list[Entry]] = {}
        for entry in self.entries:
            label = f"lib-{re.sub(r'[._]+', '-', entry.name).strip('-').lower()}"
            others = (label, f"{label}-{entry.room.name}", f"{label}-{entry.kind}")
            more = (f"{label}-{entry.module.rpartition('.')[2]}-{n}" for n in range(1, 9))
            entry.label = next(one for one in (*others, *more) if one not in taken)
            taken.add(entry.label)
            self.by_path[entry.path] = entry
            self.by_name.setdefault(entry.name, []).append(entry)
            if entry.owner is None or entry.thing.parent is entry.owner.thing:
                self.by_path.setdefault(entry.thing.path, entry)

    def inherited(self, entry: Entry) -> list[Entry]:
        """Members that a class has from another public one, where they are told."""
        found = []
        for name, member in entry.thing.inherited_members.items():
            owner = self.by_definition.get(member.final_target.parent.path)
            if owner and owner is not entry and f"{owner.path}.{name}" in self.by_path:
                found.append(self.by_path[f"{owner.path}.{name}"])
        return found

    def resolve(self, dotted: str) -> Entry | None:
        """Find what a dotted path means, wherever it is imported from."""
        names, thing = dotted.split("."), self.package
        for at, name in enumerate(names[1:], start=2):
            try:
                thing = _member(thing, name)
            except (KeyError, griffe.AliasResolutionError, griffe.CyclicAliasError):
                break
            owner = self.by_definition.get(thing.path)
            if owner:
                return self.by_path.get(".".join([owner.path, *names[at:]]))
        return self.by_path.get(dotted)

    def link(self, entry: Entry) -> docstrings.Link:
        """Links of the names in a docstring: of its class, its module, then of the library."""
        parameters = {one.name for one in getattr(entry.thing, "parameters", [])}
        home = entry.owner or entry

        def label(name: str) -> str | None:
            bare = name.removesuffix("()")
            if bare in parameters or not re.fullmatch(r"[A-Za-z_][\w.]*", bare):
                return None
            for path in (f"{home.path}.{bare}", f"{entry.thing.module.path}.{bare}", bare):
                found = self.resolve(path) if path.startswith(PACKAGE) else None
                if found and found is not entry:
                    return found.label
            known = self.by_name.get(bare, [])
            return known[0].label if len(known) == 1 and known[0] is not entry else None

        return label


def room_of(module: str) -> Room:
    """Find the page of a module: the one that names the longest part of it."""
    inner = module.partition(".")[2]
    fitting = [
        (len(part), room)
        for room in ROOMS
        for part in room.modules
        if inner == part or inner.startswith(f"{part}.") or not part
    ]
    return max(fitting, key=lambda pair: pair[0])[1]


def _order(entry: Entry) -> tuple[int, int, str]:
    """Sort what a page begins with first; then kind by kind, by name."""
    first = entry.room.first.split()
    at = first.index(entry.name) if entry.name in first else len(first)
    return at, _KINDS.index(entry.kind), entry.name.lower()


def _modules(module: Any) -> Iterator[Any]:
    yield module
    for member in module.members.values():
        if not member.is_alias and member.is_module:
            yield from _modules(member)


def _member(thing: Any, name: str) -> Any:
    """Find what a name of a module or a class is, where it is defined."""
    member = thing.members[name]
    found = member.final_target if member.is_alias else member
    # A module hides what it is imported for, if that has its name: `data.read` is the function.
    return found.members.get(name, found) if found.is_module else found


def _depth(exported: tuple[str, Any]) -> tuple[int, str]:
    """Sort the shortest way to a name first, which is the one that is told."""
    return exported[0].count("."), exported[0]


def _is_alias(thing: Any) -> bool:
    """Whether a member is another name of a method, as in ``old = new``."""
    return thing.is_attribute and isinstance(thing.value, griffe.ExprName)


# --- an entry ------------------------------------------------------------------------------------


def signature(entry: Entry) -> str:
    """Write how a name is called, on one line or with a line for each parameter."""
    thing = entry.thing
    if not (thing.is_class or thing.is_function):
        value = f" = {thing.value}" if thing.value is not None else ""
        value = value if len(value) <= 2 * WIDTH and "\n" not in value else ""
        annotation = f": {thing.annotation}" if thing.annotation is not None else ""
        return f"{entry.name}{annotation}{value}"
    parts = _parameters(thing)
    returned = ""
    if thing.is_function and thing.returns is not None:
        returned = f" -> {thing.returns}"
    if thing.is_class and not parts:
        return entry.name if entry.kind == "exception" else f"{entry.name}()"
    line = f"{entry.name}({', '.join(parts)}){returned}"
    if len(line) <= WIDTH:
        return line
    return f"{entry.name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"


def _parameters(thing: Any) -> list[str]:
    if thing.is_class and "__init__" not in thing.all_members:
        # Fields of a model or of a named tuple, which are given by name.
        fields = [
            member
            for name, member in thing.members.items()
            if member.is_attribute
            and member.annotation is not None
            and not name.startswith("_")
            and "property" not in member.labels
            and "ClassVar" not in str(member.annotation)
        ]
        return [_parameter(one.name, one.annotation, one.value, thing) for one in fields]
    given = thing.parameters if thing.is_function else thing.all_members["__init__"].parameters
    made: list[str] = []
    kinds = griffe.ParameterKind
    starred = False
    for one in given:
        if one.name in ("self", "cls") and not made:
            continue
        if one.kind is kinds.keyword_only and not starred:
            made.append("*")
        starred |= one.kind in (kinds.keyword_only, kinds.var_positional)
        stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(one.kind, "")
        default = None if stars else one.default
        made.append(stars + _parameter(one.name, one.annotation, default, thing))
    return made


def _parameter(name: str, annotation: Any, default: Any, thing: Any) -> str:
    kind = "" if annotation is None else f": {annotation}"
    if default is None:
        return f"{name}{kind}"
    return f"{name}{kind}{' = ' if kind else '='}{_literal(default, thing)}"


def _literal(default: Any, thing: Any) -> str:
    """Write a default as it is, or the number that its name stands for."""
    if isinstance(default, griffe.ExprCall) and str(default.function) == "Field":
        default = default.arguments[0]
    if isinstance(default, griffe.ExprName):
        try:
            module = thing.module
            member = module.members[default.name]
            value = str((member.final_target if member.is_alias else member).value)
        except (KeyError, AttributeError, griffe.AliasResolutionError):
            return str(default)
        if re.fullmatch(r"-?[\d._e-]+|\"[^\"]*\"|'[^']*'", value):
            return value
    return str(default)


def entry_text(entry: Entry, library: Library, derived: dict[str, list[str]]) -> str:
    """Write an entry: heading, signature, what it is, what the docstring says, its members."""
    link = library.link(entry)
    depth = "###" if entry.owner else "##"
    told = ["class method" if "classmethod" in entry.thing.labels else entry.kind]
    if not entry.owner:
        told[0] += f" of `{entry.module}`"
    places = [f"[](#{label})" for label in derived.get(entry.path, [])]
    if places:
        told.append(f"derived in {' and '.join(places)}")
    parts = [
        f"({entry.label})=\n{depth} `{entry.name}`",
        f"```python\n{signature(entry)}\n```",
        f":::{{div}}\n:class: entry-kind\n{', '.join(told)}\n:::",
    ]
    if entry.thing.docstring:
        parts += docstrings.sections(entry.thing.docstring, link)
    elif _is_alias(entry.thing):
        parts.append(f"Another name of {docstrings.inline(f'`{entry.thing.value}`', link)}.")
    own = [one for one in library.entries if one.owner is entry]
    if own:
        parts.append(_list("Methods", own))
    inherited = library.inherited(entry)
    if inherited:
        parts.append(_list(f"From {inherited[0].owner.name}", inherited))  # type: ignore[union-attr]
    return "\n\n".join([*parts, *(entry_text(one, library, derived) for one in own)])


def names_in(entry: Entry, address: named.Resolve) -> named.Places:
    """Find the names in the signature of an entry, and in its examples, by digest of the code."""
    called = signature(entry)
    found = {}
    for match in re.finditer(r"(?<![\w.\"'])[A-Z]\w+(?![\w.\"'=:(])", called):
        where = address(f"{entry.thing.module.path}.{match[0]}")
        if where and match.start() >= len(entry.name) and where not in found:
            found[where] = match.start(), match.end(), where
    made = {named.digest_of(called): sorted(found.values())}
    home = entry.owner or entry
    examples = docstrings.codes(entry.thing.docstring) if entry.thing.docstring else []
    cells = [(code, False) for code in examples]
    known = {home.thing.name: home.path}
    for code, places in zip(examples, named.places_of(cells, address, known), strict=True):
        made[named.digest_of(code)] = places
    return {digest: places for digest, places in made.items() if places}


def _list(title: str, entries: list[Entry]) -> str:
    names = " ".join(f"[`{entry.thing.name}`](#{entry.label})" for entry in entries)
    return f"{docstrings.titled(title)}\n\n:::{{div}}\n:class: entry-names\n{names}\n:::"


# --- pages ---------------------------------------------------------------------------------------


def _front(title: str, description: str, label: str) -> str:
    return textwrap.dedent(
        f"""\
        ---
        title: "{title}"
        description: "{description}"
        label: {label}
        numbering: false
        site:
          reference: true
          printed: false
        ---
        """
    )


def page_text(room: Room, library: Library, derived: dict[str, list[str]]) -> str:
    """Write the page of a room."""
    entries = [one for one in library.entries if one.room is room and one.owner is None]
    names = f":::{{div}}\n:class: entry-names\n{' '.join(map(_named, entries))}\n:::"
    parts = [_front(room.title, room.description, room.slug), names]
    if "cli" in room.modules:
        parts.insert(1, commands.sections())
    return "\n\n".join([*parts, *(entry_text(one, library, derived) for one in entries)]) + "\n"


def _named(entry: Entry) -> str:
    return f"[`{entry.name}`](#{entry.label})"


def index_text(library: Library) -> str:
    """Write the page that names all rooms, and in each all names."""
    parts = [
        _front("Reference", "Every public name of tree_world, told by its docstring.", "reference"),
        "Made from the docstrings of the library when the book is built; their examples run as "
        "tests. Those who read code first may begin with [](#ch-ten-minutes). Places and "
        "distances are in "
        "metres, deviations are standard deviations, and whatever is random takes a seed.",
    ]
    for room in ROOMS:
        entries = [one for one in library.entries if one.room is room and one.owner is None]
        parts.append(f"## [{room.title}](#{room.slug})\n\n{room.description}")
        items = [
            f"{_named(one)}\n: {docstrings.summary(one.thing.docstring, _no_link)}"
            for one in entries
        ]
        parts.append(":::{div}\n:class: entry-list\n" + "\n\n".join(items) + "\n:::")
    return "\n\n".join(parts) + "\n"


def _no_link(name: str) -> str | None:
    return None


def derivations(library: Library, root: Path) -> dict[str, list[str]]:
    """Read ``derived.yml``: the places of the book that derive a name, by its path.

    Raises
    ------
    ValueError
        If a name is not public.
    """
    path = root / FOLDER / "derived.yml"
    table = yaml.safe_load(path.read_text()) if path.exists() else {}
    found: dict[str, list[str]] = {}
    for name, places in table.items():
        entry = library.by_path.get(f"{PACKAGE}.{name}")
        if entry is None:
            raise ValueError(
                f"{FOLDER}/derived.yml names {name}, which is not public: "
                f"give a name as it is imported, without {PACKAGE}."
            )
        found[entry.path] = places.split()
    return found


def pages(root: Path = settings.ROOT, library: Library | None = None) -> dict[str, str]:
    """Write all pages of the reference; nothing is stored.

    Parameters
    ----------
    root : pathlib.Path
        The folder that holds ``tree_world`` and ``book``.
    library : Library, optional
        Read already.

    Returns
    -------
    dict of str to str
        Names of files in ``book/reference``, and what is in them.
    """
    library = library or Library(root)
    derived = derivations(library, root)
    made = {"reference.md": index_text(library)}
    for room in ROOMS:
        made[f"{room.slug}.md"] = page_text(room, library, derived)
    return made


def make(root: Path = settings.ROOT) -> list[Path]:
    """Store the pages that the contents of a book name, and the names in its cells.

    Parameters
    ----------
    root : pathlib.Path

    Returns
    -------
    list of pathlib.Path
        What has changed. Files that have not are left alone, for those who watch them.
    """
    folder = root / FOLDER
    sources = settings.pages(root)
    if not any(source.parent == folder for source in sources):
        return []
    library = Library(root)

    def address(path: str) -> str | None:
        entry = library.resolve(path)
        return f"{entry.room.slug}#{entry.label}" if entry else None

    made = pages(root, library)
    chapters = [source for source in sources if source.exists() and source.parent != folder]
    names = named.listed(chapters, address, root)
    for entry in library.entries:
        page = names.setdefault(f"{FOLDER}/{entry.room.slug}.md", {})
        page.update(names_in(entry, address))
    made["names.json"] = json.dumps(names, separators=(",", ":"), sort_keys=True) + "\n"
    folder.mkdir(exist_ok=True)
    changed = []
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            write_atomically(path, text.encode())
            changed.append(path)
    return changed


def main() -> int:
    """Store the pages, and say which have changed."""
    for path in make():
        print(path.relative_to(settings.ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
