"""Charts of encrypted questions: what they say, that they move in place, and what they refuse."""

import base64
import io
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from twinlab import charts
from twinlab.charts.encrypted_depth import PEERS
from twinlab.charts.picture import make_svg
from twinlab.charts.stack import stack_charts
from twinlab.charts.wire import find_entropy, make_bitmap
from twinlab.errors import SpecificationError

ASKED = {"signal": "heart_rate_bpm", "tolerance": 1e-3}


def make_answer(n_hours=24, gap=2e-5):
    hours = np.arange(1, n_hours + 1)
    parts = []
    for signal, unit, level in (("heart_rate_bpm", "bpm", 70.0), ("steps", "steps/h", 400.0)):
        plain = level * (1 + 0.1 * np.sin(hours / 4))
        answer = plain + gap * np.cos(hours)
        columns = {"time": pd.Timestamp("2026-04-15 08:00") + pd.to_timedelta(hours, unit="h"), "horizon_hours": hours}
        columns |= {"signal": signal, "label": signal, "unit": unit, "plain": plain, "answer": answer}
        parts.append(pd.DataFrame({**columns, "error": np.abs(answer - plain)}))
    return pd.concat(parts, ignore_index=True)


def make_steps(n_messages=1, with_head=False):
    rows = [("person", "make keys", 0, 4.0, "set-up"), ("person", "evaluation keys", 373_000, 9.0, "set-up"),
            ("provider", "load keys", 0, 7.0, "set-up")]  # fmt: skip
    rows += [
        ("person", "encrypted head", 49_000, 2.0, "set-up"),
        ("provider", "load head", 0, 0.5, "set-up"),
    ] * with_head
    rows += [("person", "encrypted question", 33_000, 1.5, "question"), ("provider", "compute", 0, 2.5, "question"),
             ("provider", "encrypted answer", 66_000, 0.5, "question"), ("person", "decrypt", 0, 0.7, "question"),
             ] * n_messages  # fmt: skip
    table = pd.DataFrame(rows, columns=["who", "what", "bytes", "milliseconds", "stage"])
    return table.assign(begin_ms=table["milliseconds"].cumsum() - table["milliseconds"])


def make_message(n_bytes=33_000, fixed=True, n_parts=11):
    """Random bytes of which, where `fixed`, every eighth is zero, as numbers below a prime of 56 bits are."""
    body = np.random.default_rng(2).integers(0, 256, n_bytes, dtype=np.uint8)
    if fixed:
        body[7::8] = 0
    heads = [{"part": f"field {k}", "bytes": 4, "meaning": "of the header"} for k in range(n_parts - 2)]
    parts = [*heads, {"part": "ciphertext", "bytes": n_bytes, "meaning": "random to all others"},
             {"part": "tag", "bytes": 32, "meaning": "HMAC-SHA256"}]  # fmt: skip
    return b"TWHE" * len(heads) + body.tobytes() + bytes(32), parts


def make_costs():
    rows = [("plain", 0.02, 0.02, 3.2e8, 4096), ("one question a message", 6000.0, 9600.0, 9.9e10, 1),
            ("tens a message", 400.0, 640.0, 6.2e9, 16), ("bulk, one key holder", 2.0, 3.2, 2.4e9, 1024)]  # fmt: skip
    return pd.DataFrame(rows, columns=["way", "server_seconds", "all_seconds", "bytes", "questions_a_message"])


def make_depths():
    rows = [(1, 0, 4096, 6.0, 33e3, 0, True, ""), (3, 1, 8192, 31.0, 160e3, 5e6, True, ""),
            (5, 2, 16384, 140.0, 400e3, 20e6, True, ""), (7, 3, 16384, 260.0, 640e3, 42e6, True, ""),
            (9, 4, 0, math.nan, math.nan, math.nan, False, "depth: expected ...")]  # fmt: skip
    names = ["depth", "layers", "ring_degree", "question_ms", "question_bytes", "key_bytes", "is_possible", "why_not"]
    return pd.DataFrame(rows, columns=names)


