"""Compiled functions: their machine code is never that of another version, and interrupts pass."""

import ast
import dis
import importlib
import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tree_world
from tests.killing import lives
from tree_world import compiling
from tree_world.compiling import cache_folder, compiled, times

PACKAGE = Path(tree_world.__file__).parent
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.py"))
    if "\n@compiled" in path.read_text()
]

# Two modules whose compiled functions call each other, in miniature.
FIRST = """
import numpy as np
from tree_world.compiling import compiled
SIZE = 3

@compiled
def size(x):
    return SIZE + x
"""
SECOND = """
from tree_world.compiling import compiled
from tree_world.models.first import SIZE, size

@compiled
def sizes(x):
    return SIZE * 100 + size(x)
"""
RUN = """
from tree_world.models.second import sizes
print(sizes(0.0), len(sizes.stats.cache_hits) if hasattr(sizes, "stats") else -1)
"""


@pytest.fixture
def copy(tmp_path):
    """Copy what compiles into a package of its own, with two modules that it compiles."""
    package = tmp_path / "site" / "tree_world"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "__init__.py").touch()
    shutil.copy(PACKAGE / "compiling.py", package)
    (package / "models" / "first.py").write_text(FIRST)
    (package / "models" / "second.py").write_text(SECOND)
    return package


# Numba alone takes most of a second, and finds what it reads from the environment when asked to.
ONCE = """
import json, llvmlite.binding, numba.extending, platformdirs
assert not any(name.startswith("tree_world") for name in sys.modules)
"""
LIFE = f"""
folder, environment = json.loads(argument)
os.chdir(folder)
sys.path.insert(0, folder)
sys.dont_write_bytecode = True  # of modules that may change within a second
os.environ.pop("NUMBA_CACHE_DIR", None)
os.environ.update(environment)
numba.config.reload_config()
{RUN}
sys.stdout.flush()
"""


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported Numba, and nothing of the library."""
    with lives(ONCE, LIFE) as begun:
        yield begun


@pytest.fixture
def run(processes):
    """Call the functions of a copy in a process of its own: their value, and if it was found."""

    def run_(copy, **environment):
        processes.begin(json.dumps([str(copy.parent), environment]))
        value, hits = processes.line().split()
        processes.end()
        return float(value), int(hits)

    return run_


def test_what_was_compiled_with_another_constant_is_not_run(copy, run):
    folders = copy / "__pycache__"
    assert run(copy) == (303.0, 0)
    assert run(copy) == (303.0, 1)  # by another process, and found
    before = list(folders.glob("compiled-*"))
    stale = copy / "models" / "__pycache__" / "first.size-1.py311.nbi"
    stale.parent.mkdir(exist_ok=True)
    stale.touch()
    (copy / "models" / "first.py").write_text(FIRST.replace("SIZE = 3", "SIZE = 5"))
    assert run(copy) == (505.0, 0)
    after = list(folders.glob("compiled-*"))
    assert len(before) == len(after) == 1  # and the old one is gone
    assert before != after
    assert not stale.exists()


def test_the_folder_is_that_of_the_environment_or_of_the_user(copy, run, tmp_path):
    chosen = tmp_path / "chosen"
    assert run(copy, NUMBA_CACHE_DIR=str(chosen)) == (303.0, 0)
    assert list(chosen.glob("compiled-*"))
    assert not list(copy.rglob("compiled-*"))
    # Where nothing can be written beside the modules: here a file is in the way.
    shutil.rmtree(copy / "__pycache__", ignore_errors=True)
    (copy / "__pycache__").touch()
    home = {"XDG_CACHE_HOME": str(tmp_path / "user"), "HOME": str(tmp_path / "user")}
    assert run(copy, **home) == (303.0, 0)
    assert run(copy, **home) == (303.0, 1)
    # And where nothing can be written at all.
    (tmp_path / "nowhere").touch()
    nowhere = {"XDG_CACHE_HOME": str(tmp_path / "nowhere"), "HOME": str(tmp_path / "nowhere")}
    assert run(copy, **nowhere) == (303.0, 0)


def test_processes_may_begin_at_the_same_time(copy):
    (copy / "__pycache__").mkdir()
    old = copy / "__pycache__" / "compiled-old"
    old.mkdir()
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", RUN], text=True, cwd=copy.parent,
            env=inherited | {"PYTHONPATH": str(copy.parent)}, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [process.communicate()[0].split()[0] for process in started] == ["303.0"] * 2
    assert old.exists()  # of another installation


def test_a_module_that_has_changed_since_is_not_kept(copy, monkeypatch):
    assert cache_folder() is not None
    monkeypatch.setattr(compiling, "_DIGEST", "of other modules")

    def function(x):
        return x + 1

    assert "NullCache" in type(compiled(function)._cache).__name__


@pytest.mark.parametrize("name", MODULES)
def test_compiled_functions_take_nothing_from_modules_that_the_digest_leaves_out(name):
    tree = ast.parse(Path(importlib.util.find_spec(name).origin).read_text())
    origins = {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    allowed = {*MODULES, "tree_world.compiling"}
    module = importlib.import_module(name)
    functions = [f for f in vars(module).values() if hasattr(f, "py_func")]
    assert functions
    for function in functions:
        taken = {
            instruction.argval
            for instruction in dis.get_instructions(function.py_func)
            if instruction.opname == "LOAD_GLOBAL"
        }
        foreign = {origins[one] for one in taken & set(origins)} - allowed - {"__future__"}
        assert not {one for one in foreign if one.startswith("tree_world")}, function


@pytest.mark.parametrize("name", MODULES)
def test_compiled_functions_take_no_generator(name):
    """One of NumPy's in there does not outlive interrupts, on some versions and machines."""
    module = importlib.import_module(name)
    for function in (f.py_func for f in vars(module).values() if hasattr(f, "py_func")):
        takes = inspect.signature(function).parameters
        assert "generator" not in takes, function
        assert not [p for p in takes.values() if "Generator" in str(p.annotation)], function


