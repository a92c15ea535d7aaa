"""Files are written whole or not at all, where they are asked for, and for whom the umask says."""

import os
import stat
import subprocess
import sys

import pytest

from tree_world.files import replaced_atomically, write_atomically

posix = pytest.mark.skipif(os.name != "posix", reason="there are no such permissions here")


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@posix
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_the_umask_says_who_may_read_a_new_file(tmp_path, umask):
    code = (
        "import os, pathlib, sys\n"
        "from tree_world.files import write_atomically\n"
        f"os.umask({umask})\n"
        "write_atomically(pathlib.Path(sys.argv[1]), b'new')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "new")], check=True)
    assert mode_of(tmp_path / "new") == 0o666 & ~umask


@posix
def test_links_that_lead_to_each_other_are_no_place_to_write(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.symlink_to(other)
    other.symlink_to(one)
    with pytest.raises(OSError, match="one"):
        write_atomically(one, b"new")
    assert sorted(tmp_path.iterdir()) == [one, other]


@posix
def test_a_file_that_takes_the_place_of_another_has_its_permissions(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with replaced_atomically(path) as temporary:
        temporary.unlink()  # as writers do that make a file of their own
        temporary.write_bytes(b"new")
        temporary.chmod(0o600)
    assert mode_of(path) == 0o640
    assert path.read_bytes() == b"new"


@posix
@pytest.mark.parametrize("exists", [False, True])
def test_what_a_symbolic_link_leads_to_is_written(tmp_path, exists):
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    link.symlink_to("elsewhere/target")
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, GeneratorExit])
def test_whatever_is_raised_the_old_file_stays_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), replaced_atomically(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
