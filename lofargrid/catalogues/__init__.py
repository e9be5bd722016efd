"""Catalogues: what knows which files there are of an observation."""
