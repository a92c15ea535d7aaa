"""Embed the default vocabulary anew, into the file that comes with the library.

Usage: ``python -m tools.words``

Run it when a word is added to `tree_world.simulation.vocabulary`, or the model has a new version:
then set `_VERSION_OF_WORDS` in `tree_world/embeddings.py` first.
"""

from __future__ import annotations

import sys

from tools import settings
from tree_world.embeddings import embed_text_sentence_transformers
from tree_world.simulation import vocabulary

FOLDER = settings.ROOT / "tree_world" / "words"

WORDS = (
    *vocabulary.EDIBLE_KINDS,
    *vocabulary.POISONOUS_KINDS,
    *vocabulary.FRUIT_AMOUNTS,
    *vocabulary.TREE_IDS,
)
"""All words that a world by default smells of."""


def main() -> int:
    """Write the file."""
    for old in FOLDER.glob("vocabulary-*.safetensors"):
        old.unlink()
    embed_text_sentence_transformers(WORDS, cache_dir=FOLDER)
    for new in FOLDER.iterdir():
        print(f"{len(WORDS)} words are in {new.relative_to(settings.ROOT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
