"""The words of a tree world: kinds of fruit, names of trees, and amounts."""

from __future__ import annotations

__all__ = ["EDIBLE_KINDS", "FRUIT_AMOUNTS", "POISONOUS_KINDS", "TREE_IDS", "fruit_amount_index"]

EDIBLE_KINDS: tuple[str, ...] = (
    "apple", "banana", "cherry", "date", "elderberry", "fig", "mango", "nectarine", "orange",
    "papaya", "pear", "plum",
)  # fmt: skip

POISONOUS_KINDS: tuple[str, ...] = ("manchineel", "nightshade", "strychnine fruit", "desert rose")

TREE_IDS: tuple[str, ...] = (
    "Ada", "Alice", "Amir", "Anton", "Astrid", "Basil", "Beatrix", "Bram", "Carmen", "Cedric",
    "Chiara", "Claude", "Cora", "Dmitri", "Dora", "Edgar", "Elena", "Emil", "Esther", "Farah",
    "Felix", "Fiona", "Gabriel", "Greta", "Gustav", "Hana", "Hector", "Helga", "Hugo", "Ida",
    "Igor", "Ines", "Isaac", "Jasper", "Joan", "Jonas", "Kaya", "Klara", "Lars", "Leila",
    "Leon", "Lucia", "Magnus", "Marta", "Milo", "Mina", "Nadia", "Nils", "Nora", "Olga",
    "Oscar", "Otto", "Paula", "Pedro", "Petra", "Quentin", "Rafael", "Renata", "Rita", "Roland",
    "Rosa", "Ruben", "Sadie", "Samir", "Selma", "Silas", "Simone", "Stefan", "Tara", "Theo",
    "Tilda", "Tomas", "Uma", "Umberto", "Vera", "Victor", "Viola", "Walter", "Wanda", "Xavier",
    "Yara", "Yusuf", "Zelda", "Zeno",
)  # fmt: skip

FRUIT_AMOUNTS: tuple[str, ...] = (
    "no fruit", "one fruit", "two fruit", "several fruit", "many fruit",
)  # fmt: skip


def fruit_amount_index(count: int) -> int:
    """Position in `FRUIT_AMOUNTS` of the words for a number of fruits.

    Parameters
    ----------
    count : int
        Fruits on a tree, zero or more.

    Returns
    -------
    int
        0, 1 and 2 for themselves, 3 for three to five ("several"), 4 for more ("many").

    Raises
    ------
    ValueError
        If `count` is negative.

    Examples
    --------
    >>> [FRUIT_AMOUNTS[fruit_amount_index(count)] for count in (0, 2, 5, 6)]
    ['no fruit', 'two fruit', 'several fruit', 'many fruit']
    """
    if count < 0:
        raise ValueError(f"count must be zero or more fruits, but {count} was given.")
    if count <= 2:
        return int(count)
    return 3 if count <= 5 else 4