def list_pictures():
    """Several states of each chart, first the one that is drawn when a panel opens."""
    message, short = make_message(), make_message(600, fixed=False)
    numbers = np.random.default_rng(3).normal(size=66)
    return {
        "answer": (
            charts.draw_encrypted_answer,
            [
                charts.make_encrypted_answer(make_answer(), **ASKED),
                charts.make_encrypted_answer(make_answer(1), **ASKED, own_error=5.2, who="ada", what="effect"),
                charts.make_encrypted_answer(make_answer(gap=0), **ASKED, is_planned=False, n_hours=6),
                charts.make_encrypted_answer(make_answer(gap=0.1), **{**ASKED, "signal": "steps"}, own_error=0.7),
            ],
        ),
        "wire": (
            charts.draw_wire,
            [charts.make_wire(*message, numbers), charts.make_wire(*short, np.zeros(1000), what="a head", note="Kept")],
        ),
        "steps": (
            charts.draw_question_steps,
            [
                charts.make_question_steps(make_steps()),
                charts.make_question_steps(make_steps().iloc[3:]),
                charts.make_question_steps(make_steps().iloc[:0]),
            ],
        ),
        "costs": (
            charts.draw_question_costs,
            [charts.make_question_costs(), charts.make_question_costs(make_costs(), what="forecast")],
        ),
    }


NAMES = tuple(list_pictures())


@pytest.fixture(scope="module")
def pictures():
    return list_pictures()


def list_words(chart):
    return re.findall(r"<text[^>]*>([^<]+)", make_svg(chart.to_dict()))


def check_drawn(spec):
    words = re.findall(r"<text[^>]*>([^<]+)", make_svg(spec))
    assert words
    assert not {"undefined", "NaN", "null"} & set(words)
    assert "nan" not in spec["description"].lower()
    assert spec["description"].endswith(".")
    assert "http" not in json.dumps({key: value for key, value in spec.items() if key != "$schema"})


@pytest.mark.parametrize("name", NAMES)
def test_pictures_share_names_so_that_a_chart_moves_in_place(name, pictures):
    draw, states = pictures[name]
    first = states[0]
    spec = draw(first, moves=True).to_dict()
    check_drawn(spec)
    assert {param["name"] for param in spec["params"]} >= set(first.signals)
    for picture in states:
        assert picture.signals.keys() == first.signals.keys()
        assert {rows: list(frame) for rows, frame in picture.data.items()} == {
            rows: list(frame) for rows, frame in first.data.items()
        }
        assert picture.data.keys() <= spec["datasets"].keys()
        assert all(math.isfinite(value) for value in picture.signals.values() if not isinstance(value, str))
        for height in {"tall", "room", "question_room", "setup_room"} & set(first.signals):
            assert picture.signals[height] == first.signals[height]


@pytest.mark.parametrize("name", NAMES)
def test_every_state_is_drawn_described_and_asks_no_network(name, pictures):
    draw, states = pictures[name]
    drawn = [draw(picture) for picture in states]
    for chart in drawn:
        check_drawn(chart.to_dict())
    bundle, metadata = drawn[-1]._repr_mimebundle_()
    assert 1_000 < len(base64.b64decode(bundle["image/png"])) < 75_000
    assert metadata["image/png"]["alt"] == bundle["text/plain"] == states[-1].sentence


def test_all_of_them_stand_below_each_other(pictures):
    parts = {name: draw(states[0]) for name, (draw, states) in pictures.items()}
    svg = make_svg(stack_charts(parts, "All of it.").to_dict())
    for words in ("in the clear", "Parts of the message", "Set-up, once: ", "bytes that travel"):
        assert words in svg, words


def test_an_answer_says_how_far_apart_the_two_are_in_the_signals_unit():
    picture = charts.make_encrypted_answer(make_answer(gap=0.01), **ASKED, own_error=5.0, who="ada")
    assert picture.signals["headline"] == "Heart rate: forecast in bpm, ada"
    # a spread of the heart rate is 13 bpm
    assert "differ by at most 0.01 bpm over 24 hours; the tolerance allows 0.0130 bpm" in picture.sentence
    assert "The twin's own error of 5.00 bpm is 500 times as much" in picture.sentence
    marks = picture.data["marks"].set_index("name")["value"]
    assert marks.to_dict() == pytest.approx({"tolerance": 0.013, "own": 5.0})


def test_a_tolerance_that_is_still_planned_is_not_taken_for_the_answers_own():
    picture = charts.make_encrypted_answer(make_answer(), signal="heart_rate_bpm", tolerance=1e-6, is_planned=False)
    assert "a tolerance of 1.30e-05 bpm is being planned" in picture.sentence
    assert "allows" not in picture.sentence
    assert "being\nplanned" in picture.data["marks"]["text"].iloc[0]


