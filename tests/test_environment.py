"""What is declared, what is locked and what is installed are the same."""

import importlib.metadata
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools import lock, settings

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = {name: PROJECT["optional-dependencies"][name] for name in lock.GROUPS}


def requirements_of(group):
    """What the project declares for a group and for those that come before it."""
    names = list(GROUPS)[: list(GROUPS).index(group) + 1]
    texts = [*PROJECT["dependencies"], *(text for name in names for text in GROUPS[name])]
    return [Requirement(text) for text in texts]


def read_lock(group):
    """What installing a lock installs, that of the groups before it with it."""
    pins = {}
    for line in (ROOT / "requirements" / f"{group}.lock").read_text().splitlines():
        if line.startswith("--requirement "):
            pins |= read_lock(line.removeprefix("--requirement ").removesuffix(".lock"))
        elif line and not line.startswith("#"):
            name, version = line.split("==")
            assert canonicalize_name(name) not in pins, "pinned twice"
            pins[canonicalize_name(name)] = version
    return pins


LOCKS = {group: read_lock(group) for group in GROUPS}
LOCK = LOCKS["bench"]


def installed_closure(group):
    """Everything that the declared requirements lead to, by what the installed packages declare."""
    versions = {}
    queue = [(requirement, "") for requirement in requirements_of(group)]
    seen = set()
    while queue:
        requirement, extra = queue.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) in seen:
                continue
            seen.add((name, wanted))
            distribution = importlib.metadata.distribution(name)
            versions[name] = distribution.version
            queue += [(Requirement(text), wanted) for text in distribution.requires or []]
    return versions


@pytest.mark.parametrize("group", GROUPS)
def test_a_lock_satisfies_what_is_declared(group):
    for requirement in requirements_of(group):
        version = LOCKS[group].get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in {group}.lock. Run: make lock"
        assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the locks were made on Linux")
@pytest.mark.parametrize("group", GROUPS)
def test_a_lock_holds_what_is_installed_for_its_group_and_nothing_else(group):
    if group == "bench":
        pytest.importorskip("faiss", reason="make setup installs what the benchmarks need")
    closure = installed_closure(group)
    assert len(closure) > 100
    public = {name: Version(version).public for name, version in closure.items()}
    assert public == LOCKS[group]


def test_who_reads_the_book_installs_nothing_for_tests_or_benchmarks():
    others = [Requirement(text).name for name in ("test", "bench") for text in GROUPS[name]]
    own = {Requirement(text).name for text in (*PROJECT["dependencies"], *GROUPS["book"])}
    found = {canonicalize_name(name) for name in others} & set(LOCKS["book"])
    # What Matplotlib and Jupyter bring, and what the tests name because they import it.
    assert found - {canonicalize_name(name) for name in own} <= {"packaging", "pillow", "psutil"}
    assert not {"pykeops", "keopscore", "faiss-cpu", "pytest", "mypy"} & set(LOCKS["book"])


def test_the_lock_suits_the_oldest_python():
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for name in LOCK:
        try:
            needs = importlib.metadata.metadata(name)["Requires-Python"]
        except importlib.metadata.PackageNotFoundError:
            assert name not in LOCKS["test"], f"{name} is not installed"
            continue
        assert SpecifierSet(needs or "").contains(oldest), f"{name} needs Python {needs}"


def test_the_lock_brings_no_cuda():
    assert not [name for name in LOCK if re.match(r"nvidia|triton|cuda", name)]


def test_the_locks_name_no_index_and_no_place():
    for path in (ROOT / "requirements").glob("*.lock"):
        text = path.read_text()
        assert "://" not in text
        assert " @ " not in text
        options = [line for line in text.splitlines() if line.startswith("-")]
        assert all(re.fullmatch(r"--requirement \w+\.lock", line) for line in options)


def test_versions_are_chosen_once_and_told_for_each_group(monkeypatch, tmp_path, capsys):
    """The locks that are written hold the same versions as those that lie there."""

    def choose(extras, constraints):
        pins = [f"{name}=={version}" for name, version in LOCKS[extras[-1]].items()]
        assert f"torch=={LOCK['torch']}" in constraints
        return [pin for pin in pins if len(constraints) < 10 or pin in constraints]

    monkeypatch.setattr(lock, "resolve", choose)
    monkeypatch.setattr(settings, "LOCKS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["lock", LOCK["torch"]])
    assert lock.main() == 0
    for group in GROUPS:
        written, stored = (
            (folder / f"{group}.lock").read_text() for folder in (tmp_path, ROOT / "requirements")
        )
        assert [line for line in written.splitlines() if line.startswith(("#", "-"))] == [
            line for line in stored.splitlines() if line.startswith(("#", "-"))
        ]
        assert set(written.split()) == set(stored.split())
    assert f"{len(LOCK)} versions" in capsys.readouterr().out


def test_conda_gives_the_same_environment():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    pins = dict(item.partition("=")[::2] for item in conda)
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(pins["python"])
    assert pins["pytorch-cpu"] == LOCK["torch"]
    assert {"pip", "make"} <= set(pins)
    assert pip == {"pip": ["--requirement requirements/book.lock", "--editable ."]}
    assert environment["name"] == PROJECT["name"]


def test_the_makefile_locks_the_same_pytorch():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^TORCH := (.*)$", makefile, re.MULTILINE).group(1) == LOCK["torch"]


def test_the_theme_pins_every_package_and_names_no_host():
    package = json.loads((ROOT / "book/_theme/package.json").read_text())
    for group in ("dependencies", "devDependencies"):
        assert all(re.fullmatch(r"[\d.]+", version) for version in package[group].values())
    assert "resolved" not in (ROOT / "book/_theme/package-lock.json").read_text()
