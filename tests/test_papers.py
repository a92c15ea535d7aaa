"""What goes with a release says what is so."""

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tools import words

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
NOTICE = (ROOT / "NOTICE").read_text()


MAY = re.compile(r"pickle|joblib|dill|shelve|marshal|torch\.load|\b(eval|exec)\(|yaml\.load")


def executes(text):
    """Calls that make code or objects of what they read."""
    if not MAY.search(text):
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        allowed = {k.arg: ast.unparse(k.value) for k in node.keywords}.get("allow_pickle")
        if (
            re.fullmatch(r"(pickle|joblib|dill|shelve|marshal|torch)\.(load|loads|open)", name)
            or name in ("eval", "exec", "yaml.load", "Unpickler", "pickle.Unpickler")
            or allowed not in (None, "False")
        ):
            yield name


def test_nothing_that_is_read_is_executed_but_where_security_says_so():
    found = {
        path.relative_to(ROOT / "tree_world").as_posix(): calls
        for path in (ROOT / "tree_world").rglob("*.py")
        if (calls := list(executes(path.read_text("utf-8"))))
    }
    assert found == {f"studies/{name}.py": ["pickle.loads"] for name in ("seeds", "on_workers")}
    assert "over_seeds(..., resume=folder)" in (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("pickle.loads(x)", ["pickle.loads"]),
        ("torch.load(x)", ["torch.load"]),
        ("np.load(x, allow_pickle=True)", ["np.load"]),
        ("eval(x)", ["eval"]),
        ("np.load(x, allow_pickle=False); json.loads(x); safetensors.torch.load(x)", []),
    ],
)
def test_what_would_execute_is_found(text, calls):
    assert list(executes(text)) == calls


def test_the_notice_names_what_is_shipped():
    theme = json.loads((ROOT / "book/_theme/package.json").read_text())["dependencies"]
    for package, name in (("katex", "KaTeX"), ("minisearch", "MiniSearch")):
        assert f"{name} {theme[package]}" in NOTICE
    for package in [name for name in theme if name.startswith("@fontsource")]:
        family = package.rpartition("/")[2].replace("-", " ")
        assert family in NOTICE.lower()
    assert f"Vectors of {len(words.WORDS)} words" in NOTICE
    for folder in re.findall(r"tree_world/[\w./]+\w", NOTICE):
        assert (ROOT / folder).exists(), folder


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_what_is_there(path):
    flow = yaml.safe_load(path.read_text())
    steps = [step for job in flow["jobs"].values() for step in job["steps"]]
    commands = "\n".join(step.get("run", "") for step in steps)
    for name in re.findall(r"\btests/[\w./]+", commands):
        assert (ROOT / name).exists(), name
    for extra in re.findall(r"\[([\w,]+)\]", commands):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert set(extra.split(",")) <= set(project["optional-dependencies"])


def test_the_matrix_has_four_pythons_and_three_systems():
    flow = yaml.safe_load((ROOT / ".github/workflows/library.yml").read_text())
    matrix = flow["jobs"]["library"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert len(matrix["python"]) == 4
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    minor = int(matrix["python"][-1].partition(".")[2])
    assert least == f">={matrix['python'][0]},<3.{minor + 1}"


@pytest.mark.parametrize(
    "path", [form for form in FORMS if form.stem != "config"], ids=lambda path: path.stem
)
def test_a_form_can_be_filled_in(path):
    form = yaml.safe_load(path.read_text())
    assert form["name"]
    assert form["description"]
    names = [field["id"] for field in form["body"]]
    assert len(set(names)) == len(names)
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])
