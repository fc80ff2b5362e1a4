"""Charts of joint answers: what they say and show, what they leave out, and what they refuse."""

import base64
import itertools
import json
import math
import re
from functools import cache

import pytest

from twinlab.charts.joint_answer import compare_widths, draw_joint_answer
from twinlab.charts.joint_cost import draw_joint_costs
from twinlab.charts.picture import make_svg
from twinlab.charts.share_view import draw_share_view
from twinlab.charts.survival import draw_survival
from twinlab.errors import SpecificationError

_PARTIES = ("all together", "city hospital", "diabetes centre", "sports clinic")


def make_row(party, kind, term, unit, value, half, **more):
    ends = {"lower": value - half, "upper": value + half}
    same = {"truth": None, "neutral": None, "n": 100, "reason": "", "is_joint": party == _PARTIES[0]}
    return {"party": party, "kind": kind, "term": term, "unit": unit, "value": value, **ends, **same, **more}


def make_refused(party="village practice"):
    reason = "rows: expected at least 10, got fewer"
    return {"party": party, "is_joint": False, "term": None, "value": math.nan, "reason": reason}


def make_means(halves=(1.0, 2.0, 3.0, 4.0), n_terms=2):
    terms = (("age", "years", 47.0), ("steps per day", "steps", 7900.0))[:n_terms]
    return [
        make_row(party, "mean", term, unit, level + place, half)
        for place, (party, half) in enumerate(zip(_PARTIES, halves, strict=True))
        for term, unit, level in terms
    ]


def make_ratios(truth=1.4):
    rows = []
    for place, party in enumerate(_PARTIES):
        ends = {"lower": 1.5 / (1.2 + place), "upper": 1.5 * (1.2 + place)}
        for term in ("age", "glucose"):
            rows.append(
                make_row(party, "odds ratio", term, "per 10 units", 1.5, 0, neutral=1.0, truth=truth, **{}) | ends
            )
    return rows


def make_bins():
    return [
        make_row(party, "share", "resting heart rate", "bpm", value + place / 50, 0.02, left=left, right=left + 10.0)
        for place, party in enumerate(_PARTIES)
        for left, value in ((40.0, 0.1), (50.0, 0.5), (60.0, 0.3))
    ]


def make_pairs(n_pairs=12):
    return [
        make_row(party, "correlation", f"column {pair} and age", "", 0.9 - pair / 10, 0.05 + place / 20, neutral=0.0)
        for place, party in enumerate(_PARTIES)
        for pair in range(n_pairs)
    ]


def make_curves(truth=True):
    rows = []
    for place, party in enumerate(_PARTIES):
        for time in (0.0, 100.0, 200.0):
            value = 1 - time / 1000 * (1 + place / 4)
            more = {"time": time, "at_risk": 800 - int(time), "truth": 1 - time / 990 if truth else None}
            row = make_row(party, "survival", "", "days", value, 0.03 * (time > 0), **more)
            rows.append({key: each for key, each in row.items() if key != "term"})
    return rows


def make_shares(n_values=3):
    names = [f"value {place}" for place in range(n_values)]
    shares = [
        {"receiver": receiver, "sender": sender, "value": name, "share": (0.37 * (1 + place + len(receiver))) % 1}
        for receiver in _PARTIES[1:]
        for sender in _PARTIES[1:]
        if sender != receiver
        for place, name in enumerate(names)
    ]
    return shares, [{"value": name, "total": 100.0 * place - 50} for place, name in enumerate(names)]


def make_costs():
    ways = {"plain pooling": (2e-4, 7200, 1), "sums only": (0.02, 12_000, 2), "everything on shares": (2.7, 1e7, 1200)}
    return [
        {"operation": operation, "way": way, "seconds": seconds, "bytes": n_bytes, "rounds": rounds}
        for operation in ("means", "regression")
        for way, (seconds, n_bytes, rounds) in ways.items()
    ]


