"""The panel of encrypted questions on real ciphertexts: what it asks, when, what it says, and what it keeps."""

import base64
import json
import re
import threading
from dataclasses import replace

import pytest
from question_source import HOURS, QuestionSource
from waiting import wait_for

import twinlab as tl
from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.pipeline.question_exploration import explore_questions
from twinlab.widgets import AskInSecret
from twinlab.widgets import panel as shell


@pytest.fixture(scope="module")
def source():
    """Keys are made once for all tests; what was asked is counted from where a test starts."""
    return QuestionSource()


@pytest.fixture(scope="module")
def shared(source):
    """Making a panel's charts takes a second, so most tests share one."""
    return AskInSecret(source)


@pytest.fixture
def panel(shared):
    """The shared panel as it was when it was made, but for costs that were priced."""
    shared.set(person_id="ada", query="forecast", signal="heart_rate_bpm", hours_ahead=24, minutes=30, tolerance=1e-3,
               quantum_safe=False, share_results=False)  # fmt: skip
    return shared


@pytest.fixture
def by_hand(monkeypatch):
    """As if a reader moved the controls."""
    monkeypatch.setattr(shell, "is_moved_by_hand", lambda: True)


def settle(panel):
    """Wait until the thread is through, its last words included."""
    wait_for(lambda: not panel._worker.is_busy)
    with panel._lock:
        pass


def read_url(panel):
    return panel._charts["wire"].data["image"][0]["url"]


def test_the_first_question_is_asked_with_the_panel(source):
    n_asked = len(source.asked)
    panel = AskInSecret(source)
    assert source.asked[n_asked:] == [("ada", "forecast", 24, 30, 1e-3, False, False)]
    assert panel._status.value.count("forecast of ada, largest error") == 1
    answer = panel._charts["answer"].data
    assert len(answer["lines"]) == HOURS
    assert all(0 < row["gap"] < answer["marks"][0]["value"] for row in answer["gaps"])
    assert all(abs(row["plain"] - row["answer"]) < 0.013 for row in answer["lines"])
    assert panel._charts["steps"].data["setup"][0]["name"] == "person: make keys"
    assert panel._charts["costs"].data["note"] == [{"text": "press Price a million"}]


def test_every_move_asks_anew_and_another_signal_only_repaints(source, panel):
    n_asked, before = len(source.asked), read_url(panel)
    panel.widgets["minutes"].value = 60
    assert len(source.asked) == n_asked + 1
    assert read_url(panel) != before, "the same question never looks the same twice"
    before = read_url(panel)
    panel.set(signal="steps")
    assert len(source.asked) == n_asked + 1
    assert read_url(panel) == before
    assert "Steps: forecast in steps/h, ada" in panel._charts["answer"].signals["headline"]
    assert panel._charts["answer"].alt_text in panel.sentence
    json.dumps([chart.data for chart in panel._charts.values()], allow_nan=False)


def test_what_is_chosen_is_asked(source):
    panel = AskInSecret(
        source, "bea", "what_if", signal="steps", hours_ahead=6, minutes=45, tolerance=1e-2, share_results=True
    )
    assert source.asked[-1] == ("bea", "what_if", 6, 45, 1e-2, False, True)
    panel.set(person_id="cem", query="forecast", quantum_safe=True, share_results=False, tolerance=1e-3)
    assert source.asked[-1] == ("cem", "forecast", 6, 45, 1e-3, True, False)
    assert "cem" in panel.sentence
    assert panel._charts["answer"].signals["end"] == 6


def test_a_tolerance_between_the_steps_becomes_a_step(source):
    panel = AskInSecret(source, tolerance=0.002)
    steps = [value for _, value in panel.controls["tolerance"].options]
    assert 0.002 in steps
    assert steps == sorted(steps)
    assert {1e-6, 1e-3, 0.3} < set(steps)


