"""PyTorch's own stream of random numbers, drawn from in compiled code.

The generator of PyTorch is the Mersenne Twister MT19937. What ``torch.Generator.get_state`` gives
is its state as 5,056 bytes; the functions here read and change them in place and draw, to the last
bit, what ``torch.rand(())`` and small ``torch.randn`` draw. So a life may be walked in compiled
code and by a model in Python in turn, from one stream.

References
----------
M. Matsumoto and T. Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform
pseudo-random number generator", ACM Transactions on Modeling and Computer Simulation, 1998.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tree_world.compiling import compiled_exactly

# Where things are among the 632 words of eight bytes.
LEFT = 1  # numbers left, in the lower half
NEXT = 2  # index of the next one
STATE = 3  # the 624 numbers of the state, one a word
KEPT_NORMAL = 628  # the second normal number of a pair, in double precision
HAS_NORMAL = 630  # whether there is one, in the lower half

NUMBERS = 624
SHIFT = 397
LOWER_HALF = np.uint64(0xFFFFFFFF)
HIGHEST = np.uint64(0x80000000)
OTHERS = np.uint64(0x7FFFFFFF)
MATRIX = np.uint64(0x9908B0DF)
ONE = np.uint64(1)


@compiled_exactly
def refill(words: np.ndarray) -> None:
    """Make the next 624 numbers of the state of the last ones."""
    for at in range(NUMBERS):
        following = words[STATE + (at + 1) % NUMBERS]
        mixed = (words[STATE + at] & HIGHEST) | (following & OTHERS)
        number = words[STATE + (at + SHIFT) % NUMBERS] ^ (mixed >> ONE)
        if following & ONE:
            number ^= MATRIX
        words[STATE + at] = number


@compiled_exactly
def draw_bits(words: np.ndarray) -> Any:
    """Draw 32 random bits.

    Parameters
    ----------
    words : numpy.ndarray of shape (632,), uint64
        The state, which is advanced.

    Returns
    -------
    numpy.uint64
    """
    left: Any = np.int64(words[LEFT] & LOWER_HALF) - 1
    following: Any = np.int64(words[NEXT])
    if left == 0:
        refill(words)
        left, following = NUMBERS, 0
    words[LEFT] = (words[LEFT] & ~LOWER_HALF) | np.uint64(left)
    words[NEXT] = np.uint64(following + 1)
    bits = words[STATE + following]
    bits ^= bits >> np.uint64(11)
    bits ^= (bits << np.uint64(7)) & np.uint64(0x9D2C5680)
    bits ^= (bits << np.uint64(15)) & np.uint64(0xEFC60000)
    return bits ^ (bits >> np.uint64(18))


@compiled_exactly
def draw_uniform(words: np.ndarray) -> Any:
    """Draw from [0, 1) in single precision, as ``torch.rand(())`` does: 24 of 32 bits."""
    return np.float32(draw_bits(words) & np.uint64(0xFFFFFF)) * np.float32(2.0**-24)


@compiled_exactly
def draw_double(words: np.ndarray) -> Any:
    """Draw from [0, 1) in double precision: 53 of 64 bits."""
    high = draw_bits(words) << np.uint64(32)
    return np.float64((high | draw_bits(words)) & np.uint64(0x1FFFFFFFFFFFFF)) * 2.0**-53


@compiled_exactly
def draw_normal(words: np.ndarray, doubles: np.ndarray) -> Any:
    """Draw a standard normal number, as ``torch.randn`` does one by one: Box and Muller's pairs.

    Parameters
    ----------
    words : numpy.ndarray of shape (632,), uint64
        The state, which is advanced.
    doubles : numpy.ndarray of shape (632,), float64
        The same memory.

    Returns
    -------
    numpy.float32
    """
    if words[HAS_NORMAL] & LOWER_HALF:
        kept = doubles[KEPT_NORMAL]
        doubles[KEPT_NORMAL] = 0.0
        words[HAS_NORMAL] = np.uint64(0)
        return np.float32(kept)
    turn = 2.0 * math.pi * draw_double(words)
    radius = math.sqrt(-2.0 * math.log1p(-draw_double(words)))
    doubles[KEPT_NORMAL] = radius * math.sin(turn)
    words[HAS_NORMAL] = ONE
    return np.float32(radius * math.cos(turn))
