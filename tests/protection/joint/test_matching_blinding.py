"""Points of the curve and secrets: what commutes, what is converted, and what is refused."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.protection.joint.blinding import (
    _SMALL_ORDER,
    FIELD_PRIME,
    GROUP_ORDER,
    blind_points,
    draw_point,
    draw_secret,
    find_converter,
    hash_identifier,
    is_point,
    normalize_identifier,
)

#: By Euler's criterion, the slow way.
EXPONENT = (FIELD_PRIME - 1) // 2


def write(number):
    return number.to_bytes(32, "little")


def test_secrets_are_clamped_and_fresh():
    drawn = {draw_secret() for _ in range(50)}
    assert len(drawn) == 50
    assert all(secret % 8 == 0 and secret >> 254 == 1 for secret in drawn)


def test_blinding_commutes_and_a_converter_turns_one_secret_into_another():
    for _ in range(20):
        first, second, third = draw_secret(), draw_secret(), draw_secret()
        points = [hash_identifier("ann", secrets.token_bytes(4)), draw_point()]
        assert blind_points(blind_points(points, first), second) == blind_points(blind_points(points, second), first)
        both = blind_points(blind_points(points, first), second)
        assert blind_points(both, find_converter(first, third)) == blind_points(blind_points(points, third), second)


def test_a_converter_that_cannot_be_clamped_is_refused():
    old = draw_secret()
    with pytest.raises(ValueError, match="draw anew"):
        find_converter(old, (2**252 + 1) * old * 8 % GROUP_ORDER)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, FIELD_PRIME - 1))
def test_a_point_is_on_the_curve_by_the_slow_criterion_too(number):
    on_curve = pow(number * (number * number + 486662 * number + 1), EXPONENT, FIELD_PRIME) == 1
    assert is_point(write(number)) == (on_curve and number not in _SMALL_ORDER)


def test_points_of_small_order_are_those_that_a_secret_takes_to_zero():
    for number in _SMALL_ORDER:
        assert not is_point(write(number))
        with pytest.raises(ValueError, match="shared key"):
            blind_points([write(number)], draw_secret())


def test_a_number_of_another_form_is_no_point():
    assert is_point(write(9))
    for value in (write(9)[:31], write(9) + b"\0", write(FIELD_PRIME + 9), write(9 + 2**255), b""):
        assert not is_point(value)


def test_blinding_a_point_beside_the_curve_shows_and_that_is_why_it_is_refused():
    """The positive control: a point of the twist is known again after every blinding."""
    twist = next(write(number) for number in range(2, 99) if not is_point(write(number)))
    for _ in range(30):
        assert not is_point(blind_points([twist], draw_secret())[0])
        assert is_point(blind_points([draw_point()], draw_secret())[0])


def test_an_identifier_has_one_point_a_session_and_it_is_on_the_curve():
    points = [hash_identifier(f"{number}", context) for number in range(40) for context in (b"a", b"b")]
    assert len(set(points)) == 80
    assert all(map(is_point, points))
    assert hash_identifier("\ud800", b"a") == hash_identifier("\ud800", b"a")  # half a character is no reason to fail


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (" Ann@Example.org\n", "ann@example.org"),
        ("１２３", "123"),  # wide digits
        ("e\u0301", "\u00e9"),
        ("STRASSE", "straße"),
        ("\u00a0ann", "ann"),
    ],
)
def test_what_differs_in_writing_only_is_the_same_person(written, same):
    assert normalize_identifier(written) == normalize_identifier(same)
    assert normalize_identifier(normalize_identifier(written)) == normalize_identifier(written)


def test_what_differs_otherwise_is_another_person():
    texts = ["0123", "123", "12 3", "ann-1", "ann_1"]
    assert len(set(map(normalize_identifier, texts))) == len(texts)
