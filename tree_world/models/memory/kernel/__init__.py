"""How much two uncertain places have to do with each other: log k, and its bounds."""
