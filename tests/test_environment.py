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

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]


def read_lock():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


LOCK = read_lock()


def installed_closure():
    """Everything that the declared requirements lead to, by what the installed packages declare."""
    versions = {}
    queue = [(requirement, "") for requirement in DECLARED]
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


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_the_lock_satisfies_what_is_declared(requirement):
    version = LOCK.get(canonicalize_name(requirement.name))
    assert version is not None, "not in requirements.lock. Run: make lock"
    assert requirement.specifier.contains(version, prereleases=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the lock was made on Linux")
def test_the_lock_is_complete_and_holds_what_is_installed():
    closure = installed_closure()
    assert len(closure) > 100
    public = {name: Version(version).public for name, version in closure.items()}
    assert public == {name: LOCK[name] for name in public}
    assert set(LOCK) == set(public)


def test_the_lock_suits_the_oldest_python():
    oldest = PROJECT["requires-python"].removeprefix(">=") + ".0"
    for name in LOCK:
        needs = importlib.metadata.metadata(name)["Requires-Python"]
        assert SpecifierSet(needs or "").contains(oldest), f"{name} needs Python {needs}"


def test_the_lock_brings_no_cuda():
    assert not [name for name in LOCK if re.match(r"nvidia|triton|cuda", name)]


def test_the_lock_names_no_index_and_no_place():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--" not in text
    assert " @ " not in text


def test_conda_gives_the_same_environment():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    pins = dict(item.partition("=")[::2] for item in conda)
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(pins["python"])
    assert pins["pytorch-cpu"] == LOCK["torch"]
    assert {"pip", "make"} <= set(pins)
    assert pip == {"pip": ["--requirement requirements.lock", "--editable ."]}
    assert environment["name"] == PROJECT["name"]


def test_the_makefile_locks_the_same_pytorch():
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^TORCH := (.*)$", makefile, re.MULTILINE).group(1) == LOCK["torch"]


def test_the_theme_pins_every_package_and_names_no_host():
    package = json.loads((ROOT / "book/_theme/package.json").read_text())
    for group in ("dependencies", "devDependencies"):
        assert all(re.fullmatch(r"[\d.]+", version) for version in package[group].values())
    assert "resolved" not in (ROOT / "book/_theme/package-lock.json").read_text()