def draw_all():
    return {
        "means": draw_joint_answer([*make_means(), make_refused()]),
        "odds ratios": draw_joint_answer(make_ratios()),
        "histogram": draw_joint_answer([*make_bins(), make_refused()]),
        "correlations": draw_joint_answer([*make_pairs(), make_refused()]),
        "survival": draw_survival([*make_curves(), make_refused()], event="admission"),
        "shares": draw_share_view(*make_shares()),
        "costs": draw_joint_costs(make_costs()),
    }


@pytest.fixture(scope="module")
def drawn():
    """Each chart once, as it is handed to a notebook."""
    return {name: chart._repr_mimebundle_() for name, chart in draw_all().items()}


@pytest.fixture(scope="module")
def specs(drawn):
    return {name: bundle["application/vnd.vegalite.v5+json"] for name, (bundle, _) in drawn.items()}


@cache
def read_words(text):
    return re.findall(r"<text[^>]*>([^<]+)", make_svg(json.loads(text)))


def list_words(spec):
    return read_words(json.dumps(spec))


@pytest.mark.parametrize("name", ["means", "odds ratios", "histogram", "correlations", "survival", "shares", "costs"])
def test_it_draws_with_a_sentence_and_without_a_network(drawn, specs, name):
    (bundle, metadata), spec = drawn[name], specs[name]
    assert not {"undefined", "NaN", "null"} & set(list_words(spec))
    assert len(re.findall(r"\d", spec["description"])) >= 2
    assert spec["description"].endswith(".")
    assert "nan" not in spec["description"].lower().split()
    assert 1_000 < len(base64.b64decode(bundle["image/png"])) < 75_000
    assert metadata["image/png"]["alt"] == bundle["text/plain"] == spec["description"]
    assert "http" not in json.dumps({key: value for key, value in spec.items() if key != "$schema"})


def test_the_finding_is_whose_intervals_are_wider(specs):
    assert compare_widths(make_means()) == pytest.approx(3.0)
    assert "Alone, intervals are 3 times as wide as together" in list_words(specs["means"])
    noisy = draw_joint_answer(make_means((8.0, 2.0, 2.0, 2.0), 1)).to_dict()["description"]
    assert noisy.startswith("Together, intervals are 4 times as wide as alone.")
    assert compare_widths(make_ratios()) == pytest.approx(math.log(3.2) / math.log(1.2))
    without = [row | {"lower": math.nan, "upper": math.nan} for row in make_means(n_terms=1)]
    assert compare_widths(without) is None
    assert draw_joint_answer(without).to_dict()["description"].startswith("Together and alone.")


def test_each_term_is_said_with_all_numbers_and_the_truth(specs):
    said = specs["odds ratios"]["description"]
    assert "Age (odds ratio per 10 units): together 1.50 (1.25 to 1.80); alone city hospital 1.50" in said
    assert "the truth is 1.40." in said
    assert "Dashed: the truth" in " ".join(list_words(specs["odds ratios"]))
    assert "truth" not in specs["means"]["description"]
    assert "village practice alone finds nothing: rows: expected at least 10" in specs["means"]["description"]
    assert "finds nothing alone" in list_words(specs["means"])


def test_an_interval_that_is_too_wide_is_an_arrow():
    rows = make_means((0.1, 0.2, 0.3, 50.0), 1)
    shown = draw_joint_answer(rows).to_dict()["datasets"]["term_0"]
    cut = [(row["party"], row["below"], row["above"]) for row in shown]
    assert cut == [*((party, False, False) for party in _PARTIES[:3]), (_PARTIES[3], True, True)]
    assert shown[3]["upper"] < 60
    assert shown[3]["lower"] > 40


def test_the_truth_is_drawn_where_it_lies(specs):
    assert specs["odds ratios"]["datasets"]["lines_0"] == [{"at": 1.4, "what": "truth"}, {"at": 1.0, "what": "neutral"}]
    far = draw_joint_answer(make_ratios(truth=None)[::2]).to_dict()["datasets"]["lines_0"]
    assert far == [{"at": 1.0, "what": "neutral"}]


