"""Charts of what withstands a quantum computer and of attacks on messages: what they say, and what they refuse."""

import base64
import itertools
import json
import re

import pandas as pd
import pytest

from twinlab.charts.picture import make_svg
from twinlab.charts.quantum_safety import draw_channels, draw_quantum_safety
from twinlab.errors import SpecificationError

LATER, FORGED = "what is sent today is read later", "forged from then on; nothing of today is read"
TO_DO = "do not use it for identifiers that must stay secret for decades; no replacement is built"


def make_parts():
    names = ("technique", "part", "primitive", "is_quantum_safe", "danger", "what_to_do", "why")
    rows = [
        ("joint sums", "shares", "Shamir shares", True, "none known", "nothing", ""),
        ("joint sums", "who is who", "ECDSA P-384", False, FORGED, "send it in sealed envelopes", ""),
        ("private matching", "identifiers", "Curve25519", False, LATER, TO_DO, ""),
    ]
    return [dict(zip(names, row, strict=True)) for row in rows]


def make_cells():
    names = ("attack", "channel", "is_stopped", "outcome", "rests_on", "withstands_quantum_computer")
    rows = [
        ("read it", "in the clear", False, "works", "nothing", False),
        ("read it", "signed only", False, "works", "nothing", False),
        ("read it", "sealed envelope", True, "envelope: expected one that opens", "ML-KEM-768", True),
        ("change it", "in the clear", False, "works", "nothing", False),
        ("change it", "signed only", True, "signature: expected Ed25519", "Ed25519", False),
        ("change it", "sealed envelope", True, "envelope: expected one that opens", "ML-DSA-65", True),
    ]
    return pd.DataFrame(rows, columns=names)


def read_words(chart):
    return re.findall(r"<text[^>]*>([^<]+)", make_svg(chart.to_dict()))


@pytest.mark.parametrize("draw", [lambda: draw_quantum_safety(make_parts()), lambda: draw_channels(make_cells())])
def test_it_draws_with_a_sentence_and_without_a_network(draw):
    chart = draw()
    spec = chart.to_dict()
    assert not {"undefined", "NaN", "null"} & set(read_words(chart))
    assert len(re.findall(r"\d", spec["description"])) >= 2
    bundle, metadata = chart._repr_mimebundle_()
    assert 1_000 < len(base64.b64decode(bundle["image/png"])) < 75_000
    assert metadata["image/png"]["alt"] == bundle["text/plain"] == spec["description"]
    drawn = bundle["application/vnd.vegalite.v5+json"]
    del drawn["$schema"]
    assert "http" not in json.dumps(drawn)


def test_parts_stand_in_the_column_of_what_happens_to_them():
    spec = draw_quantum_safety(make_parts()).to_dict()
    parts = {row["part"]: row for row in spec["datasets"]["parts"]}
    places = {row["state"]: row["x"] for row in spec["datasets"]["columns"]}
    assert {name: row["state"] for name, row in parts.items()} == {
        "shares": "safe",
        "who is who": "forged later",
        "identifiers": "read later",
    }
    assert all(row["x"] == places[row["state"]] for row in parts.values())
    assert len(set(places.values())) == 3
    assert "3 parts: 1 safe, 1 forged later, 1 read later." in spec["description"]
    assert "Read later: private matching, identifiers." in spec["description"]


def test_what_to_do_is_written_whole_in_lines_and_nothing_is_left_blank():
    chart = draw_quantum_safety(make_parts())
    words = read_words(chart)
    assert words.count("joint sums") == 1, "a technique is named once"
    assert "nothing" not in words
    written = {row["part"]: row["to_do"] for row in chart.to_dict()["datasets"]["parts"]}
    assert written["shares"] == ""
    assert "\n" in written["identifiers"]
    assert written["identifiers"].replace("\n", " ") == TO_DO
    rows = sorted(row["y"] for row in chart.to_dict()["datasets"]["parts"])
    assert all(later - earlier >= 15 for earlier, later in itertools.pairwise(rows))


def test_shapes_differ_so_that_no_state_is_told_by_colour_alone():
    marks = [layer for layer in draw_quantum_safety(make_parts()).to_dict()["layer"] if "shape" in layer["encoding"]]
    assert len(set(marks[0]["encoding"]["shape"]["scale"]["range"])) == 3


def test_cells_say_whether_an_attack_works():
    chart = draw_channels(make_cells())
    words = read_words(chart)
    assert [words.count(state) for state in ("works", "stopped today", "stopped")] == [3, 1, 2]
    said = "sealed envelope: 0 work, 0 are stopped until somebody has a quantum computer, 2 are stopped."
    assert said in chart.to_dict()["description"]


def test_nothing_to_draw_is_said_and_what_does_not_fit_is_refused():
    assert "nothing to draw" in draw_quantum_safety([]).to_dict()["description"]
    assert "nothing to draw" in draw_channels(make_cells()[:0]).to_dict()["description"]
    with pytest.raises(SpecificationError, match="quantum safety: expected the columns"):
        draw_quantum_safety([{"technique": "joint sums"}])
    with pytest.raises(SpecificationError, match="channels: expected the columns"):
        draw_channels(make_cells().drop(columns="rests_on"))
