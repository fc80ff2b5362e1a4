import pytest

from twinlab.course import _EXERCISES, check
from twinlab.errors import SpecificationError

RIGHT = {
    **{"00.1": "learn", "00.2": "no"},
    **{"01.1": "Narrower ", "01.2": 0.5, "01.3": "readings"},
    **{"03.1": 3.97, "03.2": 84, "03.3": "Population"},
    **{"04.1": "no", "04.2": "twin, zero budget", "04.3": "far more"},
    **{"05.1": "no", "05.2": "local", "05.3": "No"},
    **{"06.1": "no", "06.2": 9, "06.3": "Noise"},
    **{"02.1": "yes", "02.2": "no", "02.3": "times"},
    **{"07.1": 41, "07.2": 1, "07.3": "The key"},
    "08.1": 3,
    "08.2": "noise",
    "08.3": "no",
    "08.4": 1.5,
    "09.1": 0.05,
    "09.2": "no",
    "09.3": 0,
    "09.4": "marginals",
    "10.1": "part",
    "10.2": "no",
    "10.3": 20,
    "13.1": "hide",
    "13.2": "no",
    "13.3": "the same",
}


def test_every_exercise_has_an_answer_here():
    assert set(RIGHT) == set(_EXERCISES)


@pytest.mark.parametrize("exercise", _EXERCISES)
def test_the_right_answer_passes_and_says_why(exercise):
    verdict = check(exercise, RIGHT[exercise])
    assert verdict.is_right
    assert "right." in repr(verdict)


@pytest.mark.parametrize("exercise", _EXERCISES)
@pytest.mark.parametrize("answer", ["something else", 17, float("nan"), [], object()])
def test_a_wrong_answer_gets_a_hint_and_never_an_error(exercise, answer):
    verdict = check(exercise, answer)
    assert not verdict.is_right
    assert "not yet." in repr(verdict)


@pytest.mark.parametrize("exercise", _EXERCISES)
def test_every_known_mistake_is_wrong_and_explained(exercise):
    for mistake, explanation in _EXERCISES[exercise].mistakes.items():
        verdict = check(exercise, mistake)
        assert not verdict.is_right
        assert explanation in verdict.text


@pytest.mark.parametrize("exercise", _EXERCISES)
def test_no_answer_is_no_failure_and_two_hints_differ(exercise):
    assert "not answered yet" in check(exercise).text
    assert "not answered yet" in check(exercise, ...).text
    assert check(exercise, hint=1).text != check(exercise, hint=2).text


def test_an_unknown_exercise_names_those_there_are():
    with pytest.raises(SpecificationError, match=r"01\.2"):
        check("99.9", 1)
