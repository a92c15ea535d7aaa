"""The spatial memory, and the rooms that it is built of.

Whoever uses a memory needs `SpatialMemory` alone. What it does is done in rooms, each of which uses
only those below it::

    spatial_memory   the face: batches, one thread at a time, whole or not at all
      search         draws and searches: the scores of a key, by cells or all of them
      forget         leave one out, prune, consolidate
      store          slots, ids and ages; folders on disk; the exchange under way
      recall         reads: which way is quickest, and each of the ways
      index          cells: who is near a place
      kernel         how much two places have to do with each other
      types          observations, reads, and how to read; `projection`: fewer numbers for a sense

`policy` stands beside the face: when to forget, and how much.
"""

from tree_world.models.memory.spatial_memory import SpatialMemory
from tree_world.models.memory.types import Observations, Read, ReadOptions

__all__ = ["Observations", "Read", "ReadOptions", "SpatialMemory"]