def test_numba_is_left_as_it_was():
    import numba

    assert os.environ.get("NUMBA_CACHE_DIR", "") == numba.config.CACHE_DIR


def test_products_may_leave_the_range_of_numbers():
    rng = np.random.default_rng(0)
    for exponents in (rng.uniform(-300, 300, 50), np.full(200, -300.0), np.full(200, 300.0)):
        product, logarithm = 1.0, 0.0
        for factor in 10.0**exponents:
            product, logarithm = times(product, logarithm, factor)
        expected = exponents.sum() * np.log(10)
        assert np.log(product) + logarithm == pytest.approx(expected, abs=1e-9, rel=1e-13)


INTERRUPTED = """
import os, signal, threading, time, torch
from tree_world.models.memory import SpatialMemory
generator = torch.Generator().manual_seed(0)
memory = SpatialMemory(2, 3, max_memory_size=3000)
memory.write(
    50 * torch.randn(3000, 2, generator=generator), 5.0, torch.randn(3000, 3, generator=generator)
)
def draw():
    return memory.sample([0.0, 0.0], 5.0, [1.0, 0.5, 0.0], 400, temperature=1.0, seed=1,
                         method="cells")
before, interrupts, drawing = draw(), 0, False
def raise_while_drawing(*_):
    global interrupts, drawing
    if drawing:
        drawing = False  # so that none comes where nobody would catch it
        interrupts += 1
        raise KeyboardInterrupt
signal.signal(signal.SIGINT, raise_while_drawing)
def interrupt():
    while not done:
        time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)
done = False
thread = threading.Thread(target=interrupt, daemon=True)
until = time.monotonic() + 4
thread.start()
while not done:
    try:
        drawing = True
        while interrupts < 150 and time.monotonic() < until:
            draw()
        drawing = False
        done = True
    except KeyboardInterrupt:
        pass
thread.join()
assert torch.equal(before, draw())
print(interrupts)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_draw_may_be_interrupted_again_and_again():
    result = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) > 20
