"""What keeps the library readable: short modules, few parameters by position, closed doors."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ("tree_world", "tools", "benchmarks")

MOST_LINES = 600
MOST_PARAMETERS = 8
MOST_UNFORMATTED = 10

# What has yet to get there, and how far it is. A number that is larger than it must be is an error,
# so that nothing here outlives its reason.
LONG = {}
MANY_PARAMETERS = {}
UNFORMATTED = {
    "tree_world/models/memory/policy.py": 1,
    "tree_world/models/memory/store/exchange.py": 1,
    "tree_world/simulation/vocabulary.py": 3,
}
REACHED = {}

# The room whose insides a test looks at, where it has not the name of a module or a folder.
ROOMS = {
    "tests/cluster/test_losses.py": "tree_world/cluster",
    "tests/models/test_half_precision.py": "tree_world/models/memory/store",
    "tests/models/test_hot_swap.py": "tree_world/models/memory/store",
    "tests/models/test_interrupts.py": "tree_world/models/memory/store",
    "tests/models/test_localisation.py": "tree_world/models/places",
    "tests/models/test_memory.py": "tree_world/models/memory/spatial_memory",
    "tests/models/test_moving.py": "tree_world/models/memory/store",
    "tests/models/test_particles.py": "tree_world/models/places",
    "tests/models/test_pruning.py": "tree_world/models/memory/forget",
    "tests/models/test_reading.py": "tree_world/models/memory/recall",
    "tests/models/test_sampling.py": "tree_world/models/memory/search",
    "tests/models/test_storage.py": "tree_world/models/memory/store",
    "tests/models/test_ways_of_reading.py": "tree_world/models/memory/recall",
    "tests/simulation/test_lives.py": "tree_world/simulation/world",
    "tests/test_windows.py": "tree_world/models/memory/store",
}


def sources(*folders):
    """All modules in some folders, as a mapping of path to text."""
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}


# --- the rules -----------------------------------------------------------------------------------


def long_modules(texts):
    """Modules of more lines than are read at once, and how many they have."""
    lengths = {path: len(text.splitlines()) for path, text in texts.items()}
    return {path: length for path, length in lengths.items() if length > MOST_LINES}


def many_parameters(texts):
    """Functions that take more by position than anyone can tell apart."""
    return {
        f"{path}: {name}": number
        for path, text in texts.items()
        for name, number in _by_position(ast.parse(text))
        if number > MOST_PARAMETERS
    }


def _by_position(tree, around=""):
    for node in ast.iter_child_nodes(tree):
        name = around
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            name = f"{around}.{node.name}".lstrip(".")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
            bound = isinstance(tree, ast.ClassDef) and "staticmethod" not in decorators
            if not decorators & {
                "compiled",
                "compiled_exactly",
            }:  # Numba knows no keywords, nor objects
                yield name, len(node.args.posonlyargs + node.args.args) - bound
        yield from _by_position(node, name)


def unformatted(texts):
    """How often a module does not let itself be formatted."""
    number = {path: text.count("# fmt: ") for path, text in texts.items()}
    return {path: times for path, times in number.items() if times}


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name != "_"


def private_names(text):
    """Private names that a module defines: of functions, classes, variables and attributes."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name) | ast.alias(asname=str(name)):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                names.add(name)
    return {name for name in names if is_private(name)}


def reached(text, insides, room=None):
    """Private names of others that a module uses, and how often.

    `insides` maps each private name to the modules that define it; those of `room` may be used.
    """
    number = defaultdict(int)
    own = private_names(text)
    for node in ast.walk(ast.parse(text)):
        names = []
        match node:
            case ast.ImportFrom(module=str(), names=aliases):
                names = [alias.name for alias in aliases]
            case ast.Attribute(value=value, attr=name):
                if name not in own and ast.unparse(value) not in ("self", "cls"):
                    names = [name]
            # As monkeypatch.setattr(module, "name", …) and ("module.name", …) do.
            case ast.Call(func=ast.Attribute(attr=verb) | ast.Name(id=verb), args=given):
                if verb in ("setattr", "getattr", "delattr", "hasattr", "patch", "attrgetter"):
                    texts = [a.value for a in given if isinstance(a, ast.Constant)]
                    parts = (part for given in texts for part in str(given).split("."))
                    names = [part for part in parts if part not in own]
        for name in names:
            homes = insides.get(name, ())
            theirs = room and any(home.removesuffix(".py").startswith(room) for home in homes)
            if is_private(name) and homes and not theirs:
                number[name] += 1
    return dict(number)


def room_of(test, modules):
    """The part of the library that a test is about: said above, or of the same name."""
    name = Path(test).stem.removeprefix("test_")
    places = [path.removesuffix(".py").removesuffix("/__init__") for path in modules]
    return ROOMS.get(test) or next((p for p in places if Path(p).name == name), None)


# --- held ----------------------------------------------------------------------------------------


def agree(found, excused, advice):
    """Compare what breaks a rule with what is known to."""
    for place in sorted({*found, *excused}):
        now, then = found.get(place, 0), excused.get(place, 0)
        assert now <= then, f"{place}: {now}. {advice}"
        assert now == then, f"{place} is at {now or 'the aim'}: change the {then} in {__file__}."


