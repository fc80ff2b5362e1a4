"""Exercises of the notebooks: checked offline, the same for everyone, with two levels of hints."""

from dataclasses import dataclass
from typing import Any

from twinlab.course.device_exercise import DEVICE_EXERCISES
from twinlab.course.people_exercise import PEOPLE_EXERCISES
from twinlab.course.twin_exercise import TWIN_EXERCISES
from twinlab.errors import SpecificationError

_EXERCISES = {**TWIN_EXERCISES, **DEVICE_EXERCISES, **PEOPLE_EXERCISES}


@dataclass(frozen=True)
class Verdict:
    """What `check` says about an answer."""

    exercise: str
    is_right: bool
    text: str

    def __repr__(self) -> str:
        return f"{self.exercise}: {self.text}"


def check(exercise: str, answer: Any = None, hint: int = 0) -> Verdict:
    """Check an answer to an exercise, offline.

    Args:
      exercise: its number, such as "01.2".
      answer: yours; None shows what to do first.
      hint: 1 or 2 for a hint instead of a verdict.

    Returns:
      A verdict that says why, or what to look at next.

    Raises:
      SpecificationError: if there is no such exercise.

    >>> check("01.1", "wider").is_right
    False
    """
    if exercise not in _EXERCISES:
        raise SpecificationError(f"exercise: there is no {exercise!r}; there are: {', '.join(_EXERCISES)}")
    asked = _EXERCISES[exercise]
    if hint:
        return Verdict(exercise, False, asked.hints[min(max(hint, 1), 2) - 1])
    if answer is None or answer is Ellipsis:
        return Verdict(exercise, False, f"not answered yet. tl.check({exercise!r}, hint=1) gives a first hint.")
    if asked.accepts(answer):
        return Verdict(exercise, True, f"right. {asked.why}")
    mistake = asked.mistakes.get(str(answer).strip().lower(), asked.hints[0])
    return Verdict(exercise, False, f"not yet. {mistake}")
