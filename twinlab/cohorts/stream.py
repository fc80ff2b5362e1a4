"""Random streams in which person i always meets the same numbers, however many people are simulated beside them."""

from typing import Final

import numpy as np

PEOPLE_PER_BLOCK: Final = 64

# What a stream is for. Streams of different purposes are independent, so that changing what the sensor does, say,
# leaves the days that people live untouched.
PERSON, DAY, SENSOR = 0, 1, 2


class PeopleStream:
    """Random numbers whose last axis is people.

    People are dealt to blocks of `PEOPLE_PER_BLOCK`; each block has a generator of its own and always draws for all of
    its seats. So a person's numbers depend on the seed, the purpose and the person's position alone.

    Args:
      seed: which world.
      purpose: `PERSON`, `DAY` or `SENSOR`.
      n_people: how many people are drawn for.
      first_person: position of the first of them; a multiple of `PEOPLE_PER_BLOCK`.
    """

    def __init__(self, seed: int, purpose: int, n_people: int, first_person: int = 0) -> None:
        """Open the generators of the blocks in which these people sit."""
        if first_person % PEOPLE_PER_BLOCK:
            raise ValueError(f"first_person: expected a multiple of {PEOPLE_PER_BLOCK}, got {first_person}")
        first_block = first_person // PEOPLE_PER_BLOCK
        n_blocks = -(-n_people // PEOPLE_PER_BLOCK)
        self._n_people = n_people
        self._generators = [
            np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(purpose, block))))
            for block in range(first_block, first_block + n_blocks)
        ]

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal float32 (*shape, person)."""
        drawn = [
            generator.standard_normal((*shape, PEOPLE_PER_BLOCK), dtype=np.float32) for generator in self._generators
        ]
        return np.concatenate(drawn, axis=-1)[..., : self._n_people]

    def uniform(self, *shape: int) -> np.ndarray:
        """Uniform on [0, 1), float32 (*shape, person)."""
        drawn = [generator.random((*shape, PEOPLE_PER_BLOCK), dtype=np.float32) for generator in self._generators]
        return np.concatenate(drawn, axis=-1)[..., : self._n_people]
