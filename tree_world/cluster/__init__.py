"""Many machines: a memory in shards, over Dask.

    sharded     the face: the verbs of one memory
    fleet       shards on workers: who is asked, and what was lost with a worker
    shard       one shard: a memory that is a part of a larger one, and answers in sums
    regions     which shard has which part of the world

Dask comes with the extra ``cluster``, and is imported when a memory in shards is made.
"""

from tree_world.cluster.fleet import WritesLost
from tree_world.cluster.sharded import ShardedMemory

__all__ = ["ShardedMemory", "WritesLost"]
