"""Who lives in a tree world by what it knows: ways, plans, bounds, and the agents that use them."""
