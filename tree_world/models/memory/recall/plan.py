"""Which way to read: every number that decides it, and what follows from them.

Two ways give the same read, to the precision that `ReadOptions` promises; what is weighed here is
time against time, and memory. Only sizes, deviations and options are looked at, never what was
sensed, so that a read takes the same way whatever it finds.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from tree_world.models.memory.kernel.bounds import greatest_exponent
from tree_world.models.memory.types import Observations, ReadOptions

__all__ = ["RUN"]

# --- all crossings -------------------------------------------------------------------------------
# Between which ways, and what is traded. They stand where both took about as long on processors of
# two to sixteen cores; half or twice as much costs some percent of time and changes no result.

# Which method.
FEW_PAIRS = 2**18  # up to here one block of all pairs is quickest: the rest costs calls to arrange
VERY_FEW_PAIRS = 2000  # up to here, of locally constant means, arrays of all take about as long as
# to call the compiled loop, and nothing need be compiled
NOT_WORTH_LEAVING_OUT = 512  # observations, up to which to find out what matters takes longer
MANY = 0.7  # share of all pairs that can matter, from which on leaving out the rest does not pay

# Whether the index of the memory tells what matters, or groups that are formed for this one read.
FEW_TO_READ = 2000  # observations, up to which a read without a threshold takes all of them
SMALL = 100_000  # observations, up to which to group them takes less time than to search
FOR_EACH_PLACE = 100  # observations that are put in order anew in the time of one index search
SEARCH_ALONE = 64  # queries, up to which each is a group of its own, that searches by itself
SEARCH, FETCH = 8000, 8  # observations that are compared with a query in the time of one index
# search, and in the time in which one is fetched from memory

FEW_TO_SENSE = 2000  # observations, up to which all are compared with a sense before the index says
# which of them are near enough to a guess to matter
SHARE_TO_SENSE = 0.5  # share of all that may matter, from which on to look at the rest costs less
# than to look for what does

# How queries and observations are gathered.
RUN = 512
"""Neighbouring queries that share each block of a read that looks at everything."""

QUERIES = 32
"""Most queries in a group: so few that what matters to one matters to most of the others."""

BLOCK = 2048  # observations in a block: its weights stay in the cache until they are used
OBSERVATIONS = 16  # least size of a group of observations,
BOXES = 1024  # unless there would be more groups than this, all of which each query looks at

# Which precision, and which product.
FEW_QUERIES = 8  # that take less time in double precision than to bound what single loses
SOME_QUERIES = 64  # for which to copy senses takes longer than to add up their products in parts
PART = 48  # products that are added up in single precision: at most 1e-6 off, were all alike
SINGLE = 8.0  # exponent, up to which reads come out to about 1e-6 in single precision
FEATURES = 1e6  # and up to which, to about 1e-9, in double precision by way of features, which are
# as large as the exponents
# Without a threshold or slopes, which set no store by small weights, single precision does up to
# this bound of `exponent_of_rounding`: at most 4e-5 of a weight in theory, below 1e-7 as a rule.
ROUNDING = 32.0
ROUNDING_OF_ATTENTION = 128.0  # at most 8e-5 of a weight in theory
ALIKE = 20.0  # log-affinities that differ by less are taken relative to a bound of all
RATIO = 40.0  # up to which logarithm of a ratio of variances single precision holds them

# How many threads.
PARALLEL_FROM = 4_000_000  # multiplications; below, threads take longer to wake than to work
BOUNDS = 50  # what it costs to bound a pair of boxes, in multiplications
WEIGHT = 16  # what it costs to weigh a pair, in multiplications, where no senses are averaged
BYTES = 100  # that a thread of the compiled loop needs for each observation that can matter

_DEVIATIONS_ACROSS = 3.5  # in which most of normally distributed places lie, on each axis


# --- what follows --------------------------------------------------------------------------------


def best_method(
    places: torch.Tensor,
    sds: torch.Tensor,
    observations: Observations,
    options: ReadOptions,
    *,
    has_index: bool,
    needs_gradient: bool,
) -> str:
    """Choose how to read where nobody has.

    Parameters
    ----------
    places, sds, observations, options
        As for `tree_world.models.memory.recall.reading.read`.
    has_index : bool
        Whether the index of a memory is offered.
    needs_gradient : bool

    Returns
    -------
    str
        One of the methods, but "auto"; or "few", of all pairs as arrays.
    """
    number = len(observations.locations)
    pairs = len(places) * number
    is_few = pairs <= VERY_FEW_PAIRS and options.order == "constant"
    if is_few and not needs_gradient and can_read_pairs(observations, options):
        return "few"
    if not options.mean and not needs_gradient and can_read_pairs(observations, options):
        return "sparse"  # weights are all there is to compute: the fewer the better
    if has_index and (options.match_threshold is not None or can_read_pairs(observations, options)):
        return "dense" if needs_gradient else "sparse"
    if needs_gradient or pairs <= FEW_PAIRS:
        return "dense"
    if number <= NOT_WORTH_LEAVING_OUT:
        return "chunked"
    arrays = (places, sds, observations.locations, observations.location_sds)
    all_matters = greatest_exponent(*arrays) < math.log(1 / options.tail)
    return "chunked" if all_matters and options.match_threshold is None else "sparse"


def can_read_pairs(observations: Observations, options: ReadOptions) -> bool:
    """Tell whether the compiled loop serves these observations and options.

    Parameters
    ----------
    observations : Observations
    options : ReadOptions

    Returns
    -------
    bool
    """
    own, of_places = observations.senses.dtype, observations.locations.dtype
    averaged_in = of_places if own == torch.float16 else own
    return (
        observations.senses.device.type == "cpu"
        and averaged_in in (torch.float32, torch.float64)
        and options.order in ("constant", "linear")
    )


def asks_the_index(
    num_places: int, num_observations: int, greatest_sd: float, options: ReadOptions
) -> bool:
    """Tell whether the index of a memory finds what matters sooner than groups do.

    Parameters
    ----------
    num_places, num_observations : int
    greatest_sd : float
        Of a place and an observation together, in metres.
    options : ReadOptions

    Returns
    -------
    bool
    """
    threshold = options.match_threshold
    if num_places * num_observations <= VERY_FEW_PAIRS and options.order == "constant":
        return False
    few = num_places <= max(SEARCH_ALONE, num_observations // FOR_EACH_PLACE)
    if few and (threshold is not None or num_observations > FEW_TO_READ):
        return True
    # If the threshold leaves out more than the tail may, it says what matters.
    reach = math.sqrt(-2 * math.log(options.tail)) * greatest_sd
    return threshold is not None and threshold < reach and num_observations > SMALL


def senses_by_the_index(num_observations: int) -> bool:
    """Tell whether the index says which observations are compared with a sense.

    Parameters
    ----------
    num_observations : int

    Returns
    -------
    bool
    """
    return num_observations > FEW_TO_SENSE


def block_size(num_queries: int, senses: torch.Tensor, memory_limit: int) -> int:
    """How many observations fit the memory limit, with six arrays of affinities at a time.

    Parameters
    ----------
    num_queries : int
    senses : torch.Tensor of shape (n_observations, sensory_dim)
    memory_limit : int
        In bytes.

    Returns
    -------
    int
    """
    row = 6 * num_queries * torch.float64.itemsize
    row += senses.shape[-1] * max(senses.element_size(), torch.float32.itemsize)
    fits_the_cache = max(BLOCK, BLOCK * QUERIES // num_queries)
    return max(16, min(fits_the_cache, memory_limit // row))


def group_size(places: np.ndarray, locations: np.ndarray, reach: float) -> int:
    """Balance one search for each group against what is found for the others of the group.

    Parameters
    ----------
    places : numpy.ndarray of shape (n_queries, dim)
        In metres.
    locations : numpy.ndarray of shape (n_observations, dim)
        In metres.
    reach : float
        How far from a place observations matter, in metres.

    Returns
    -------
    int
        How many queries search together.
    """
    num_places, dim = places.shape
    if num_places <= SEARCH_ALONE:
        return 1
    some = locations[:: max(1, len(locations) // 1000)]
    sides_each, sides_all = (
        np.maximum(_DEVIATIONS_ACROSS * one.std(axis=0), reach) for one in (places, some)
    )
    sizes = 2 ** np.arange(int(math.log2(QUERIES)) + 1)
    side = math.exp(np.log(sides_each).mean())
    sides = ((sizes - 1) / num_places) ** (1 / dim) * side
    # Share of all that is found, axis by axis: in many dimensions volumes leave the range.
    shares = np.minimum((sides[:, None] + 2 * reach) / sides_all, 1.0)
    found = len(locations) * shares.prod(axis=1)
    return int(sizes[np.argmin((SEARCH + FETCH * found) / sizes + found)])
