"""One step of a life, compiled: the only place where a life is computed.

A world that lives alone (`TreeWorld`) and many side by side (`Worlds`) call the same functions, so
that a life is the same to the last bit in both. All arithmetic of places is in single precision.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tree_world.compiling import compiled_exactly, fused
from tree_world.simulation.stream import draw_normal, draw_uniform

# Columns of the choices of a life: of the world and the body, of eyes and nose, of the walker, of
# the ground.
MAX_FRUIT, REGROWTH_STEPS, EAT_DISTANCE, MAX_HEALTH, MOVE_COST, REST_COST = 0, 1, 2, 3, 4, 5
SIGHT_REACH, TOLERANCE, TWICE_TIME, AMOUNT_DISTANCE = 6, 7, 8, 9
WALKS, HEEDS_SIGHT, LONGEST_STEP, TURN_SD = 10, 11, 12, 13
PERIOD = 14  # in metres; zero where the ground does not repeat
NUM_CHOICES = 15

NEVER = np.iinfo(np.int64).max  # when a tree regrows that is full
NUM_AMOUNTS = 5  # words for amounts of fruit
NONE = -1  # no tree

LEAST_LENGTH = np.float32(1e-12)
PER_LOG_2 = np.float32(1.4426950408889634)
LOG_2_HIGH, LOG_2_LOW = np.float32(0.693145751953125), np.float32(1.428606765330187e-06)
# Of a polynomial for (exp(x) − 1 − x) / x² on |x| ≤ log(2) / 2.
EXP_6, EXP_5 = np.float32(0.00019852761), np.float32(0.0013930436)
EXP_4, EXP_3 = np.float32(0.0083333608), np.float32(0.041666485)
EXP_2, EXP_1 = np.float32(0.16666667), np.float32(0.5)
SMALLEST = np.float32(-87.0)  # below it, a share of a scent is taken for none


@compiled_exactly
def regrow(time: int, fruit_counts: np.ndarray, regrows_at: np.ndarray, max_fruit: Any) -> None:
    """Let the trees whose time has come bear all their fruit again."""
    for tree in range(len(regrows_at)):
        if regrows_at[tree] <= time:
            fruit_counts[tree] = max_fruit
            regrows_at[tree] = NEVER


@compiled_exactly
def offset_of(there: Any, here: Any, period: float) -> Any:
    """Give how far it is from here to there along an axis: to the nearest image, if it repeats."""
    if period == 0:
        return np.float32(there - here)
    # In double precision, so that a place far away is as good as its image. Halves go down, not to
    # the even number, which a shift by one period would change.
    offset = np.float64(there) - np.float64(here)
    return np.float32(offset - period * math.floor(offset / period + 0.5))


@compiled_exactly
def measure(
    position: np.ndarray, locations: np.ndarray, period: float, distances: np.ndarray
) -> None:
    """Write down how far each tree is, in metres."""
    for tree in range(len(locations)):
        squares = np.float32(0.0)
        for axis in range(len(position)):
            offset = position[axis] - locations[tree, axis]
            if period != 0:
                offset = offset_of(position[axis], locations[tree, axis], period)
            squares = fused(offset, offset, squares)
        distances[tree] = math.sqrt(squares)


@compiled_exactly
def look(
    position: np.ndarray,
    heading: np.ndarray,
    locations: np.ndarray,
    distances: np.ndarray,
    choices: np.ndarray,
) -> int:
    """Find the tree that is seen: the nearest in reach within the cone; `NONE` if there is none."""
    reach, tolerance = np.float32(choices[SIGHT_REACH]), np.float32(choices[TOLERANCE])
    seen, least = NONE, np.float32(np.inf)
    for tree in range(len(locations)):
        distance = distances[tree]
        if distance > reach or not distance < least:
            continue
        along = np.float32(0.0)
        for axis in range(len(position)):
            offset = offset_of(locations[tree, axis], position[axis], choices[PERIOD])
            along += offset * heading[axis]
        if along > tolerance * distance or distance == 0:
            seen, least = tree, distance
    return seen


@compiled_exactly
def exponential(x: Any) -> Any:
    """Exponential of a number of single precision from −87 to 0, to within an ulp.

    Written out, as those of libraries differ in their last bits.
    """
    halvings = np.float32(np.rint(x * PER_LOG_2))
    rest = fused(halvings, -LOG_2_HIGH, x)
    rest = fused(halvings, -LOG_2_LOW, rest)
    series = fused(EXP_6, rest, EXP_5)
    series = fused(series, rest, EXP_4)
    series = fused(series, rest, EXP_3)
    series = fused(series, rest, EXP_2)
    series = fused(series, rest, EXP_1)
    near_one = np.float32(1.0) + fused(rest * rest, series, rest)
    return near_one * np.int32((np.int32(halvings) + 127) << 23).view(np.float32)


@compiled_exactly
def amount_word(count: int) -> int:
    """Index of the word for an amount of fruit: none, one, two, several, many."""
    return min(count, 2) if count <= 2 else (3 if count <= 5 else 4)


@compiled_exactly
def smell(
    distances: np.ndarray,
    fruit_counts: np.ndarray,
    sources: np.ndarray,
    choices: np.ndarray,
    strengths: np.ndarray,
    scent: np.ndarray,
) -> None:
    """Add up the scents: strengths times sources, which are the trees and the words for amounts.

    Parameters
    ----------
    distances : numpy.ndarray of shape (num_trees,)
    fruit_counts : numpy.ndarray of shape (num_trees,)
    sources : numpy.ndarray of shape (num_trees + 5, embed_dim)
    choices : numpy.ndarray of shape (NUM_CHOICES,)
    strengths : numpy.ndarray of shape (num_trees + 5,)
        Room to work in.
    scent : numpy.ndarray of shape (embed_dim,)
        Written to.
    """
    num_trees = len(distances)
    twice_time = np.float32(choices[TWICE_TIME])
    amount_distance = np.float32(choices[AMOUNT_DISTANCE])
    for tree in range(num_trees):
        exponent = -(distances[tree] * distances[tree]) / twice_time
        strength = exponential(max(exponent, SMALLEST))
        strengths[tree] = strength if exponent >= SMALLEST else np.float32(0.0)
    strengths[num_trees:] = np.float32(0.0)
    for tree in range(num_trees):
        if distances[tree] <= amount_distance:
            strengths[num_trees + amount_word(fruit_counts[tree])] += strengths[tree]
    add_up(strengths, sources, scent)


@compiled_exactly
def add_four(
    shares: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray, sum_: np.ndarray
) -> None:
    """Add four vectors by their shares, so that the sum is read and written once for four."""
    of_a, of_b, of_c, of_d = shares[0], shares[1], shares[2], shares[3]
    for entry in range(len(sum_)):
        total = fused(of_a, a[entry], sum_[entry])
        total = fused(of_b, b[entry], total)
        total = fused(of_c, c[entry], total)
        sum_[entry] = fused(of_d, d[entry], total)


@compiled_exactly
def add_up(strengths: np.ndarray, sources: np.ndarray, scent: np.ndarray) -> None:
    """Sum the sources by their strengths in their order, those of no strength left out."""
    scent[:] = np.float32(0.0)
    chosen = np.empty(4, dtype=np.int64)
    shares = np.empty(4, dtype=np.float32)
    count = 0
    for source in range(len(strengths)):
        if strengths[source] == 0:
            continue
        chosen[count], shares[count] = source, strengths[source]
        count += 1
        if count == 4:
            a, b, c, d = chosen[0], chosen[1], chosen[2], chosen[3]
            add_four(shares, sources[a], sources[b], sources[c], sources[d], scent)
            count = 0
    for which in range(count):
        share, vector = shares[which], sources[chosen[which]]
        for entry in range(len(scent)):
            scent[entry] = fused(share, vector[entry], scent[entry])


@compiled_exactly
def eat(
    time: int,
    distances: np.ndarray,
    fruit_counts: np.ndarray,
    regrows_at: np.ndarray,
    fruit_values: np.ndarray,
    health: np.ndarray,
    choices: np.ndarray,
) -> int:
    """Eat a fruit of the nearest tree in reach that bears one; give the tree, or `NONE`."""
    reach = np.float32(choices[EAT_DISTANCE])
    eaten, least = NONE, np.float32(np.inf)
    for tree in range(len(distances)):
        if distances[tree] <= reach and fruit_counts[tree] > 0 and distances[tree] < least:
            eaten, least = tree, distances[tree]
    if eaten != NONE:
        fruit_counts[eaten] -= 1
        regrows_at[eaten] = time + np.int64(choices[REGROWTH_STEPS])
        health[0] = min(max(0.0, health[0] + fruit_values[eaten]), choices[MAX_HEALTH])
    return eaten


@compiled_exactly
def length_of(vector: np.ndarray) -> Any:
    """Give the length of a vector."""
    squares = np.float32(0.0)
    for axis in range(len(vector)):
        squares = fused(vector[axis], vector[axis], squares)
    return np.float32(math.sqrt(squares))


@compiled_exactly
def normalise(vector: np.ndarray) -> None:
    """Give a vector length one, in place."""
    length = max(length_of(vector), LEAST_LENGTH)
    for axis in range(len(vector)):
        vector[axis] /= length


@compiled_exactly
def draw_heading(words: np.ndarray, doubles: np.ndarray, heading: np.ndarray) -> None:
    """Draw the first heading of a life, evenly from the sphere."""
    for axis in range(len(heading)):
        heading[axis] = draw_normal(words, doubles)
    normalise(heading)


@compiled_exactly
def explore(
    words: np.ndarray,
    doubles: np.ndarray,
    heading: np.ndarray,
    seen_distance: Any,
    longest: float,
    turn_sd: float,
    step: np.ndarray,
) -> None:
    """Walk to what is seen, else turn a little and take a random step; see `walkers.Exploring`.

    Parameters
    ----------
    words, doubles : numpy.ndarray of shape (632,)
        The stream, twice.
    heading : numpy.ndarray of shape (dim,)
        Turned in place.
    seen_distance : numpy.float32
        In metres; negative where nothing is seen.
    longest, turn_sd : float
    step : numpy.ndarray of shape (dim,)
        Written to.
    """
    if seen_distance >= 0:
        length = min(seen_distance, np.float32(longest))
    else:
        for axis in range(len(heading)):
            heading[axis] += np.float32(turn_sd) * draw_normal(words, doubles)
        normalise(heading)
        length = np.float32(longest) * draw_uniform(words)
    for axis in range(len(heading)):
        step[axis] = heading[axis] * length


@compiled_exactly
def perceive(
    time: np.ndarray,
    fruit_counts: np.ndarray,
    regrows_at: np.ndarray,
    locations: np.ndarray,
    sources: np.ndarray,
    position: np.ndarray,
    heading: np.ndarray,
    choices: np.ndarray,
    distances: np.ndarray,
    strengths: np.ndarray,
    scent: np.ndarray,
) -> int:
    """Begin a step: time passes, fruit regrows, the agent looks and smells.

    Parameters
    ----------
    time : numpy.ndarray of shape (1,)
    fruit_counts, regrows_at : numpy.ndarray of shape (num_trees,)
    locations : numpy.ndarray of shape (num_trees, dim)
    sources : numpy.ndarray of shape (num_trees + 5, embed_dim)
    position, heading : numpy.ndarray of shape (dim,)
    choices : numpy.ndarray of shape (NUM_CHOICES,)
    distances : numpy.ndarray of shape (num_trees,)
        Written to.
    strengths : numpy.ndarray of shape (num_trees + 5,)
        Room to work in.
    scent : numpy.ndarray of shape (embed_dim,), or (0,)
        Written to; of length zero where nobody smells.

    Returns
    -------
    int
        The tree that is seen, or `NONE`.
    """
    time[0] += 1
    regrow(time[0], fruit_counts, regrows_at, np.int64(choices[MAX_FRUIT]))
    measure(position, locations, choices[PERIOD], distances)
    if len(scent) > 0:
        smell(distances, fruit_counts, sources, choices, strengths, scent)
    return look(position, heading, locations, distances, choices)


@compiled_exactly
def walk(
    words: np.ndarray,
    doubles: np.ndarray,
    position: np.ndarray,
    heading: np.ndarray,
    health: np.ndarray,
    seen_distance: Any,
    choices: np.ndarray,
    step: np.ndarray,
) -> None:
    """End a step: one of the walkers moves or rests, and pays for it."""
    if choices[WALKS] == 0:
        health[0] = max(0.0, health[0] - choices[REST_COST])
        return
    heeded = seen_distance if choices[HEEDS_SIGHT] != 0 else np.float32(-1.0)
    explore(words, doubles, heading, heeded, choices[LONGEST_STEP], choices[TURN_SD], step)
    for axis in range(len(position)):
        position[axis] += step[axis]
    health[0] = max(0.0, health[0] - choices[MOVE_COST])


@compiled_exactly
def live(
    words: np.ndarray,
    time: np.ndarray,
    fruit_counts: np.ndarray,
    regrows_at: np.ndarray,
    fruit_values: np.ndarray,
    locations: np.ndarray,
    sources: np.ndarray,
    position: np.ndarray,
    heading: np.ndarray,
    health: np.ndarray,
    choices: np.ndarray,
    scent: np.ndarray,
    positions: np.ndarray,
    headings: np.ndarray,
    healths: np.ndarray,
    meals: np.ndarray,
) -> int:
    """Let one of the walkers live in a world, until it dies or there is no more room.

    Parameters
    ----------
    words : numpy.ndarray of shape (632,), uint64
        The stream.
    time, fruit_counts, regrows_at, fruit_values, locations, sources, position, heading, health, \
    choices, scent : numpy.ndarray
        As for `perceive` and `eat`.
    positions, headings : numpy.ndarray of shape (num_steps, dim), or of one row
        Each step is written to a row of its own, or to the last one where there are no more.
    healths : numpy.ndarray of shape (num_steps,), or (1,)
        Likewise.
    meals : numpy.ndarray of shape (num_steps,)
        The trees that were eaten from, or `NONE`.

    Returns
    -------
    int
        Steps lived.
    """
    doubles = words.view(np.float64)
    distances = np.empty(len(locations), dtype=np.float32)
    strengths = np.empty(len(sources), dtype=np.float32)
    step = np.empty(len(position), dtype=np.float32)
    last = len(healths) - 1
    for lived in range(len(meals)):
        if health[0] <= 0:
            return lived
        seen = perceive(
            time,
            fruit_counts,
            regrows_at,
            locations,
            sources,
            position,
            heading,
            choices,
            distances,
            strengths,
            scent,
        )
        meals[lived] = eat(
            time[0], distances, fruit_counts, regrows_at, fruit_values, health, choices
        )
        if health[0] > 0:
            seen_distance = distances[seen] if seen != NONE else np.float32(-1.0)
            walk(words, doubles, position, heading, health, seen_distance, choices, step)
        row = min(lived, last)
        # Number by number: an array at once takes seconds to compile.
        for axis in range(len(position)):
            positions[row, axis], headings[row, axis] = position[axis], heading[axis]
        healths[row] = health[0]
    return len(meals)


@compiled_exactly
def step_all(
    words: np.ndarray,
    times: np.ndarray,
    fruit_counts: np.ndarray,
    regrows_at: np.ndarray,
    fruit_values: np.ndarray,
    locations: np.ndarray,
    sources: np.ndarray,
    positions: np.ndarray,
    headings: np.ndarray,
    healths: np.ndarray,
    choices: np.ndarray,
    scents: np.ndarray,
    seen: np.ndarray,
    seen_distances: np.ndarray,
    meals: np.ndarray,
    walkers_walk: bool,
    first: int,
    last: int,
) -> None:
    """Let walkers take one step in each of many worlds; the dead stay as they are.

    Parameters
    ----------
    words, times, fruit_counts, regrows_at, fruit_values, locations, sources, positions, headings, \
    healths, choices : numpy.ndarray
        As for `live`, with one axis more before the others: the worlds.
    scents : numpy.ndarray of shape (num_worlds, embed_dim), or (num_worlds, 0)
        Written to, as the following ones.
    seen : numpy.ndarray of shape (num_worlds,)
        Trees, or `NONE`.
    seen_distances : numpy.ndarray of shape (num_worlds,)
        In metres; negative where no tree is seen.
    meals : numpy.ndarray of shape (num_worlds,)
        Trees, or `NONE`.
    walkers_walk : bool
        False leaves the end of the step, after the meals, to `move_all`.
    first, last : int
        The worlds from the first one to before the last one.
    """
    distances = np.empty(locations.shape[1], dtype=np.float32)
    strengths = np.empty(sources.shape[1], dtype=np.float32)
    step = np.empty(positions.shape[1], dtype=np.float32)
    for world in range(first, last):
        seen[world], seen_distances[world], meals[world] = NONE, np.float32(-1.0), NONE
        health = healths[world]
        if health[0] <= 0:
            continue
        time, fruit, due = times[world], fruit_counts[world], regrows_at[world]
        position, heading, chosen = positions[world], headings[world], choices[world]
        found = perceive(
            time,
            fruit,
            due,
            locations[world],
            sources[world],
            position,
            heading,
            chosen,
            distances,
            strengths,
            scents[world],
        )
        seen[world] = found
        if found != NONE:
            seen_distances[world] = distances[found]
        meals[world] = eat(time[0], distances, fruit, due, fruit_values[world], health, chosen)
        if walkers_walk and health[0] > 0:
            stream = words[world]
            doubles = stream.view(np.float64)
            walk(stream, doubles, position, heading, health, seen_distances[world], chosen, step)


@compiled_exactly
def move_all(
    positions: np.ndarray,
    headings: np.ndarray,
    healths: np.ndarray,
    choices: np.ndarray,
    steps: np.ndarray,
    new_headings: np.ndarray,
    rests: np.ndarray,
) -> None:
    """End a step of many worlds as somebody else has decided; the dead stay as they are.

    Parameters
    ----------
    positions, headings, healths, choices : numpy.ndarray
        As for `step_all`.
    steps, new_headings : numpy.ndarray of shape (num_worlds, dim)
    rests : numpy.ndarray of shape (num_worlds,), bool
        Who rests, whatever its step is.
    """
    for world in range(len(positions)):
        if healths[world, 0] <= 0:
            continue
        cost = choices[world, REST_COST] if rests[world] else choices[world, MOVE_COST]
        for axis in range(positions.shape[1]):
            headings[world, axis] = new_headings[world, axis]
            if not rests[world]:
                positions[world, axis] += steps[world, axis]
        healths[world, 0] = max(0.0, healths[world, 0] - cost)
