"""Who is near a place: cells of a memory that grows by one each step."""
