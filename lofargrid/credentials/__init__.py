"""Credentials: what proves on the grid who somebody is, and what of it is still good for how long."""