def test_hours_beyond_the_axis_are_left_out():
    picture = charts.make_encrypted_answer(make_answer(24), **ASKED, n_hours=6)
    assert picture.data["lines"]["horizon_hours"].max() == picture.signals["end"] == 6
    wide = charts.make_encrypted_answer(make_answer(3), **ASKED, n_hours=12)
    assert (wide.data["lines"]["horizon_hours"].max(), wide.signals["end"]) == (3, 12)


@pytest.mark.parametrize(("gap", "own"), [(0.0, math.nan), (1e-9, 5.0), (0.012, 0.013), (3.0, 0.011)])
def test_names_of_rules_do_not_touch_and_dots_stay_on_the_scale(gap, own):
    picture = charts.make_encrypted_answer(make_answer(gap=gap), **ASKED, own_error=own)
    bottom, top = (math.log10(picture.signals[name]) for name in ("bottom", "top"))
    places = sorted(np.log10(picture.data["marks"]["label_at"]))
    assert bottom <= places[0] <= places[-1] <= top
    if len(places) == 2:
        assert places[1] - places[0] >= 0.29 * (top - bottom)
    assert picture.data["gaps"]["gap"].between(10**bottom * 0.999, 10**top).all()


def test_a_message_is_shown_byte_by_byte_without_its_header():
    wire, parts = make_message()
    picture = charts.make_wire(wire, parts, np.ones(66))
    address = picture.data["image"]["url"].iloc[0]
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        cells = np.asarray(image)
    assert cells.shape == (24, 64)
    start = wire.index(cells.tobytes())
    header = sum(part["bytes"] for part in parts[:-2])
    assert header < start < len(wire) - cells.size


def test_bytes_that_the_format_fixes_are_told_from_those_that_could_say_something():
    numbers = np.ones(66)
    fixed = charts.make_wire(*make_message(), numbers)
    assert (
        "66 numbers, in 264 bytes as plain ones, travel in 33.1 kB; most bytes carry 7.99 of 8 bits" in fixed.sentence
    )
    assert fixed.data["words"]["text"].str.contains("dark columns: leading zeros").any()
    mixed = charts.make_wire(*make_message(fixed=False), numbers)
    assert "its bytes carry 7.99 of 8 bits" in mixed.sentence
    assert not mixed.data["words"]["text"].str.contains("dark").any()
    tops = fixed.data["bins"]["y"]
    assert tops.max() - tops.min() < 0.4 * (fixed.data["bins"]["y2"] - tops).mean()


def test_a_message_that_is_not_encrypted_looks_like_none():
    plain = np.tile(np.arange(66.0), 500).tobytes()
    picture = charts.make_wire(
        plain, [{"part": "numbers", "bytes": len(plain), "meaning": "in the clear"}], np.ones(66)
    )
    bits = float(re.search(r"carry (\d\.\d\d) of 8", picture.sentence)[1])
    assert bits < 5
    assert picture.data["bins"]["y"].std() > 5


def test_entropy_counts_how_often_values_occur():
    assert find_entropy(np.repeat(np.arange(4, dtype=np.uint8), 9)) == pytest.approx(2)
    assert find_entropy(np.zeros(0, np.uint8)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (24, 64), (3, 1000)])
def test_a_bitmap_is_a_png_of_the_cells(shape):
    cells = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(base64.b64decode(make_bitmap(cells).partition(",")[2]))) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), cells)


def test_steps_follow_each_other_and_the_set_up_stands_apart():
    picture = charts.make_question_steps(make_steps())
    question, once = picture.data["question"], picture.data["setup"]
    assert question["begin"].tolist() == [0.0, 1.5, 4.0, 4.5]
    assert once["begin"].tolist() == [0.0, 4.0, 13.0]
    assert question["name"].iloc[1] == "provider: compute"
    assert question["size"].iloc[0] == "1.50 ms, sends 33.0 kB"
    assert "A question: 5.20 ms and 99.0 kB, of which the provider's part is 3.00 ms" in picture.sentence
    assert "Set-up, once: 20.0 ms and 373 kB" in picture.sentence
    assert question["color"].iloc[0] != question["color"].iloc[1]


