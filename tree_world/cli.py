"""The command ``tree-world``: live a life, look after memories, embed words.

Each command is a thin face on the library, which is imported when it is needed, so that help comes
at once. An error is one line, that says what was given and what to do; the exit status is then 1,
or 2 where the command itself was wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from tree_world.models.memory import SpatialMemory
    from tree_world.simulation import AgentModel, Recording, TreeWorld

__all__ = ["AGENTS", "main", "parser"]

_STEPS_AT_ONCE = 50  # between two looks at the progress bar

AGENTS = {
    "explorer": "walks to what it sees, and on (chapter 1)",
    "forager": "remembers, tells food from poison, plans (chapter 8)",
    "resting": "stays where it is",
    "wanderer": "walks at random, and heeds nothing",
}
"""Who can live, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status: 0, or 1 after an error, which was told.

    Raises
    ------
    SystemExit
        After help; with the status 2 if the arguments are wrong.
    """
    given = parser().parse_args(arguments)
    try:
        given.command(given)
    except KeyboardInterrupt:
        print("tree-world: interrupted", file=sys.stderr)
        return 130
    except (ImportError, OSError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        print(f"tree-world: error: {told}", file=sys.stderr)
        return 1
    return 0


# --- a life --------------------------------------------------------------------------------------


def live(given: argparse.Namespace) -> None:
    """Live in a world, tell how it went, and keep it.

    Parameters
    ----------
    given : argparse.Namespace
        World, agent, steps, and the files to write.
    """
    _check_place(given.save, ".npz")
    _check_place(given.gif, ".gif")
    if given.gif is not None:
        import tree_world.plotting  # noqa: F401  # if it cannot be had, that is said before a life
    from tree_world.simulation import TreeWorld, TreeWorldConfig

    config = TreeWorldConfig.model_validate({})
    agent = _agent(given.agent, config)
    world = TreeWorld.random_from_config(config, seed=given.world_seed, model=agent)
    if given.life_seed is not None:
        world.reset(given.life_seed)
    recording = _lived(world, given.steps, given.quiet)
    if given.save is not None:
        _save_life(given, recording, world)
    if given.gif is not None:
        _save_film(given.gif, recording, world)
    _tell(given, _summary(given, recording))


def _agent(name: str, config: Any) -> AgentModel:
    from tree_world.simulation import Exploring, Resting

    if name == "forager":
        from tree_world.agents import ByDrive, Forager
        from tree_world.models.drives import train_drive_classifier

        drives, _ = train_drive_classifier(config)
        return Forager(lambda: ByDrive(drives))
    if name == "resting":
        return Resting()
    return Exploring(config.max_step_length, uses_sight=name == "explorer")


def _lived(world: TreeWorld, steps: int, quiet: bool) -> Recording:
    from tqdm import tqdm

    from tree_world.simulation.recording import joined

    parts = [world.run(0)]
    with tqdm(total=steps, unit="step", disable=quiet, file=sys.stderr, leave=False) as bar:
        while bar.n < steps and world.agent.is_alive:
            number = min(_STEPS_AT_ONCE, steps - bar.n)
            parts.append(world.run(number))
            if quiet:
                bar.n += number
            else:
                bar.update(number)
    return joined([part for part in parts if part is not None])


def _save_life(given: argparse.Namespace, life: Recording, world: TreeWorld) -> None:
    import numpy as np

    import tree_world

    trees = [world.trees[number] for number in range(len(world.trees))]
    _save_arrays(
        given.save,
        **{name: getattr(life, name) for name in life.__dataclass_fields__},
        tree_locations=world.locations.numpy(),
        tree_kinds=np.array([tree.name for tree in trees]),
        tree_is_poisonous=world.is_poisonous.numpy(),
        config=np.array(world.config.model_dump_json()),
        world_seed=np.array(given.world_seed),
        life_seed=np.array(given.world_seed if given.life_seed is None else given.life_seed),
        agent=np.array(given.agent),
        version=np.array(tree_world.__version__),
    )


def _save_film(path: Path, life: Recording, world: TreeWorld) -> None:
    import matplotlib as mpl

    from tree_world.plotting import use_book_style
    from tree_world.plotting.film import save_film

    with mpl.rc_context():
        use_book_style()
        save_film(life, world, path)


def _summary(given: argparse.Namespace, life: Recording) -> str:
    import numpy as np

    way = float(np.linalg.norm(np.diff(life.positions, axis=0), axis=1).sum())
    poisonous = int((life.meal_healths < 0).sum())
    end = "died" if life.died else f"health {life.healths[-1]:.0f}"
    files = [str(path) for path in (given.save, given.gif) if path is not None]
    return (
        f"{life.num_steps} of {given.steps} steps, {end}; {len(life.meal_steps)} meals, of them "
        f"{poisonous} poisonous; {way / 1000:.2f} km"
        + (f"; written: {', '.join(files)}" if files else "")
    )


# --- memories ------------------------------------------------------------------------------------


def memory_info(given: argparse.Namespace) -> None:
    """Tell what a memory holds.

    Parameters
    ----------
    given : argparse.Namespace
        With the file or folder.
    """
    memory = _loaded(given.memory)
    for name, value in _facts(memory, given.memory):
        print(f"{name:<16}{value}")


def _facts(memory: SpatialMemory, path: Path) -> list[tuple[str, str]]:
    num_rows = len(memory.common.rows)
    rows = [memory[number] for number in range(num_rows)]
    used = memory.usage()
    held = " + ".join(f"{len(row):,}" for row in rows)
    facts = [
        ("kept in", f"{'file' if path.is_file() else 'folder'} {path}"),
        ("in use", f"{sum(used.values()):,} bytes, of them {used['disk']:,} on disk"),
        ("observations", f"{held} of at most {memory.max_memory_size:,}"),
        ("places", f"{memory.location_dim} dimensions, {memory.dtype}"),
        ("senses", f"{memory.embed_dim} of {memory.sensory_dim} numbers, {memory.storage_dtype}"),
    ]
    for number, row in enumerate(rows):
        if len(row):
            places = row.observations().locations
            low, high = (edge.tolist() for edge in (places.amin(0), places.amax(0)))
            spans = ", ".join(f"{a:g} to {b:g}" for a, b in zip(low, high, strict=True))
            facts.append(("from, to" if num_rows == 1 else f"row {number}", spans))
    return facts


def memory_prune(given: argparse.Namespace) -> None:
    """Forget what the rest of a memory tells as well.

    Parameters
    ----------
    given : argparse.Namespace
        With the memory, where to keep what is left, and how much may be lost.
    """
    if (given.to is None) == (not given.in_place):
        given.refuse("give either a new file to write to, or --in-place")
    if given.to is not None:
        _check_place(given.to, ".safetensors", new=True)
    memory = _loaded(given.memory)
    report = memory.prune(given.max_error, given.match_threshold, given.max_steps)
    if given.to is not None:
        memory.save(given.to)
    elif given.memory.is_dir():
        memory.checkpoint()
    else:
        memory.save(given.memory)
    _tell(
        given,
        f"{report.num_kept:,} of {report.num_before:,} observations are kept in "
        f"{given.to or given.memory}; what went is told with an error of at most "
        f"{report.worst_error:.3g}",
    )


def memory_convert(given: argparse.Namespace) -> None:
    """Write a memory in today's format, as a file or as a folder.

    Parameters
    ----------
    given : argparse.Namespace
        With the memory and where to write it.
    """
    from tree_world.models.memory import SpatialMemory

    to_file = given.to.suffix == ".safetensors"
    _check_place(given.to, given.to.suffix, new=to_file)
    if to_file:
        memory = _loaded(given.memory)
        memory.save(given.to)
    else:
        memory = SpatialMemory.load(given.memory, storage=given.to)
        memory.checkpoint()
    _tell(given, f"{_number_in(memory):,} observations are in {given.to}")


def _loaded(path: Path) -> SpatialMemory:
    from tree_world.models.memory import SpatialMemory

    return SpatialMemory.load(path)


def _number_in(memory: SpatialMemory) -> int:
    return sum(len(row) for row in memory.common.rows)


# --- words ---------------------------------------------------------------------------------------


def embed(given: argparse.Namespace) -> None:
    """Give words as vectors.

    Parameters
    ----------
    given : argparse.Namespace
        With the words, the model, and a file to write.
    """
    _check_place(given.save, ".npz")
    from tree_world.embeddings import DEFAULT_MODEL, embed_text_sentence_transformers

    vectors = embed_text_sentence_transformers(given.words, given.model or DEFAULT_MODEL).numpy()
    if given.save is not None:
        import numpy as np

        _save_arrays(given.save, words=np.array(given.words), vectors=vectors)
        count, width = vectors.shape
        _tell(given, f"{count} words of {width} numbers are in {given.save}")
        return
    for word, vector in zip(given.words, vectors, strict=True):
        print(word, *(f"{number:.6g}" for number in vector), sep="\t")


# --- files ---------------------------------------------------------------------------------------


def _save_arrays(path: Path, **arrays: Any) -> None:
    import io

    import numpy as np

    from tree_world.files import write_atomically

    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_atomically(path, content.getvalue())


def _check_place(path: Path | None, suffix: str, new: bool = False) -> None:
    """Say before the work, and not after it, that what comes of it cannot be written."""
    if path is None:
        return
    if path.suffix != suffix:
        raise ValueError(f"{path} must end in {suffix}: give another name.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}: make it first.")
    if path.is_dir() and suffix:
        raise IsADirectoryError(f"{path} is a folder, not a file: give another name.")
    if new and path.exists():
        raise FileExistsError(f"{path} is there already: remove it, or give another name.")


def _tell(given: argparse.Namespace, text: str) -> None:
    if not given.quiet:
        print(text)


# --- what can be asked for -----------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """One that tells an error in one line, and knows those of its commands."""

    def with_commands(self) -> Iterator[Parser]:
        """Give this one, and those of its commands, and of theirs."""
        yield self
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    yield from command.with_commands()

    def error(self, message: str) -> NoReturn:
        """Tell an error of the command line, and end with the status 2."""
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number, {least} or more, but {text!r} was given"
            )
        return value

    return number


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, but {text!r} was given")
    return value


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import tree_world

        print(f"tree-world {tree_world.__version__}")
        parser.exit()


def parser() -> Parser:
    """Make what understands the arguments, and writes the help.

    Returns
    -------
    Parser
        An `argparse.ArgumentParser`; its `with_commands` gives those of the commands, too.

    Examples
    --------
    >>> [one.prog for one in parser().with_commands()][:2]
    ['tree-world', 'tree-world live']
    """
    made = _command(
        None,
        "tree-world",
        "Fruit trees that smell like words, an agent that lives there, and its memory.",
        "tree-world live --world-seed 14 --agent forager --steps 5000 --gif life.gif",
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print the version, and end")
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_live(commands)
    _add_memory(commands)
    _add_embed(commands)
    return made


def _command(commands: Any, name: str, about: str, *examples: str) -> Parser:
    """Make a parser whose help ends with examples."""
    end = "\n".join(["examples:" if len(examples) > 1 else "example:", *examples])
    choices: dict[str, Any] = {
        "description": about,
        "epilog": end.replace("\n", "\n  ") if examples else None,
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
    if commands is None:
        return Parser(name, **choices)
    made: Parser = commands.add_parser(name, help=about.partition("\n")[0], **choices)
    return made


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", "-q", action="store_true", help="print nothing but errors")


def _add_live(commands: Any) -> None:
    agents = "\n".join(f"  {name:<10}{about}" for name, about in AGENTS.items())
    parser = _command(
        commands,
        "live",
        "live in a world, and keep the life as arrays or as a film\n\nWhoever has no health left "
        f"dies, and the life ends before its last step.\nThe agents:\n{agents}\n\n"
        'The film needs Matplotlib: pip install "tree-world[plot]".',
        "tree-world live --world-seed 14 --agent forager --steps 5000 --save life.npz",
        "tree-world live --steps 500 --gif life.gif",
        "python -c \"import numpy; print(numpy.load('life.npz')['positions'])\"",
    )
    whole = _whole(0)
    parser.add_argument(
        "--world-seed", type=whole, default=0, metavar="N", help="which world, and life (default 0)"
    )
    parser.add_argument(
        "--life-seed", type=whole, metavar="N", help="another life in the same world"
    )
    parser.add_argument(
        "--agent", choices=sorted(AGENTS), default="explorer", help="who lives (default explorer)"
    )
    parser.add_argument(
        "--steps", type=_whole(1), default=1500, metavar="N", help="how long (default 1500)"
    )
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help="arrays of NumPy, to write")
    parser.add_argument("--gif", type=Path, metavar="FILE.gif", help="a film, to write")
    _add_quiet(parser)
    parser.set_defaults(command=live)


def _add_memory(commands: Any) -> None:
    about = "look after a memory that was saved, in a file or in a folder"
    parser = _command(commands, "memory", about, "tree-world memory info smells.safetensors")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    path: dict[str, Any] = {"type": Path, "metavar": "MEMORY"}
    what = "the file that `save` wrote, or the folder that was given as `storage`"

    info = _command(
        verbs, "info", "tell what a memory holds", "tree-world memory info smells.safetensors"
    )
    info.add_argument("memory", help=what, **path)
    info.set_defaults(command=memory_info)

    prune = _command(
        verbs,
        "prune",
        "forget what the rest of a memory tells as well\n\nThe old file is there until the new one "
        "is complete, whatever happens.",
        "tree-world memory prune smells.safetensors fewer.safetensors",
        "tree-world memory prune smells --in-place --match-threshold 25",
    )
    prune.add_argument("memory", help=what, **path)
    prune.add_argument("to", nargs="?", type=Path, metavar="NEW.safetensors", help="file to write")
    prune.add_argument("--in-place", action="store_true", help="change the memory itself")
    prune.add_argument(
        "--max-error",
        type=_positive,
        default=0.05,
        metavar="E",
        help="how far off a sense may be that is told by the rest (default 0.05)",
    )
    prune.add_argument(
        "--match-threshold",
        type=_positive,
        metavar="M",
        help="metres within which observations tell each other (default: any)",
    )
    prune.add_argument(
        "--max-steps", type=_whole(1), default=10, metavar="N", help="rounds (default 10)"
    )
    _add_quiet(prune)
    prune.set_defaults(command=memory_prune, refuse=prune.error)

    convert = _command(
        verbs,
        "convert",
        "write a memory in today's format, as a file or as a folder\n\nA name that ends in "
        ".safetensors is that of a file; any other is that of a\nfolder, from which senses are "
        "read as they are needed.\nThe old memory stays as it is.",
        "tree-world memory convert smells smells.safetensors",
        "tree-world memory convert smells.safetensors smells",
    )
    convert.add_argument("memory", help=what, **path)
    convert.add_argument("to", type=Path, metavar="NEW", help="file or folder to write")
    _add_quiet(convert)
    convert.set_defaults(command=memory_convert)


def _add_embed(commands: Any) -> None:
    parser = _command(
        commands,
        "embed",
        "give words as vectors: a line for each, its numbers after it\n\nWords of the default "
        'vocabulary come along; others need\npip install "tree-world[embeddings]".',
        "tree-world embed apple pear nightshade",
        "tree-world embed apple 'strychnine fruit' --save words.npz",
    )
    parser.add_argument("words", nargs="+", metavar="WORD")
    parser.add_argument("--model", metavar="NAME", help="a folder with a model, or a name on a hub")
    parser.add_argument("--save", type=Path, metavar="FILE.npz", help="write `words` and `vectors`")
    _add_quiet(parser)
    parser.set_defaults(command=embed)


if __name__ == "__main__":
    sys.exit(main())