def test_a_histogram_says_where_most_people_are(specs):
    said = specs["histogram"]["description"]
    assert said.startswith("Together: resting heart rate is most often 50 to 60 bpm (50 % of people).")
    assert "Sports clinic: 56 % of 100 people from 50 to 60 bpm." in said
    outline = specs["histogram"]["datasets"]["joint_line"]
    assert [row["at"] for row in outline] == [40, 40, 50, 60, 70]


def test_the_strongest_correlations_are_shown(specs):
    terms = {row["term"] for row in specs["correlations"]["datasets"]["pairs"]}
    assert len(terms) == 10
    assert "column 9 and age" not in terms
    assert "The 10 strongest of 12 correlations" in " ".join(list_words(specs["correlations"]))
    unknown = [row | {"value": math.nan} for row in make_pairs(2)]
    assert "no correlation can be told" in draw_joint_answer(unknown).to_dict()["description"]


def test_survival_says_each_curves_end(specs):
    said = specs["survival"]["description"]
    assert said.startswith("Together: 80 % are free of admission at 200 days (77 to 83 %).")
    assert "Sports clinic, 100 people: 65 % at 200 days (62 to 68 %)." in said
    assert "village practice alone finds nothing" in said
    words = list_words(specs["survival"])
    assert {"watched", "800", "600", "truth", *_PARTIES} <= set(words)
    assert "truth" not in list_words(draw_survival(make_curves(truth=False)).to_dict())


def test_names_of_curves_keep_apart_and_inside_and_near_their_ends():
    far = [row | {"value": 0.3} if row["party"] == _PARTIES[3] else row for row in make_curves()]
    named = {row["party"]: row["label_at"] for row in draw_survival(far).to_dict()["datasets"]["names"]}
    assert named[_PARTIES[3]] == 0.3
    for curves in (make_curves(), [row | {"value": 1.0} for row in make_curves()]):
        heights = sorted(row["label_at"] for row in draw_survival(curves).to_dict()["datasets"]["names"])
        assert all(b - a > 0.06 for a, b in itertools.pairwise(heights))
        assert 0 <= heights[0] <= heights[-1] <= 1


def test_shares_and_sums_stand_beside_each_other(specs):
    words = list_words(specs["shares"])
    assert {"city hospital holds", "of sports clinic", "all see these sums", "value 2", "150", "-50.0"} <= set(words)
    assert "Each of 3 parties holds 6 shares" in specs["shares"]["description"]
    many = draw_share_view(*make_shares(9)).to_dict()
    assert len(many["datasets"]["totals"]) == 6


def test_costs_say_how_much_dearer_the_last_way_is(specs):
    words = list_words(specs["costs"])
    assert "Everything on shares takes up to 135 times as long as sums only" in words
    assert {"2.70 s", "10.0 MB", "1,200"} <= set(words)
    some = [{**row, "rounds": None, "bytes": 0} for row in make_costs()]
    spec = draw_joint_costs(some).to_dict()
    assert set(spec["datasets"]) == {"seconds"}
    assert "regression, sums only: 20.0 ms, 0 bytes." in spec["description"]
    assert "What 2 joint operations cost" in draw_joint_costs(make_costs()[::3]).to_dict()["description"]


def test_nothing_to_draw_is_said_and_a_missing_column_refused():
    for chart in (
        draw_joint_answer([]),
        draw_joint_answer([make_refused()]),
        draw_survival([make_refused()]),
        draw_share_view([], []),
        draw_joint_costs([]),
    ):
        assert "nothing to draw" in chart.to_dict()["description"]
    for draw, rows in (
        (draw_joint_answer, make_means()),
        (draw_survival, make_curves()),
        (draw_joint_costs, make_costs()),
    ):
        name = "way" if draw is draw_joint_costs else "unit"
        with pytest.raises(SpecificationError, match=f"{name} missing"):
            draw([{key: value for key, value in row.items() if key != name} for row in rows])
    shares, totals = make_shares()
    with pytest.raises(SpecificationError, match="total missing"):
        draw_share_view(shares, [{"value": row["value"]} for row in totals])
