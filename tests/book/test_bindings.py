"""A number leads to the last cell above that binds a name of its expression."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import bindings, settings

# Code that can be executed by itself: what it binds is what it leaves behind.
EXECUTABLE = [
    "a = 1",
    "a = b = 1; (c, [d, *e]), f = (1, [2, 3, 4]), 5",
    "a: int = 1\nb: int",
    "a = 0\na += 1",
    "import os.path, json as j\nfrom math import pi as p, tau",
    "def f(x):\n    local = x\n    return local\nf(1)",
    "async def f():\n    local = 1",
    "class C:\n    member = 1\n    def method(self):\n        self.x = 2",
    "for i, (j, k) in [(1, (2, 3))]:\n    inner = i\nelse:\n    other = 1",
    "while (n := 0):\n    pass",
    "import io\nwith io.StringIO() as file, io.StringIO() as other:\n    text = file.read()",
    "[x for x in range(3) if (last := x) > 1]",
    "{x: y for x in range(2) for y in range(x)}",
    "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    message = str(error)",
    "a = 1\nb = 2\ndel a",
    "a = [1, 2]\ndel a[0]",
    "tmp, b = 1, 2\nfor tmp in range(3):\n    b += tmp\ndel (tmp)",
    "match [1, 2, 3]:\n    case [x, *rest]:\n        y = x",
    "match {'a': 1, 'b': 2}:\n    case {'a': x, **others}:\n        pass",
    "match 3:\n    case 1 | 3 as number:\n        pass",
    "def f():\n    global g\n    g = 1\n    h = 2\nf()",
    "f = lambda x: (y := x)\nf(1)",
    "if True:\n    if (m := 2) > 1:\n        z = m",
    "@(d := lambda g: g)\ndef f(a=1):\n    pass",
    "a = {}\na['x'] = 1",
    "ä = 1\n_ = 2",
    "",
    "print",
]


@pytest.mark.parametrize("code", EXECUTABLE)
def test_what_a_cell_binds_is_what_it_leaves_behind(code):
    left = {"__builtins__": __builtins__}
    exec(code, left)
    bound = set()
    for name, binds in bindings.changes(code):
        (bound.add if binds else bound.discard)(name)
    assert bound == {name for name in left if not name.startswith("__")}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("%matplotlib inline\na = 1", {"a"}),
        ("a = !ls\nb = %who", {"a", "b"}),
        ("%%time\na = 1", {"a"}),
        ("%%bash\necho a = 1", set()),
        ("%%capture out\na = 1", {"a"}),
        ("a = (", set()),
        ("speed['x'] = 1", {"speed"}),
        ("speed.x.y[0] += 1", {"speed"}),
        ("f().x = 1", set()),
        ("a?", set()),
        ("value = await thing", {"value"}),
    ],
)
def test_cells_are_read_as_ipython_runs_them(code, names):
    assert {name for name, binds in bindings.changes(code) if binds} == names


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('speed[large, "ms"]', {"speed", "large"}),
        ('f"{distance:.{digits}f}"', {"distance", "digits"}),
        ("max(tree.size for tree in trees if tree.size < limit)", {"max", "trees", "limit"}),
        ("[x for x in x]", {"x"}),
        ("[y for x in a for y in x if y in b]", {"a", "b"}),
        ("sorted(a, key=lambda one, n=size: one[n] + b)", {"sorted", "a", "size", "b"}),
        ("(lambda *a, **b: (a, b, c))(d)", {"c", "d"}),
        ("{k: v for k, v in a.items()}", {"a"}),
        ("1 + 1", set()),
        ("a +", set()),
        (" a ", {"a"}),
    ],
)
def test_names_of_an_expression(expression, names):
    assert bindings.names_of(expression) == names


def steps(*lines):
    return [
        {"expression": line[1:].strip()} if line.startswith("?") else {"cell": line}
        for line in lines
    ]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["a = 1", "b = 2", "?a", "?b", "?a + b", "?c"], [0, 1, 1, None]),
        (["speed = {}", "large = 1", "speed[0] = 1", '?speed[large, "ms"]'], [2]),
        (["speed = {}", "large = 1", '?speed[large, "ms"]'], [1]),
        (["?a", "a = 1"], [None]),
        (["a = 1", "?a", "a = 2", "?a"], [0, 1]),
        (["sum = 1", "?sum", "del sum", "?sum([1])"], [0, None]),
        (["a = 1", "for a in range(3): pass\ndel a", "?a"], [None]),
        (["def f(): return data", "data = 1", "?f()"], [0]),
        (["print(1)", "", "a = 1", "?a"], [2]),
        (["a = (", "b = 1", "?b"], [1]),
    ],
)
def test_the_origin_is_the_last_cell_above_that_binds_a_name(lines, found):
    assert bindings.origins(steps(*lines)) == found


@given(st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from("abcd"), min_size=1))))
def test_the_origin_is_found_whatever_the_order(page):
    """By a plain search backwards."""
    made = [
        {"cell": "\n".join(f"{name} = 1" for name in sorted(names))}
        if is_cell
        else {"expression": " + ".join(sorted(names))}
        for is_cell, names in page
    ]
    expected, cells = [], []
    for is_cell, names in page:
        if is_cell:
            cells.append(names)
        else:
            expected.append(max((n for n, one in enumerate(cells) if one & names), default=None))
    assert bindings.origins(made) == expected


def test_pages_come_and_go_as_json():
    pages = [steps("a = 1", "?a"), []]
    command = [sys.executable, str(settings.BINDINGS)]
    done = subprocess.run(
        command, input=json.dumps(pages), capture_output=True, text=True, check=True, cwd="/"
    )
    assert json.loads(done.stdout) == [[0], []]
