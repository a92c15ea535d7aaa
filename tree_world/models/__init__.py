"""What an agent learns: the spatial memory and the parts that it is made of."""
