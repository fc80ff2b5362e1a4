"""The panel of hospitals together: every move asks anew, and other hospitals are made beside the page."""

import json
import re

import pytest
from hospital_source import ALIKE, OWN, HospitalSource
from waiting import wait_for

import twinlab as tl
from twinlab.errors import SpecificationError
from twinlab.pipeline.hospital import admit_patients
from twinlab.pipeline.joint_exploration import explore_hospitals
from twinlab.widgets import HospitalsTogether


@pytest.fixture(scope="module")
def only_panel():
    return HospitalsTogether(HospitalSource())


@pytest.fixture
def panel(only_panel):
    """The panel as it began; making one takes longer than moving it."""
    only_panel.set(n_hospitals=3, n_smallest=120, crowd=OWN)
    only_panel._source.forget()
    only_panel.set(question="admission risk", is_private=False, epsilon=1.0, most_colluding=1)
    only_panel.set(view="city hospital")
    only_panel._source.asked.clear()
    return only_panel


@pytest.fixture
def source(panel):
    return panel._source


def read_shares(panel):
    return [(row["x"], row["y"]) for row in panel._charts["shares"].data["points"]]


def read_words(panel, name="answer"):
    return [row["text"] for row in panel._charts[name].data["words"]]


def list_options(panel, name):
    return [value for _, value in panel.widgets[name].options]


