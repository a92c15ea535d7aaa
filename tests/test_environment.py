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


def pins_of(name):
    """What a lock and those before it name: the lines, without hashes."""
    pins = []
    for line in (ROOT / "requirements" / f"{name}.lock").read_text().splitlines():
        if line.startswith("--requirement "):
            pins += pins_of(line.removeprefix("--requirement ").removesuffix(".lock"))
        elif line and line[0] not in "# ":
            pins.append(Requirement(line.removesuffix(" \\")))
    return pins


def read_lock(group, environment=None):
    """What installing a lock installs, that of the groups before it with it: by default, here."""
    pins = {}
    for pin in pins_of(group):
        if pin.marker is None or pin.marker.evaluate(environment):
            (exactly,) = pin.specifier
            assert exactly.operator == "=="
            version = pins.setdefault(canonicalize_name(pin.name), exactly.version)
            assert version == exactly.version, f"{pin.name} is pinned twice"
    return pins


DECLARED = {
    f"{each['sys_platform']}-{each['platform_machine']}-{each['python_version']}": each
    for each in lock.declared()
}
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


@pytest.mark.parametrize("name", DECLARED)
def test_a_lock_has_all_that_is_declared_on_each_system(name):
    """By markers alone; `make lock` asks whether there are wheels."""
    for group in GROUPS:
        pins = read_lock(group, DECLARED[name])
        for requirement in requirements_of(group):
            version = pins[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version, prereleases=True)
    windows = "win32" in name
    assert ("pywinpty" in pins, "colorama" in pins, "pexpect" in pins) == (
        *(windows, windows, not windows),
    )
    assert ("appnope" in pins) == ("darwin" in name)
    assert ("overrides" in pins) == name.endswith("3.11")


def test_all_but_pytorch_has_hashes():
    for environment in DECLARED.values():
        hashed = read_lock("hashes", environment)
        assert hashed | {"torch": LOCK["torch"]} == read_lock("bench", environment)
        assert "torch" not in hashed
    text = (ROOT / "requirements" / "hashes.lock").read_text()
    block = r"^\w.*(?: \\\n    --hash=sha256:[0-9a-f]{64})+$"
    assert len(re.findall(block, text, re.MULTILINE)) == len(pins_of("hashes")) > 200


def test_the_pythons_that_are_declared_are_told():
    told = [text for text in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", text)]
    assert [text.rpartition(" ")[2] for text in told] == lock.pythons()
    assert len(DECLARED) == len(lock.pythons()) * len(lock.SYSTEMS)
    workflow = yaml.safe_load((ROOT / ".github/workflows/library.yml").read_text())
    assert workflow["jobs"]["library"]["strategy"]["matrix"]["python"] == lock.pythons()
    readme = (ROOT / "README.md").read_text()
    for python in lock.pythons():
        assert f"\n| {python} |" in readme


@pytest.mark.skipif(sys.platform != "linux", reason="what is compared was installed on Linux")
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
    oldest = f"{lock.pythons()[0]}.0"
    for name in LOCK:
        try:
            needs = importlib.metadata.metadata(name).get("Requires-Python")
        except importlib.metadata.PackageNotFoundError:
            assert name not in LOCKS["test"], f"{name} is not installed"
            continue
        assert SpecifierSet(needs or "").contains(oldest), f"{name} needs Python {needs}"


def test_the_lock_brings_no_cuda():
    locked = [*pins_of("bench"), *pins_of("hashes")]
    assert not [pin.name for pin in locked if re.match(r"nvidia|triton|cuda", pin.name)]


def test_the_locks_name_no_index_and_no_place():
    for path in (ROOT / "requirements").glob("*.lock"):
        text = path.read_text()
        assert "://" not in text
        assert " @ " not in text
        options = [line for line in text.splitlines() if line.startswith("-")]
        assert all(re.fullmatch(r"--requirement \w+\.lock", line) for line in options)


@pytest.mark.parametrize("keep", [False, True])
def test_versions_are_chosen_once_and_told_for_each_group(monkeypatch, tmp_path, capsys, keep):
    """The locks that are written hold the same versions as those that lie there."""
    stored = {group: (ROOT / "requirements" / f"{group}.lock").read_text() for group in GROUPS}
    asked = []

    def choose(extras, constraints, preferred=(), hashes=False):
        number = list(GROUPS).index(extras[-1]) + 1
        texts = "".join(list(stored.values())[:number])
        pins = re.findall(r"^\w.*==.*$", texts, re.MULTILINE)
        assert f"torch=={LOCK['torch']}" in constraints
        asked.append(list(preferred))
        if hashes:
            return [f"{pin} \\\n    --hash=sha256:{'0' * 64}" for pin in pins]
        return [pin for pin in pins if len(constraints) < 10 or pin in constraints]

    for group, text in stored.items():
        (tmp_path / f"{group}.lock").write_text(text)
    monkeypatch.setattr(settings, "LOCKS", tmp_path)
    monkeypatch.setattr(lock, "HASHES", tmp_path / "hashes.lock")
    monkeypatch.setattr(lock, "resolve", choose)
    monkeypatch.setattr(lock, "complaint_of", lambda command: "" if "uv" in command else "no hash")
    assert lock.main([LOCK["torch"], *(["--keep"] if keep else [])]) == 1
    assert bool(asked[0]) == keep
    assert not keep or f"torch=={LOCK['torch']}" in asked[0]
    for group, text in stored.items():
        assert (tmp_path / f"{group}.lock").read_text() == text
    hashed = (tmp_path / "hashes.lock").read_text()
    assert "torch==" not in hashed
    assert hashed.count("--hash") == len(asked[0] or lock.locked()) - 1
    told = capsys.readouterr()
    assert "versions are in book.lock, test.lock, bench.lock" in told.out
    assert told.err == "requirements/hashes.lock does not hold: no hash\n"


def test_a_marker_that_always_holds_is_left_out(monkeypatch):
    """And what no declared system wants, and CUDA, which pip brings where it is asked for."""
    written = [
        "annotated-doc==1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb",
        "appnope==1.0 ; sys_platform == 'darwin'",
        "psutil==7.2 ; sys_platform != 'android' \\\n    --hash=sha256:cc",
        "jsfetch==1.0 ; sys_platform == 'emscripten'",
        "nvidia-cublas==13.1 ; sys_platform == 'linux'",
        "torch==2.13.0+cpu",
    ]

    def run(command, **options):
        assert options["check"]
        Path(command[command.index("--output-file") + 1]).write_text("\n".join(written) + "\n")

    monkeypatch.setattr(lock.subprocess, "run", run)
    assert lock.resolve(["book"], []) == [
        *written[:2],
        "psutil==7.2 \\\n    --hash=sha256:cc",
        "torch==2.13.0",
    ]


def test_each_python_and_system_is_asked_for_wheels(monkeypatch):
    asked = []

    def complaint(command):
        system, _, python = command[command.index("--python-platform") + 1 :]
        asked.append((system, python))
        text = Path(command[command.index("--requirement") + 1]).read_text()
        assert f"torch=={LOCK['torch']}" in text
        assert "pykeops" not in text
        return "no wheel" if asked[-1] == ("aarch64-apple-darwin", "3.13") else ""

    monkeypatch.setattr(lock, "complaint_of", complaint)
    assert lock.check_wheels() == ["Python 3.13 on macOS arm64: no wheel"]
    assert len(set(asked)) == len(DECLARED)


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
