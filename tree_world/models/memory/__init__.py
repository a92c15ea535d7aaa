"""The spatial memory, and the rooms that it is built of.

Whoever uses a memory needs `SpatialMemory` alone. What it does is done in rooms, each of which uses
only those below it::

    spatial_memory   the face: batches, and the signatures of old (`readable_batch`, `stored_batch`)
      memory         one memory: (N, dim), and what the rooms below do with it
      forgetting     pruning and consolidating under way; `drawing`: keys that are kept ready
      kriged         reads by kriging of what is in store
      tuning         how uncertain places should count as, by leaving observations out
      saving         files and folders; `tensors`: gradients, devices, bytes
      changes        one thread at a time, whole or not at all; `assignment`: other tensors
      common         what the memories of a batch have in common; `options`, `given`: what is asked
      search         draws and searches: the scores of a key, by cells or all of them
      forget         leave one out, prune, consolidate
      store          slots, ids and ages; folders on disk; the exchange under way
      recall         reads: which way is quickest, and each of the ways
      index          cells: who is near a place
      kernel         how much two places have to do with each other
      types          observations, reads, and how to read; `projection`: fewer numbers for a sense

`policy` stands beside the face: when to forget, and how much.
"""

from tree_world.models.memory.memory import Contents, Memory
from tree_world.models.memory.options import Consolidate, DrawOptions, Expire, Prune
from tree_world.models.memory.spatial_memory import SpatialMemory
from tree_world.models.memory.store.exchange import Superseded
from tree_world.models.memory.store.task import Task
from tree_world.models.memory.types import Observations, Read, ReadOptions

__all__ = [
    "Consolidate",
    "Contents",
    "DrawOptions",
    "Expire",
    "Memory",
    "Observations",
    "Prune",
    "Read",
    "ReadOptions",
    "SpatialMemory",
    "Superseded",
    "Task",
]