def test_what_is_encrypted_follows_the_question(panel):
    assert "the question, encrypted" in panel._charts["wire"].signals["headline"]
    panel.set(query="what_if")
    assert "the person's head, encrypted once and kept" in panel._charts["wire"].signals["headline"]
    assert "asked in the clear" in panel.sentence
    assert "effect of walking 30 min" in panel._charts["answer"].signals["headline"]


def test_a_waterfall_of_another_length_is_drawn_anew(panel):
    spec = panel._charts["steps"].spec
    panel.set(minutes=50)
    assert panel._charts["steps"].spec is spec
    panel.set(query="what_if")  # its head is encrypted first: two steps more
    assert panel._charts["steps"].spec is not spec
    assert panel._shapes["steps"] == (None, None, 7.0, 3.0)


def test_a_signal_without_an_answer_gives_its_place_to_one_that_has(source, panel, monkeypatch):
    panel.set(signal="steps")
    real = source.ask

    def ask(*args, **kwargs):
        asked = real(*args, **kwargs)
        return replace(asked, table=asked.table[asked.table["signal"] != "steps"])

    monkeypatch.setattr(source, "ask", ask)
    panel.set(query="what_if")
    assert "Heart rate: effect" in panel._charts["answer"].signals["headline"]
    assert "This question has no answer about steps; drawn is heart rate." in panel._status.value
    monkeypatch.undo()
    panel.set(query="forecast")
    assert "Steps: forecast" in panel._charts["answer"].signals["headline"]


def test_a_million_is_priced_when_the_button_is_pressed(source):
    panel = AskInSecret(source)
    assert "What a million" not in panel.sentence
    panel.press("price")
    assert source.priced[-1] == (1_000_000, "forecast", 1e-3, False, False)
    assert [row["way"] for row in panel._charts["costs"].data["ways"]][1] == "one question a message"
    assert "What a million questions cost: forecast, tolerance 0.001" in panel.sentence
    panel.set(minutes=80, person_id="bea")
    assert "Costs are those of" not in panel._status.value
    panel.set(tolerance=1e-2)
    assert "Costs are those of: forecast, tolerance 0.001; press Price a million" in panel._status.value
    n_asked = len(source.asked)
    panel.press("price")
    assert source.priced[-1] == (1_000_000, "forecast", 1e-2, False, False)
    assert len(source.asked) == n_asked


def test_what_the_planner_refuses_is_raised_from_code_and_the_picture_stays(source, panel):
    pictures, tolerance = dict(panel.pictures), panel.pictures["answer"].data["marks"]["value"].iloc[0]
    source.refuses = True
    try:
        with pytest.raises(IncompatibleChoicesError, match="larger tolerance"):
            panel.set(tolerance=1e-5)
    finally:
        source.refuses = False
    assert panel.pictures["wire"] is pictures["wire"]
    marks = panel.pictures["answer"].data["marks"]
    assert marks["value"].iloc[0] == tolerance
    assert "planned" not in marks["text"].iloc[0]
    panel.set(tolerance=1e-2)
    assert panel._charts["answer"].data["marks"][0]["value"] == pytest.approx(10 * tolerance)


def test_what_the_planner_refuses_is_said_to_a_reader(source, panel, by_hand, page):
    before = read_url(panel)
    source.refuses = True
    try:
        panel.widgets["tolerance"].value = 1e-5
        settle(panel)
    finally:
        source.refuses = False
    assert "twinlab-fault" in panel._status.value
    assert "take a larger tolerance" in panel._status.value
    assert read_url(panel) == before
    assert "planned" not in panel._charts["answer"].data["marks"][0]["text"]
    panel.widgets["tolerance"].value = 1e-2
    settle(panel)
    assert "twinlab-fault" not in panel._status.value
    assert read_url(panel) != before


