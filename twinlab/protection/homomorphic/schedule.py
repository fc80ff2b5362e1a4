"""How scale and modulus move through a program, stage by stage: the frame that a plan fills with numbers.

A ciphertext holds value times scale, modulo what is left of the modulus. Multiplying adds the scales in bits, squaring
doubles them, rescaling drops a prime and as many bits of the scale. If value times scale outgrows half the modulus, it
wraps around without a word. So each stage carries a guard: bits of the value, plus bits of the scale, plus a sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Step = Literal["start", "multiply", "rescale", "square"]


@dataclass(frozen=True)
class Stage:
    """Where values stand between two operations that move the scale.

    Attributes:
      operation: what led here, in words.
      step: the same as a kind.
      level: rescalings left.
    """

    operation: str
    step: Step
    level: int


def list_stages(n_squares: int, n_data_primes: int) -> tuple[Stage, ...]:
    """The stages of a program with so many squares.

    A linear program multiplies once and keeps its scale. A network multiplies and rescales, then squares, multiplies
    and rescales once per hidden layer.

    >>> [stage.operation for stage in list_stages(0, 1)]
    ['encryption', 'layer 1']
    """
    level = n_data_primes - 1
    stages = [Stage("encryption", "start", level)]
    for layer in range(1, n_squares + 2):
        if layer > 1:
            stages.append(Stage(f"square {layer - 1}", "square", level))
        stages.append(Stage(f"layer {layer}", "multiply", level))
        if n_squares:
            level -= 1
            stages.append(Stage(f"rescaling after layer {layer}", "rescale", level))
    return tuple(stages)


def count_data_primes(n_squares: int, n_last: int = 1) -> int:
    """Primes that a program with squares needs, the one for switching keys left out.

    Args:
      n_squares: squares one after the other.
      n_last: primes that are left for the answer.
    """
    return n_squares + 1 + n_last
