"""Which part may use which."""

import ast
import subprocess
import sys
from pathlib import Path

import tree_world

PACKAGE = Path(tree_world.__file__).parent
# A part may import from parts of a lower rank, and from its own.
RANKS = {
    "files": 0,
    "validation": 0,
    "embeddings": 1,
    "simulation": 2,
    "models": 3,
    "evaluation": 3,
    "plotting": 4,
    "dark_figures": 5,
}


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_parts(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tree_world"):
            parts = node.module.split(".")
            if len(parts) > 1:
                yield parts[1]
            else:
                yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("tree_world."):
                    yield alias.name.split(".")[1]


def test_imports_point_one_way():
    seen = 0
    for path in PACKAGE.rglob("*.py"):
        own = part_of(path)
        if own == "__init__":
            continue
        for other in imported_parts(path):
            seen += 1
            assert other == own or RANKS[other] < RANKS[own], f"{path.name} imports {other}"
    assert seen > 10


def test_the_simulation_needs_no_heavy_packages():
    heavy = ["sentence_transformers", "transformers", "matplotlib", "sklearn", "scipy", "pandas"]
    code = f"""
import sys
import tree_world.simulation
print([name for name in {heavy!r} if name in sys.modules])
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
