"""Forgetting that keeps what is read: leave one out, prune, consolidate.

Each module uses only those below it::

    consolidation   virtual observations, fitted to what the memory says
    pruning         which observations can go, with a certificate
      crowds        where all pairs of neighbours would be too many
      certificate   whether what has gone is still told, found out by reading
      removal       what goes first, one by one
        greedy      the same, in compiled loops
    leave_one_out   what a memory says of each place without the observation there
      neighbours    who is near whom, and how much that counts
    report          what pruning did
"""
