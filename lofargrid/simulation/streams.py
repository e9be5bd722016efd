"""Randomness by name: what one part draws does not disturb another."""

import random


class Streams:
    """All randomness of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> random.Random:
        """A stream of its own for a name: the same for the same seed, from its beginning at each call."""
        return random.Random(f"{self.seed}:{name}")