def test_beside_a_page_axis_and_tolerance_move_at_once_and_the_last_wish_wins(page):
    source = QuestionSource()
    panel = AskInSecret(source)
    before, gate, real = read_url(panel), threading.Event(), source.ask

    def ask(*args, **kwargs):
        assert gate.wait(10)
        return real(*args, **kwargs)

    source.ask = ask
    try:
        panel.set(tolerance=1e-2)
        assert "tolerance, being\nplanned" in panel._charts["answer"].data["marks"][0]["text"]
        wait_for(lambda: "Asking: forecast, tolerance 0.01 ..." in panel._status.value)
        panel.set(hours_ahead=5)
        panel.set(hours_ahead=4)
        assert panel._charts["answer"].signals["end"] == 4
        assert len(panel._charts["answer"].data["lines"]) == 4
        assert read_url(panel) == before
    finally:
        gate.set()
    settle(panel)
    assert [asked[2] for asked in source.asked] == [24, 24, 4], "what nobody wants any more is not asked"
    assert "planned" not in panel._charts["answer"].data["marks"][0]["text"]
    assert "Asking" not in panel._status.value
    assert read_url(panel) != before


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"query": "poem"}, "query: expected one of forecast, what_if; got 'poem'"),
        ({"person_id": "dan"}, "person_id: expected one of ada, bea, cem; got 'dan'"),
        ({"signal": "mood"}, "signal: expected one of heart_rate_bpm, steps; got 'mood'"),
        ({"minutes": 500}, "minutes: expected a whole number from 0 to 120 min, got 500"),
        ({"hours_ahead": 0}, "hours_ahead: expected a whole number from 1 to 48 h, got 0"),
        ({"quantum_safe": "yes"}, "quantum_safe: expected True or False, got 'yes'"),
    ],
)
def test_values_outside_the_limits_are_refused_not_moved(source, panel, values, words):
    with pytest.raises(SpecificationError, match=re.escape(words)):
        AskInSecret(source, **values)
    with pytest.raises(SpecificationError, match=re.escape(words)):
        panel.set(**values)


@pytest.mark.parametrize("tolerance", [0.0, -1.0, 2.0])
def test_a_tolerance_that_makes_no_sense_is_refused_also_beside_a_page(source, page, tolerance):
    with pytest.raises(SpecificationError, match="tolerance: expected"):
        AskInSecret(source, tolerance=tolerance)


def test_nothing_to_ask_is_refused():
    with pytest.raises(SpecificationError, match="at least one person"):
        AskInSecret(QuestionSource(person_ids=()))


def test_headless_it_is_one_picture_and_one_sentence(source, monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    panel = AskInSecret(source)
    panel.press("price")
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == panel.sentence
    assert 20_000 < len(base64.b64decode(bundle["image/png"])) < 200_000
    for words in ("differ by at most", "of 8 bits", "A question: ", "One question a message: 1.67 h"):
        assert words in panel.sentence


def test_no_number_of_the_person_is_said(panel):
    drawn = {row["text"].lstrip("-") for row in panel._charts["wire"].data["numbers"]}
    answers = {f"{row['answer']:.1f}" for row in panel._charts["answer"].data["lines"]}
    assert len(drawn) > 20
    told = set(re.findall(r"\d+\.\d+", repr(panel.pictures) + panel.sentence + panel._status.value))
    assert not told & (drawn | answers)


def test_the_real_thing_is_asked_in_the_same_way():
    exploration = explore_questions(tl.Experiment().with_({"cohort.n_people": 8, "cohort.n_days": 14}))
    panel = AskInSecret(exploration, hours_ahead=3, minutes=20)
    assert "tolerance allows 0.0130 bpm" in panel.sentence
    assert panel._charts["answer"].signals["end"] == 3
    for query in exploration.queries:
        panel.set(query=query)
        answer = panel._charts["answer"].data
        assert len(answer["lines"]) == 3
        assert all(row["gap"] <= answer["marks"][0]["value"] for row in answer["gaps"])
        parts = [row["text"] for row in panel._charts["wire"].data["words"] if row["look"] == "part"]
        assert {"ciphertext", "tag"} <= set(parts)