def test_picture_sentence_and_charts_say_the_same(panel, monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == panel.sentence
    for name, chart in panel._charts.items():
        assert chart.alt_text == panel.pictures[name].sentence
        assert chart.alt_text in panel.sentence
        json.dumps([chart.spec, chart.data], allow_nan=False)
    assert panel.sentence.startswith("Admission risk: alone, intervals are ")
    assert "24.0 kB in 6 rounds; no noise." in panel.sentence
    assert "24.0 kB in 6 rounds; no noise." in panel._status.value


@pytest.mark.parametrize("question", HospitalSource.questions)
def test_every_question_is_asked_at_once_and_shown(panel, source, question):
    if question == "admission risk":
        panel.set(question="means")
    source.asked.clear()
    panel.widgets["question"].value = question
    assert source.asked == [(question, 3, 120, OWN, None, 1)]
    assert panel._status.value.count(f"{question.capitalize()}") == 1
    assert any(words.startswith(question.capitalize()) for words in read_words(panel))
    json.dumps([chart.data for chart in panel._charts.values()], allow_nan=False)


def test_privacy_asks_with_epsilon_and_says_so(panel, source):
    assert panel.widgets["epsilon"].disabled
    panel.widgets["is_private"].value = True
    panel.widgets["epsilon"].value = 10.0
    assert [asked[4] for asked in source.asked] == [1.0, 10.0]
    assert not panel.widgets["epsilon"].disabled
    assert "epsilon 10 a patient." in panel._status.value
    assert "by epsilon 10." in panel._words.value
    panel.set(is_private=False)
    assert source.asked[-1][4] is None
    assert "exact, and may tell of single patients" in panel._words.value


def test_without_privacy_epsilon_asks_nobody(panel, source):
    panel.set(epsilon=2.0)
    assert source.asked == []


def test_an_answer_that_noise_leaves_nothing_of_is_said_and_the_next_draws_again(panel):
    panel.set(is_private=True, epsilon=0.1)
    assert (
        "Admission risk: nothing is found together. Rows: expected at least 10, got fewer (epsilon 0.1 a"
        in panel._status.value
    )
    assert panel._charts["shares"].data["points"] == []
    panel.set(epsilon=1.0)
    assert len(read_shares(panel)) == 2 * 2 + 2
    assert "age" in read_words(panel)


def test_another_view_repaints_and_asks_nobody(panel, source):
    first = read_shares(panel)
    panel.set(view="sports clinic")
    assert "sports clinic holds" in read_words(panel, "shares")
    assert "city hospital holds" not in read_words(panel, "shares")
    panel.set(view="every hospital")
    assert len(read_shares(panel)) == 3 * 2 * 2 + 2
    panel.set(view="city hospital")
    assert read_shares(panel) == first
    assert source.asked == []


def test_asking_again_deals_fresh_shares(panel, source):
    before = read_shares(panel)
    panel.press("again")
    assert len(source.asked) == 1
    assert read_shares(panel)[:4] != before[:4]


def test_other_hospitals_are_made_and_asked(panel, source):
    panel.set(n_hospitals=5, most_colluding=2, n_smallest=20, crowd=ALIKE)
    assert source.asked[-1] == ("admission risk", 5, 20, ALIKE, None, 2)
    assert list_options(panel, "most_colluding") == [1, 2]
    assert list_options(panel, "view")[-2:] == ["heart centre", "every hospital"]
    assert "heart centre, 20 patients" in panel._words.value
    assert "2 of 5 may pool all they hold and learn nothing but the sums; 3 could read" in panel._words.value
    panel.set(view="heart centre")
    panel.set(n_hospitals=3)
    assert panel.values["view"] == "city hospital"
    assert panel.values["most_colluding"] == 1
    assert list_options(panel, "most_colluding") == [1]


def test_beside_a_page_the_last_picture_stays_until_hospitals_are_made(page, panel, source):
    source.seconds = 0.4
    panel.widgets["n_hospitals"].value = 4
    wait_for(lambda: "Making 4 hospitals, the smallest with 120 patients" in panel._status.value)
    assert panel._progress.layout.visibility == "visible"
    panel.widgets["question"].value = "means"  # meanwhile those that are there are asked
    assert source.asked[-1][:2] == ("means", 3)
    wait_for(lambda: not panel._worker.is_busy)
    assert source.asked[-1][:2] == ("means", 4)
    assert "general hospital" in read_words(panel)
    assert panel._progress.layout.visibility == "hidden"


def test_stop_ends_it_and_goes_back(page, panel, source):
    source.seconds = 20.0
    panel.widgets["n_smallest"].value = 20
    wait_for(lambda: panel._running is not None)
    panel.stop()
    wait_for(lambda: not panel._worker.is_busy)
    assert panel.values["n_smallest"] == 120
    assert "Stopped; these are the hospitals before." in panel._status.value
    assert source.made == {source.start}
    panel.stop()
    assert "Nothing is running." in panel._status.value


def test_who_moves_on_meanwhile_gets_the_last_choice(page, panel, source):
    source.seconds = 20.0
    panel.widgets["n_hospitals"].value = 7
    wait_for(lambda: panel._running is not None)
    source.seconds = 0.1
    panel.widgets["n_hospitals"].value = 6
    wait_for(lambda: not panel._worker.is_busy)
    assert (panel.values["n_hospitals"], panel._there.n_hospitals) == (6, 6)
    assert (7, 120, OWN) not in source.made


def test_a_fault_beside_a_page_is_a_sentence_and_the_controls_go_back(page, panel, source, monkeypatch):
    def fail(*_, progress=None):
        raise SpecificationError("n_days: expected more, got 3; take more days")

    monkeypatch.setattr(source, "admit", fail)
    panel.widgets["n_hospitals"].value = 4
    wait_for(lambda: not panel._worker.is_busy)
    assert "expected more, got 3; take more days" in panel._status.value
    assert panel.values["n_hospitals"] == 3


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"question": "why"}, "question: expected one of means"),
        ({"epsilon": 0.01}, "epsilon: expected a number from 0.1 to 10"),
        ({"most_colluding": 2}, "most_colluding: expected one of 1; got 2"),
        ({"view": "nobody"}, "view: expected one of city hospital"),
    ],
)
def test_values_that_are_not_offered_are_refused_and_nothing_moves(panel, source, values, words):
    before = panel.values
    with pytest.raises(SpecificationError, match=re.escape(words)):
        panel.set(**values)
    assert panel.values == before
    with pytest.raises(SpecificationError, match=re.escape(words)):
        HospitalsTogether(source, **values)


def test_refused_hospitals_leave_the_old_ones(panel):
    before = panel.values
    with pytest.raises(SpecificationError, match=re.escape("most_colluding: expected one of 1, 2; got 3")):
        panel.set(n_hospitals=5, most_colluding=3)
    with pytest.raises(SpecificationError, match="n_hospitals: expected one of 3"):
        panel.set(n_hospitals=9)
    assert panel.values == before
    assert list_options(panel, "most_colluding") == [1]


def test_it_is_offered_by_name():
    assert tl.widgets.HospitalsTogether is HospitalsTogether


def test_real_hospitals_answer_every_question_with_and_without_noise():
    panel = HospitalsTogether(explore_hospitals(admit_patients((40, 30, 20), n_days=7), n_days=7))
    for question in panel._source.questions:
        for epsilon in (None, 10.0, 0.1):
            panel.set(question=question, is_private=epsilon is not None, epsilon=epsilon or 1.0)
            assert panel._status.value.count(question.capitalize()) == 1
            assert ("no noise" if epsilon is None else f"epsilon {epsilon:g} a patient") in panel._status.value
            json.dumps([chart.data for chart in panel._charts.values()], allow_nan=False)
