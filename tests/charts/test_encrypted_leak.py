"""Charts of how encrypted queries leak: what they say, and what they refuse."""

import base64
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from twinlab import charts
from twinlab.charts.picture import make_svg
from twinlab.errors import SpecificationError


def make_weights(n_features=12):
    true = np.linspace(-0.5, 1.1, n_features)
    table = pd.DataFrame({"feature": [f"feature {k}" for k in range(n_features)], "true": true, "naive": true + 1e-6})
    return SimpleNamespace(table=table.assign(ours=1e-7), sentence=f"All {n_features} weights are read to 1e-06.")


def make_shares():
    table = pd.DataFrame({"way": ["naive", "not for sharing", "for sharing"], "share": [1.0, 1.0, 0.0]})
    return SimpleNamespace(table=table, sentence="Shares of the key: 100%, 100%, 0%.")


def make_flips():
    plain = np.linspace(-0.4, 0.4, 20)
    parts = [
        pd.DataFrame({"way": way, "plain": plain, "answer": plain + shift})
        for way, shift in (("small parameters", 0.21), ("our plan", 0.0))
    ]
    table = pd.concat(parts, ignore_index=True)
    table["is_flipped"] = np.sign(table["plain"]) != np.sign(table["answer"])
    return SimpleNamespace(table=table, sentence="Of 20 days 5 are wrong, and 0 with our plan.")


def make_questions():
    count = np.arange(1, 81)
    answers = pd.DataFrame({"way": "answers", "n_questions": count, "error": np.where(count < 41, 0.9, 1e-6)})
    labels = pd.DataFrame({"way": "labels only", "n_questions": [200, 400, 600], "error": [0.6, 0.05, 0.02]})
    table = pd.concat([answers, labels], ignore_index=True)
    return SimpleNamespace(table=table, sentence="41 answers are enough, and 600 labels are not.")


ALL = {
    "draw_stolen_weights": make_weights,
    "draw_key_recovery": make_shares,
    "draw_flips": make_flips,
    "draw_questions_needed": make_questions,
}


@pytest.mark.parametrize("name", ALL)
def test_it_draws_with_the_sentence_and_without_a_network(name):
    result = ALL[name]()
    chart = getattr(charts, name)(result)
    spec = chart.to_dict()
    words = re.findall(r"<text[^>]*>([^<]+)", make_svg(spec))
    assert words
    assert not {"undefined", "NaN", "null"} & set(words)
    assert spec["description"].endswith(result.sentence)
    bundle, metadata = chart._repr_mimebundle_()
    assert 1_000 < len(base64.b64decode(bundle["image/png"])) < 75_000
    assert metadata["image/png"]["alt"] == spec["description"]
    drawn = bundle["application/vnd.vegalite.v5+json"]
    del drawn["$schema"]
    assert "http" not in json.dumps(drawn)


def list_words(chart):
    return set(re.findall(r"<text[^>]*>([^<]+)", make_svg(chart.to_dict())))


def test_weights_of_both_answers_stand_against_the_truth():
    spec = charts.draw_stolen_weights(make_weights()).to_dict()
    rows = pd.DataFrame(spec["datasets"]["weights"])
    naive, ours = (rows[rows["way"].str.contains(way)] for way in ("naive", "our"))
    np.testing.assert_allclose(naive["shown"], naive["true"], atol=1e-5)
    assert (ours["shown"].abs() < 1e-6).all()


def test_what_lies_beyond_the_truth_is_drawn_at_the_edge():
    wild = make_weights()
    wild.table["ours"] = 1e30
    rows = pd.DataFrame(charts.draw_stolen_weights(wild).to_dict()["datasets"]["weights"])
    assert rows["shown"].max() < 1.3


def test_shares_and_counts_are_written_out():
    assert {"100%", "0%", "naive", "for sharing"} <= list_words(charts.draw_key_recovery(make_shares()))
    words = list_words(charts.draw_flips(make_flips()))
    assert {"small parameters: 5 of 20 wrong", "our plan: 0 of 20 wrong"} <= words


def test_questions_say_when_a_stolen_model_is_near():
    words = list_words(charts.draw_questions_needed(make_questions()))
    assert {"answers: 41 questions to 1%", "labels only: never within 1%"} <= words


@pytest.mark.parametrize("name", ALL)
def test_nothing_to_draw_is_said(name):
    result = ALL[name]()
    empty = SimpleNamespace(table=result.table.iloc[:0], sentence="")
    assert "There is nothing to draw" in getattr(charts, name)(empty).to_dict()["description"]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("draw_stolen_weights", "ours"),
        ("draw_key_recovery", "share"),
        ("draw_flips", "is_flipped"),
        ("draw_questions_needed", "error"),
    ],
)
def test_what_is_missing_is_named(name, column):
    result = ALL[name]()
    short = SimpleNamespace(table=result.table.drop(columns=column), sentence="")
    with pytest.raises(SpecificationError, match=f"{column}.* missing in"):
        getattr(charts, name)(short)
