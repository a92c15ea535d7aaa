"""The command tree-world: each part is called as the shell calls it, most in this process."""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import tree_world
from tree_world import cli
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.models.memory import SpatialMemory
from tree_world.simulation import TreeWorld, TreeWorldConfig

ROOT = Path(__file__).resolve().parent.parent
WRITTEN_BY_0_1 = Path(__file__).parent / "models" / "written-by-0.1"

COMMANDS = [[], ["live"], ["memory"], ["memory", "info"], ["memory", "prune"], ["embed"]]


def refused(capsys, arguments, status=1):
    """What is told of an error: one line, and nothing else."""
    if status == 2:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
    else:
        assert cli.main(arguments) == status
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("tree-world")
    return told.err


# --- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [*COMMANDS, ["memory", "convert"]], ids=" ".join)
def test_help_teaches_by_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "\nexample" in told
    assert f"\n  {' '.join(['tree-world', *command])} " in told
    assert max(len(line) for line in told.splitlines()) <= 100


def test_examples_of_the_help_are_understood(capsys):
    for command in (*COMMANDS, ["memory", "convert"]):
        with pytest.raises(SystemExit):
            cli.main([*command, "-h"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    examples = {tuple(words[1:]) for words in lines if words[:1] == ["tree-world"]}
    assert len(examples) >= 8
    for words in examples:
        assert callable(cli.parser().parse_args([word.strip("'") for word in words]).command)


def test_help_comes_without_pytorch():
    code = """
import sys
from tree_world import cli
try:
    cli.main(["live", "-h"])
finally:
    print([name for name in ("torch", "numpy") if name in sys.modules], file=sys.stderr)
"""
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert result.stderr.strip() == "[]"


def test_the_command_and_its_version(capsys):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["tree-world"].partition(":")
    assert getattr(importlib.import_module(module), name) is cli.main
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tree-world {tree_world.__version__}\n"


# --- lives ---------------------------------------------------------------------------------------


def test_a_life_is_that_of_the_library(tmp_path, capsys):
    path = tmp_path / "life.npz"
    assert cli.main(["live", "--world-seed", "14", "--steps", "220", "--save", str(path)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("220 of 220 steps, health ")
    assert told.out.endswith(f"written: {path}\n")
    assert "220" in told.err, "there was no progress bar"
    world = TreeWorld.random_from_config(TreeWorldConfig(), seed=14)
    life = world.run(220)
    assert len(life.meal_steps)
    with np.load(path, allow_pickle=False) as kept:
        for name in ("positions", "headings", "healths", "meal_steps", "meal_trees"):
            np.testing.assert_array_equal(kept[name], getattr(life, name))
        np.testing.assert_array_equal(kept["tree_locations"], world.locations)
        assert kept["tree_kinds"].tolist() == [tree.name for tree in world.trees]
        assert json.loads(str(kept["config"])) == json.loads(world.config.model_dump_json())
        assert int(kept["world_seed"]) == int(kept["life_seed"]) == 14


def test_another_life_in_the_same_world(tmp_path, capsys):
    lives = []
    for seed in ("3", "4"):
        path = tmp_path / f"{seed}.npz"
        given = ["live", "--life-seed", seed, "--steps", "5", "--save", str(path), "--quiet"]
        assert cli.main(given) == 0
        lives.append(np.load(path))
    np.testing.assert_array_equal(lives[0]["tree_locations"], lives[1]["tree_locations"])
    assert not np.array_equal(lives[0]["headings"][0], lives[1]["headings"][0])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("agent", ["forager", "resting", "wanderer"])
def test_each_agent_lives(agent, capsys):
    assert cli.main(["live", "--agent", agent, "--steps", "12"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("12 of 12 steps, health ")
    assert ("0.00 km" in told) == (agent == "resting")


def test_a_life_may_end_early(capsys):
    assert cli.main(["live", "--agent", "resting", "--steps", "5000"]) == 0
    assert "of 5000 steps, died; 0 meals" in capsys.readouterr().out


def test_a_life_as_a_film(tmp_path):
    from PIL import Image

    path = tmp_path / "life.gif"
    assert cli.main(["live", "--steps", "6", "--gif", str(path), "--quiet"]) == 0
    with Image.open(path) as film:
        assert film.format == "GIF"
        assert film.n_frames >= 7
        assert min(film.size) > 300
    assert [each.name for each in tmp_path.iterdir()] == ["life.gif"]


def test_a_film_without_matplotlib_is_refused_before_the_life(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tree_world.plotting")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(tree_world, "plotting", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(cli, "_lived", None)
    told = refused(capsys, ["live", "--gif", str(tmp_path / "life.gif")])
    assert 'needs matplotlib, which is not installed. Run: pip install "tree-world[plot]"' in told


# --- memories ------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """A file with a memory of which much is told by the rest."""
    generator = torch.Generator().manual_seed(1)
    memory = SpatialMemory(2, 4, max_memory_size=100)
    memory.write(
        20 * torch.rand(60, 2, generator=generator),
        5.0,
        torch.ones(60, 4),
        times=torch.arange(60).double(),
    )
    path = tmp_path / "smells.safetensors"
    memory.save(path)
    return path


def same(one, other):
    """Whether two memories hold the same, under the same names."""
    return all(
        torch.equal(ours, theirs)
        for ours, theirs in zip(one[0].observations(), other[0].observations(), strict=True)
    ) and torch.equal(one.ids[0], other.ids[0])


def test_what_a_memory_holds_is_told(saved, capsys):
    assert cli.main(["memory", "info", str(saved)]) == 0
    told = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert told["observations"] == "60 of at most 100"
    assert told["senses"] == "4 of 4 numbers, torch.float32"
    assert "2 dimensions" in told["places"]


def test_each_memory_of_a_batch_is_told(tmp_path, capsys):
    memory = SpatialMemory(2, 3)
    memory.write(torch.tensor([[[0.0, 1.0]], [[2.0, 3.5]]]), 1.0, torch.ones(2, 1, 3))
    memory.save(tmp_path / "two.safetensors")
    assert cli.main(["memory", "info", str(tmp_path / "two.safetensors")]) == 0
    told = capsys.readouterr().out
    assert "1 + 1 of at most 1,024" in told
    assert "row 1           2 to 2, 3.5 to 3.5" in told


def test_a_memory_is_pruned_into_a_new_file(saved, tmp_path, capsys):
    before, new = saved.read_bytes(), tmp_path / "fewer.safetensors"
    assert cli.main(["memory", "prune", str(saved), str(new)]) == 0
    assert "of 60 observations are kept in" in capsys.readouterr().out
    assert saved.read_bytes() == before
    by_hand = SpatialMemory.load(saved)
    by_hand.prune(0.05)
    assert len(by_hand) < 60
    assert same(SpatialMemory.load(new), by_hand)
    told = refused(capsys, ["memory", "prune", str(saved), str(new)])
    assert "is there already: remove it, or give another name" in told


def test_a_memory_is_pruned_in_place_or_stays_as_it_was(saved, tmp_path, capsys, monkeypatch):
    before = saved.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left" in refused(capsys, ["memory", "prune", str(saved), "--in-place"])
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [saved]
    assert cli.main(["memory", "prune", str(saved), "--in-place", "--quiet"]) == 0
    assert len(SpatialMemory.load(saved)) < 60
    assert capsys.readouterr() == ("", "")


def test_a_memory_goes_into_a_folder_and_comes_back(saved, tmp_path, capsys):
    folder, back = tmp_path / "smells", tmp_path / "back.safetensors"
    assert cli.main(["memory", "convert", str(saved), str(folder)]) == 0
    assert capsys.readouterr().out == f"60 observations are in {folder}\n"
    loaded = SpatialMemory.load(folder)
    assert same(loaded, SpatialMemory.load(saved))
    assert loaded.usage()["disk"] > 0
    assert "in use by another memory" in refused(capsys, ["memory", "info", str(folder)])
    del loaded
    assert cli.main(["memory", "convert", str(folder), str(back)]) == 0
    assert same(SpatialMemory.load(back), SpatialMemory.load(saved))
    capsys.readouterr()
    assert "holds a memory already" in refused(
        capsys, ["memory", "convert", str(saved), str(folder)]
    )
    another = str(tmp_path / "another")
    assert "load it without storage" in refused(capsys, ["memory", "convert", str(folder), another])
    assert not Path(another).exists()
    assert cli.main(["memory", "prune", str(folder), "--in-place"]) == 0
    assert len(SpatialMemory.load(folder)) < 60


def test_a_memory_of_0_1_is_written_as_today(tmp_path):
    old = next(WRITTEN_BY_0_1.rglob("*.safetensors"))
    new = tmp_path / "new.safetensors"
    assert cli.main(["memory", "convert", str(old), str(new), "--quiet"]) == 0
    assert b"tree-world-memory-3" in new.read_bytes()
    assert same(SpatialMemory.load(new), SpatialMemory.load(old))


# --- words ---------------------------------------------------------------------------------------


def test_words_are_printed_or_saved(tmp_path, capsys):
    assert cli.main(["embed", "apple", "desert rose"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["apple", "desert rose"]
    expected = embed_text_sentence_transformers(["apple", "desert rose"]).numpy()
    printed = np.array([row[1:] for row in rows], dtype=float)
    np.testing.assert_allclose(printed, expected, rtol=1e-5)
    path = tmp_path / "words.npz"
    assert cli.main(["embed", "apple", "desert rose", "--save", str(path)]) == 0
    with np.load(path, allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["vectors"], expected)
        assert kept["words"].tolist() == ["apple", "desert rose"]


def test_a_new_word_without_a_model_names_the_extra(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TREE_WORLD_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    told = refused(capsys, ["embed", "quince", "medlar"])
    assert "'quince', 'medlar' are new" in told
    assert 'pip install "tree-world[embeddings]"' in told


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["sing"], "invalid choice: 'sing'"),
        (["live", "--steps", "0"], "must be a whole number, 1 or more, but '0' was given"),
        (["live", "--world-seed", "1.5"], "must be a whole number, 0 or more, but '1.5'"),
        (["live", "--agent", "nobody"], "invalid choice: 'nobody'"),
        (["memory"], "the following arguments are required: COMMAND"),
        (["memory", "prune", "here"], "give either a new file to write to, or --in-place"),
        (["memory", "prune", "a", "b", "--in-place"], "either a new file to write to, or"),
        (["memory", "prune", "a", "b", "--max-error", "-1"], "a positive number, but '-1' was"),
        (["embed"], "the following arguments are required: WORD"),
    ],
)
def test_a_wrong_command_is_told_in_a_line(arguments, message, capsys):
    told = refused(capsys, arguments, status=2)
    assert message in told
    assert "--help)" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["live", "--save", "life.txt"], "life.txt must end in .npz: give another name."),
        (["live", "--gif", "nowhere/life.gif"], "no folder nowhere for life.gif: make it first."),
        (["memory", "info", "none.safetensors"], "there is no file none.safetensors"),
        (["memory", "info", "broken"], "the file broken is not a spatial memory"),
        (["memory", "prune", "broken", "new"], "new must end in .safetensors"),
        (["embed", " "], "item 0 is ' '"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("broken").write_bytes(b"nothing")
    assert message in refused(capsys, arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_an_interrupt_ends_it(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_lived", interrupt)
    assert refused(capsys, ["live"], status=130) == "tree-world: interrupted\n"
