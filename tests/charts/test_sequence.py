"""Sequence diagrams of transcripts: a lane a role, an arrow a way, everything readable and said in words."""

import json
import re
from itertools import pairwise

import pytest

from twinlab import charts
from twinlab.budget import NeighboringRelation, PrivacyUnit
from twinlab.charts.picture import make_png, make_svg
from twinlab.charts.sequence import _LOOKS, name_guarantee
from twinlab.charts.theme import WIDTH
from twinlab.release import DifferentialPrivacy, Encrypted, Message, NoGuarantee, SecretShared, Transcript

PRIVATE = DifferentialPrivacy(None, 1.0, 1e-5, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON)
GUARANTEES = {
    "nothing promised": NoGuarantee("updates are visible to the server"),
    "differential privacy": PRIVATE,
    "encrypted": Encrypted("CKKS", 128, "the person"),
    "secret shared": SecretShared(("groups of 20 devices",), 14, "malicious"),
}
OPEN = GUARANTEES["nothing promised"]


def make_transcript(n_rows, n_rounds=20):
    """So many arrows among five roles, those of the rounds recorded once a round."""
    transcript = Transcript()
    shared = GUARANTEES["secret shared"]
    every = [("server", "device", "model", OPEN), ("device", "server", "masked update", shared)]
    for number in range(1, n_rounds + 1):
        for sender, receiver, kind, guarantee in every:
            given = (sender, receiver, f"{kind}, round {number}", 50_000, 0.25, [13579.0], guarantee)
            transcript.record(Message(*given, n_messages=20))
    others = [("trainer", "public", PRIVATE), ("person", "provider", GUARANTEES["encrypted"])]
    for number in range(n_rows - 2):
        sender, receiver, guarantee = others[number % 2]
        kind = f"answer number {number} about people's mean hour, heart rate"
        transcript.record(Message(sender, receiver, kind, 8, 0.002, [13579.0], guarantee))
    return transcript


def read_arrows(chart):
    """Rows of the arrows, as the chart holds them."""
    spec = chart.to_dict()
    return next(rows for rows in spec["datasets"].values() if "guarantee" in rows[0])


@pytest.mark.parametrize("n_rows", [5, 12, 40])
def test_a_transcript_draws_with_an_arrow_a_way_in_order(n_rows):
    chart = charts.draw_sequence(make_transcript(n_rows))
    arrows = read_arrows(chart)
    assert len(arrows) == n_rows
    assert [row["name"] for row in arrows][:2] == ["model, rounds 1 to 20", "masked update, rounds 1 to 20"]
    assert arrows[0]["size"] == "400 messages, 1.00 MB, 5.00 s"
    gaps = [after["y"] - row["y"] for row, after in pairwise(arrows)]
    assert min(gaps) == max(gaps) >= 36, "words of two arrows would touch"
    svg = make_svg(chart.to_dict())
    words = re.findall(r"<text[^>]*>([^<]+)", svg)
    for role in ("device", "server", "trainer", "public", "person", "provider"):
        assert role in words
    assert not {"undefined", "NaN", "null"} & set(words)


def test_an_arrow_goes_from_its_sender_to_its_receiver():
    model, update = read_arrows(charts.draw_sequence(make_transcript(2)))
    assert (model["x"], model["x2"]) == (update["x2"], update["x"])
    assert model["right"]
    assert not update["right"]
    assert update["x2"] < update["tip"] < update["x"]


def test_words_stay_within_the_chart_also_at_its_edges():
    arrows = read_arrows(charts.draw_sequence(make_transcript(8)))
    for row in arrows:
        for words in ("name", "size"):
            half = len(row[words]) * 6.1 / 2
            assert half - 0.1 <= row[f"{words}_at"] <= WIDTH - half + 0.1
    png, width, _ = make_png(charts.draw_sequence(make_transcript(8)).to_dict())
    assert png.startswith(b"\x89PNG")
    assert width < 1.15 * WIDTH  # longer words would widen the picture


def test_colour_and_dash_tell_the_guarantee_and_the_legend_names_those_there_are():
    spec = charts.draw_sequence(make_transcript(6)).to_dict()
    assert {row["promised"] for row in read_arrows(charts.draw_sequence(make_transcript(6)))} == set(GUARANTEES)
    for name, guarantee in GUARANTEES.items():
        assert name_guarantee(guarantee) == name
    (line,) = [layer for layer in spec["layer"] if "strokeDash" in layer["encoding"]]
    assert line["encoding"]["color"]["scale"]["domain"] == list(GUARANTEES)
    assert len({color for color, _ in _LOOKS.values()}) == len({str(dash) for _, dash in _LOOKS.values()}) == 4
    only = charts.draw_sequence(make_transcript(2)).to_dict()
    (line,) = [layer for layer in only["layer"] if "strokeDash" in layer["encoding"]]
    assert line["encoding"]["color"]["scale"]["domain"] == ["nothing promised", "secret shared"]


def test_the_sentence_says_who_got_what_and_the_numbers():
    sentence = charts.draw_sequence(make_transcript(3)).to_dict()["description"]
    assert sentence.startswith("Who saw what: 801 messages, 2.00 MB, made in 10.0 s.")
    assert "Server received 1.00 MB: masked update, rounds 1 to 20 (secret shared)." in sentence
    assert "and 11 more." in charts.draw_sequence(make_transcript(40)).to_dict()["description"]


def test_no_payload_is_drawn_and_nothing_comes_from_a_network():
    bundle, metadata = charts.draw_sequence(make_transcript(5))._repr_mimebundle_()
    spec = bundle["application/vnd.vegalite.v5+json"]
    assert "13579" not in json.dumps(spec)
    del spec["$schema"]
    assert "http" not in json.dumps(spec)
    assert metadata["image/png"]["alt"] == bundle["text/plain"]


def test_every_ink_is_named_for_the_dark_theme():
    spec = charts.draw_sequence(make_transcript(5)).to_dict()
    for layer in spec["layer"]:
        if layer["mark"]["type"] == "text":
            assert re.fullmatch("#[0-9a-f]{6}", layer["mark"]["color"])


def test_roles_that_differ_by_a_number_stand_together():
    transcript = Transcript()
    for number in (1, 2, 3):
        transcript.record(Message(f"trustee {number}", "server", "part of the key", 8, 0.1, None, OPEN))
    chart = charts.draw_sequence(transcript).to_dict()
    lanes = next(rows for rows in chart["datasets"].values() if "role" in rows[0])
    assert [row["role"] for row in lanes] == ["trustee 1", "trustee 2", "trustee 3", "server"]
    assert chart["description"].count("part of the key") == 1


def test_an_empty_transcript_says_so():
    assert "Nothing crossed" in charts.draw_sequence(Transcript()).to_dict()["description"]
