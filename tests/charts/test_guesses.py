"""Guesses beside the truth: surest first, right ones by a word and a shape, one written large."""

import math
import re

import pandas as pd
import pytest

from twinlab import charts
from twinlab.charts.picture import make_svg
from twinlab.errors import SpecificationError


def make_frame():
    rows = [("days 1", "person 2", "person 1", 0.2, False), ("days 2", "person 2", "person 2", 0.999, True),
            ("days 3", "person 3", "person 3", math.nan, True)]  # fmt: skip
    return pd.DataFrame(rows, columns=["target", "guess", "truth", "sureness", "is_right"])


def read_words(chart):
    return re.findall(r"<text[^>]*>([^<]+)", make_svg(chart.to_dict()))


def test_the_surest_comes_first_and_who_does_not_say_last():
    rows = charts.make_guesses(make_frame()).data["guesses"]
    assert rows["target"].tolist() == ["days 2", "days 1", "days 3"]
    assert rows["sure"].tolist() == ["over 99% sure", "20% sure", "does not say"]
    assert rows["y"].is_monotonic_increasing


def test_right_and_wrong_are_told_by_words_and_shapes():
    chart = charts.draw_guesses(make_frame())
    words = read_words(chart)
    assert (words.count("right"), words.count("wrong")) == (2, 1)
    assert "2 of 3 right (67%), surest first" in words
    shapes = [layer["encoding"]["shape"]["scale"] for layer in chart.to_dict()["layer"] if "shape" in layer["encoding"]]
    assert [dict(zip(shape["domain"], shape["range"], strict=True)) for shape in shapes] == [
        {"right": "circle", "wrong": "cross"}
    ]


def test_the_chosen_one_is_written_large_and_said():
    chart = charts.draw_guesses(make_frame(), "days 1", "Whose are these?")
    words, said = read_words(chart), chart.to_dict()["description"]
    assert {"days 1: the attacker says person 2", "in truth person 1: wrong, 20% sure", "Whose are these?"} <= set(
        words
    )
    assert said == (
        "Whose are these?: 2 of 3 right (67%), surest first. "
        "days 1: the attacker says person 2; in truth person 1: wrong, 20% sure."
    )
    assert charts.make_guesses(make_frame(), "days 9").data["large"].empty
    taller = chart.to_dict()["height"] - charts.draw_guesses(make_frame()).to_dict()["height"]
    assert taller > 40, "large words need room"


def test_nobody_guessed_is_said_and_a_missing_column_is_named():
    chart = charts.draw_guesses(pd.DataFrame())
    assert "This attack says nothing of single people." in read_words(chart)
    assert "says nothing of single people" in chart.to_dict()["description"]
    with pytest.raises(SpecificationError, match=r"guesses: .*sureness missing in"):
        charts.draw_guesses(make_frame().drop(columns="sureness"))