def test_modules_are_short():
    agree(long_modules(sources(*LIBRARY)), LONG, "Make two modules of it, with one job each.")


def test_few_parameters_go_by_position():
    advice = "Make choices keyword-only, or gather what belongs together in a dataclass."
    agree(many_parameters(sources(*LIBRARY)), MANY_PARAMETERS, advice)


def test_nearly_all_is_formatted():
    found = unformatted(sources("tree_world"))
    agree({path: found.get(path, 0) for path in UNFORMATTED}, UNFORMATTED, "Format it.")
    others = {path: number for path, number in found.items() if path not in UNFORMATTED}
    assert sum(others.values()) <= MOST_UNFORMATTED, others


def test_private_names_are_used_at_home():
    library = sources("tree_world", "tools")
    insides = defaultdict(set)
    for path, text in library.items():
        for name in private_names(text):
            insides[name].add(path)
    found = {}
    for path, text in sources("benchmarks", "tests").items():
        room = room_of(path, library) if path.startswith("tests/") else None
        found |= {f"{path}: {name}": n for name, n in reached(text, insides, room).items()}
    agree(found, REACHED, "Look at what anybody may see, or give it a public name.")


def test_rooms_of_tests_are_there():
    there = sources("tree_world", "tests")
    for test, room in ROOMS.items():
        assert test in there
        assert f"{room}.py" in there or f"{room}/__init__.py" in there


# --- the rules can be broken ---------------------------------------------------------------------


def test_a_long_module_is_found():
    texts = {"short.py": "x = 1\n" * 600, "long.py": "x = 1\n" * 601}
    assert long_modules(texts) == {"long.py": 601}


EIGHT = "a, b, c, d, e, f, g, h"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"def work({EIGHT}): ...", None),
        (f"def work({EIGHT}, i): ...", 9),
        (f"def work({EIGHT}, *, i): ...", None),
        (f"def work(a0, /, {EIGHT}): ...", 9),
        (f"class Some:\n    def work(self, {EIGHT}): ...", None),
        (f"class Some:\n    def work(self, {EIGHT}, i): ...", 9),
        (f"class Some:\n    @staticmethod\n    def work({EIGHT}, i): ...", 9),
        (f"class Some:\n    @classmethod\n    def work(cls, {EIGHT}): ...", None),
        (f"def around():\n    async def work({EIGHT}, i): ...", 9),
        (f"@compiled\ndef work({EIGHT}, i): ...", None),
    ],
)
def test_many_parameters_are_found(text, number):
    found = many_parameters({"some.py": text})
    assert list(found.values()) == ([] if number is None else [number])
    assert all(place.startswith("some.py: ") and place.endswith("work") for place in found)


def test_what_is_not_formatted_is_found():
    texts = {"one.py": "x = [\n 1]  # fmt: skip\n# fmt: off\n", "none.py": "x = 1\n"}
    assert unformatted(texts) == {"one.py": 2}


HOME = """
_LIMIT = 3
def _count(): ...
class Some:
    _shared: int = 0
    def __init__(self): self._own = 1
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from tree_world.home import _count", ["_count"]),
        ("from tree_world import home\nhome._LIMIT", ["_LIMIT"]),
        ("Some()._own", ["_own"]),
        ("Some()._own = 2", ["_own"]),
        ("monkeypatch.setattr(home, '_LIMIT', 1)", ["_LIMIT"]),
        ("monkeypatch.setattr('tree_world.home._LIMIT', 1)", ["_LIMIT"]),
        ("getattr(some, '_shared')", ["_shared"]),
        ("class Mine:\n    def work(self): return self._own", []),
        ("class Mine:\n    def __init__(self): self._own = 1\nMine()._own", []),
        ("thing._other", []),  # not of this house
        ("thing.__init__", []),
    ],
)
def test_a_private_name_that_is_reached_is_found(text, names):
    insides = {name: {"tree_world/home.py"} for name in private_names(HOME)}
    assert sorted(insides) == ["_LIMIT", "_count", "_own", "_shared"]
    assert list(reached(text, insides)) == names
    assert reached(text, insides, "tree_world/home") == {}
    assert list(reached(text, insides, "tree_world/another")) == names


def test_an_exception_goes_when_its_reason_has():
    agree({"some.py": 3}, {"some.py": 3}, "")
    with pytest.raises(AssertionError, match=r"some\.py: 4\. Mend it"):
        agree({"some.py": 4}, {"some.py": 3}, "Mend it.")
    with pytest.raises(AssertionError, match=r"other\.py: 1"):
        agree({"other.py": 1}, {}, "Mend it.")
    with pytest.raises(AssertionError, match=r"some\.py is at 2: change the 3"):
        agree({"some.py": 2}, {"some.py": 3}, "Mend it.")
    with pytest.raises(AssertionError, match=r"some\.py is at the aim"):
        agree({}, {"some.py": 3}, "Mend it.")
