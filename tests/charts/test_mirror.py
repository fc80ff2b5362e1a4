"""The mirror's picture: who, how sure, right or wrong in words, and how many of all."""

import numpy as np
import pandas as pd
import pytest

from twinlab import charts
from twinlab.charts.picture import make_svg
from twinlab.charts.theme import ABSENT
from twinlab.errors import SpecificationError
from twinlab.finding import Finding

FINDING = Finding(name="mirror_top_1", value=0.6, interval=(0.4, 0.8), baseline=0.05, sentence="x")


def make_tables(right_at=1, n_days=3):
    hours = pd.DataFrame({"day": np.repeat(np.arange(1, n_days + 1), 24), "hour": np.tile(np.arange(24), n_days)})
    parts = [hours.assign(place=place, value=60.0 + 10 * place + hours["hour"]) for place in range(4)]
    parts[2].loc[5, "value"] = np.nan
    places = [1, 2, 3]
    candidates = {
        "place": places,
        "person_id": [f"person-{place}" for place in places],
        "belief": [0.9971, 0.002, 0.0009],
        "is_right": [place == right_at for place in places],
    }
    return pd.concat(parts, ignore_index=True), pd.DataFrame(candidates)


def make_picture(right_at=1, n_days=3, **changes):
    rhythms, candidates = make_tables(right_at, n_days)
    given = {"rhythms": rhythms, "candidates": candidates, "signal": "heart_rate_bpm", "who": "person-9", **changes}
    return charts.make_mirror(FINDING, 20, belief=0.9, what="7 days of all signals", **given)


def read_words(chart):
    """All words in the drawing."""
    return make_svg(chart.to_dict())


@pytest.mark.parametrize("moves", [False, True])
def test_right_and_wrong_are_said_in_words_and_framed(moves):
    svg = read_words(charts.draw_mirror(make_picture(right_at=2), moves=moves))
    for words in ("Nameless days", "in truth person-9", "1. person-1", "over 99% sure: wrong", "under 1% sure: right"):
        assert words in svg
    assert svg.count("sure: wrong<") == 2
    assert "Heart rate, bpm: whose days are these?" in svg
    assert "named rightly: 60% (40% to 80%)" in svg
    assert "a blind guess: 5.0%" in svg
    framed = charts.draw_mirror(make_picture(right_at=2)).to_dict()["datasets"]
    assert [framed[f"label_{place}"][0]["verdict"] for place in range(4)] == ["nameless", "wrong", "right", "wrong"]


def test_the_sentence_says_the_numbers():
    said = make_picture().sentence
    assert said.startswith("7 days of all signals: 60% of 20 people named rightly (95 % interval 40% to 80%)")
    assert "a blind guess names 5.0%; the attacker itself is 90% sure on average." in said
    assert "of person-9 are given to person-1, over 99% sure: right." in said
    assert "The right one comes in place 3." in make_picture(right_at=3).sentence
    assert "in place" not in make_picture(right_at=0).sentence
    assert charts.draw_mirror(make_picture()).to_dict()["description"] == said


def test_nobody_is_drawn_where_nobody_is_given():
    picture = charts.make_mirror(FINDING, 20)
    assert list(picture.data) == ["bars"]
    assert picture.sentence == "60% of 20 people named rightly (95 % interval 40% to 80%); a blind guess names 5.0%."
    svg = read_words(charts.draw_mirror(picture))
    assert "Nameless" not in svg
    assert "Who is named, of 20 people" in svg


def test_colours_span_the_named_days_so_that_noise_does_not_wash_them_out():
    rhythms, _ = make_tables()
    rhythms.loc[rhythms["place"] == 0, "value"] = 250.0
    assert make_picture(rhythms=rhythms).signals["high"] == make_picture().signals["high"] < 120
    assert make_picture().signals["low"] > 60, "a level does not start at 0"
    assert make_picture(signal="steps").signals["low"] == 0.0


def test_missing_hours_and_fewer_candidates_can_be_drawn():
    rhythms, candidates = make_tables()
    chart = charts.draw_mirror(make_picture())
    holes = [row for row in chart.to_dict()["datasets"]["map_2"] if row["value"] is None]
    assert [(row["day"], row["hour"]) for row in holes] == [(1, 5)]
    assert read_words(chart).count(f'fill="{ABSENT}"') == 1
    fewer = make_picture(rhythms=rhythms.query("place < 2"), candidates=candidates[:1])
    assert fewer.data["map_3"].empty
    assert "2. " not in read_words(charts.draw_mirror(fewer))


@pytest.mark.parametrize("table", ["rhythms", "candidates"])
def test_a_table_without_its_columns_is_refused(table):
    with pytest.raises(SpecificationError, match=f"{table}: expected the columns place"):
        make_picture(**{table: pd.DataFrame({"day": [1]})})
