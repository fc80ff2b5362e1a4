"""What an exercise is: what counts as right, why, and how to help."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """What counts as right, why, and how to help someone who is not there yet."""

    accepts: Callable[[Any], bool]
    why: str
    hints: tuple[str, str]
    mistakes: Mapping[str, str]


def says(*words: str) -> Callable[[Any], bool]:
    """Accept any of these words, however they are written."""
    return lambda answer: str(answer).strip().lower() in words


def near(value: float, tolerance: float) -> Callable[[Any], bool]:
    """Accept a number near this one."""

    def accepts(answer: Any) -> bool:
        try:
            return math.isclose(float(answer), value, abs_tol=tolerance)
        except (TypeError, ValueError):
            return False

    return accepts