def test_more_steps_take_more_room():
    few, many = (charts.make_question_steps(make_steps(n, with_head=n > 1)) for n in (1, 3))
    assert (few.signals["question_room"], many.signals["question_room"]) == (5, 12)
    assert (few.signals["setup_room"], many.signals["setup_room"]) == (3, 5)


def test_costs_are_said_and_written_beside_their_dots():
    chart = charts.draw_question_costs(charts.make_question_costs(make_costs(), what="forecast"))
    words = set(list_words(chart))
    assert {"plain", "one question a message", "1.67 h", "99.0 GB", "1 GB", "1 min"} <= words
    sentence = chart.to_dict()["description"]
    assert sentence.startswith("What a million questions cost: forecast. Plain: 20.0 ms of the provider, 320 MB.")
    other = charts.make_question_costs(make_costs(), 5000)
    assert other.signals["headline"] == "What 5,000 questions cost"


def test_costs_that_are_not_priced_yet_say_so():
    picture = charts.make_question_costs(note="press the button")
    assert "press the button" in list_words(charts.draw_question_costs(picture))
    assert picture.sentence == "What a million questions cost: press the button."


def test_depth_says_where_the_ring_doubles_and_what_is_refused():
    chart = charts.draw_depth(make_depths())
    spec = chart.to_dict()
    check_drawn(spec)
    assert "From 1 to 7 multiplications in a row: 6.00 ms to 260 ms" in spec["description"]
    assert "At 9 in a row the planner finds no parameters" in spec["description"]
    rises = [(row["depth"], row["text"]) for row in spec["datasets"]["doublings"] if row["rises"]]
    assert rises == [(2, "ring\n8,192"), (4, "ring\n16,384")]
    assert len(spec["datasets"]["keys"]) == 3, "no keys have no place on a scale of powers"
    assert len(spec["datasets"]["asked"]) == 4
    bundle, _ = chart._repr_mimebundle_()
    assert len(base64.b64decode(bundle["image/png"])) < 75_000


def test_depth_names_the_source_of_what_was_not_measured_here():
    chart = charts.draw_depth(make_depths())
    words = " ".join(list_words(chart))
    for peer in PEERS:
        assert peer["source"] in words
        assert peer["what"] in chart.to_dict()["description"]
    assert "5.80 s to 7.00 s, keys 245 MB" in words
    own = pd.DataFrame([{"what": "a peer", "low_ms": 1.0, "high_ms": 1.0, "key_bytes": math.nan, "source": "me"}])
    assert "1.00 ms; me" in list_words(charts.draw_depth(make_depths(), own))


def test_depth_of_nothing_says_so():
    assert "no network could be asked" in charts.draw_depth(make_depths().iloc[-1:]).to_dict()["description"]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: charts.make_encrypted_answer(make_answer().drop(columns="plain"), **ASKED), "plain missing in"),
        (
            lambda: charts.make_encrypted_answer(make_answer(), signal="mood", tolerance=1.0),
            "heart_rate_bpm, steps, got",
        ),
        (lambda: charts.make_question_steps(make_steps().drop(columns="stage")), "stage missing in"),
        (lambda: charts.make_question_costs(make_costs().drop(columns="way")), "way missing in"),
        (lambda: charts.make_wire(b"abc", [{"part": "x", "bytes": 2, "meaning": ""}], np.ones(1)), "parts of 3 bytes"),
        (lambda: charts.make_wire(b"abc", [{"part": "x", "bytes": 3}], np.ones(1)), "meaning missing in"),
        (lambda: charts.make_wire(b"", [{"part": "x", "bytes": 0, "meaning": ""}], np.ones(1)), "parts of 0 bytes"),
        (lambda: charts.draw_depth(make_depths().drop(columns="depth")), "depth missing in"),
        (lambda: charts.draw_depth(make_depths(), pd.DataFrame({"what": []})), "low_ms"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(draw, words):
    with pytest.raises(SpecificationError, match=re.escape(words)):
        draw()


def test_a_picture_keeps_a_persons_values_out_of_its_repr():
    picture = charts.make_wire(*make_message(), np.full(66, 61.75))
    assert "61.75" in set(picture.data["numbers"]["text"])
    assert "61.75" not in repr(picture) + picture.sentence
