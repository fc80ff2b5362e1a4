"""The board of shares: each mark lies at its place of the prime, and only sums are told."""

import pytest

from twinlab.charts.share_board import make_share_board
from twinlab.charts.sheet import paint_sheet

SHARES = [
    {"receiver": "city", "sender": sender, "value": value, "share": share}
    for sender, places in (("clinic", (0.0, 0.25)), ("centre", (0.5, 0.999)))
    for value, share in zip(("patients", "age"), places, strict=True)
]
TOTALS = [{"value": "patients", "total": 800.0}, {"value": "age", "total": -45.5}]


def test_marks_lie_at_their_place_of_the_prime_in_lanes_of_their_own():
    picture = make_share_board(SHARES, TOTALS, "What city holds")
    points = picture.data["points"].iloc[:4]
    places = points["x"].to_numpy()
    assert (places[1] - places[0]) * 2 == pytest.approx(places[2] - places[0])
    assert points["y"].is_unique
    assert list(points["shape"]) == ["circle", "square", "circle", "square"]
    words = list(picture.data["words"]["text"])
    assert {"city holds", "of clinic", "of centre", "800", "-45.5", "2^61 - 1"} <= set(words)
    assert picture.sentence == (
        "What city holds: 4 shares, from 0% to 100% of the prime, every place equally likely. All see these sums: "
        "patients 800, age -45.5."
    )
    spec = paint_sheet(picture).to_dict()
    assert (spec["height"], spec["description"]) == (picture.signals["tall"], picture.sentence)


def test_every_receiver_has_a_strip_and_none_is_said():
    both = [*SHARES, *({**row, "receiver": "clinic", "sender": "city"} for row in SHARES[:2])]
    one, two = (make_share_board(rows, TOTALS, "Held") for rows in (SHARES, both))
    assert two.signals["tall"] > one.signals["tall"]
    assert "clinic holds" in set(two.data["words"]["text"])
    empty = make_share_board([], [], "Held")
    assert empty.data["points"].empty
    assert "There is nothing to draw" in empty.sentence
