"""The panel without a browser: the same numbers, nothing swallowed, nothing clamped."""

import base64
import json
import re

import pandas as pd
import pytest
from source import SyntheticPerson, SyntheticSource

import twinlab as tl
from twinlab.errors import SpecificationError, TwinlabError
from twinlab.widgets import live
from twinlab.widgets import panel as shell

_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def panel():
    return tl.widgets.MeetYourTwin(SyntheticSource())


def test_repr_is_live_with_a_picture_and_a_sentence(panel, monkeypatch):
    monkeypatch.delenv("TWINLAB_HEADLESS", raising=False)
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {_VIEW, "image/png", "text/plain"}
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == panel.picture.sentence


def test_headless_repr_has_no_widget_but_the_same_numbers(panel, monkeypatch):
    live_bundle, _ = panel._repr_mimebundle_()
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    bundle, _ = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == live_bundle["text/plain"]
    assert len(base64.b64decode(bundle["image/png"])) < 75_000


def test_moving_a_slider_moves_chart_status_and_picture_together(panel):
    panel.widgets["minutes"].value = 60
    assert "walking 60 min now" in panel.picture.sentence
    assert panel.picture.sentence == panel._chart.alt_text
    assert "walking 60 min now" in panel._status.value
    assert panel._chart.signals["effect_title"] == "Effect of walking 60 min now, bpm"
    assert panel.draw().to_dict()["description"] == panel.picture.sentence
    json.dumps(panel._chart.data, allow_nan=False)


def test_the_forecast_never_gets_more_than_the_history_it_shows(panel):
    asked = []

    class Listening(SyntheticPerson):
        def history(self, hour, n_hours=72):
            asked.append(("history", hour))
            return super().history(hour, n_hours)

        def forecast(self, hour, horizons):
            asked.append(("forecast", hour, list(horizons)))
            return super().forecast(hour, horizons)

    panel._view = Listening(SyntheticSource.times, 0)
    panel.set(hour=100, horizon_hours=6)
    assert asked == [("history", 100), ("forecast", 100, [1, 2, 3, 4, 5, 6])]
    panel.set(minutes=60)
    assert len(asked) == 2, "a walk changes neither history nor forecast"


def test_no_walk_and_a_walk_beyond_the_forecast_ask_about_nothing(panel):
    panel.set(minutes=0)
    assert panel._chart.signals["effect_title"] == "No action asked about"
    panel.set(minutes=30, horizon_hours=3, start_in_hours=5)
    assert panel._chart.data["effect"] == []


def test_every_choice_of_a_panel_can_be_made_from_code():
    panel = tl.widgets.MeetYourTwin(SyntheticSource(), "bea", "steps", 200, 6, 45, 2)
    assert panel.values == {
        "person_id": "bea", "signal": "steps", "hour": 200, "horizon_hours": 6, "minutes": 45, "start_in_hours": 2,
    }  # fmt: skip
    assert "Steps of bea" in panel.picture.sentence


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"minutes": -5}, "minutes: expected a whole number from 0 to 120 min, got -5"),
        ({"minutes": 2.5}, "got 2.5"),
        ({"horizon_hours": 25}, "from 1 to 24 h"),
        ({"person_id": "dan"}, "person_id: expected one of ada, bea, cem; got 'dan'"),
        ({"hour": 3}, "hour: expected one of"),
        ({"start_in_hours": True}, "got True"),
        ({"signal": "mood"}, "got 'mood'"),
    ],
)
def test_values_outside_the_limits_are_refused_not_moved(panel, values, words):
    with pytest.raises(SpecificationError, match=re.escape(words)):
        panel.set(**values)
    with pytest.raises(SpecificationError, match=re.escape(words)):
        tl.widgets.MeetYourTwin(SyntheticSource(), **values)


def test_unknown_control_is_named(panel):
    with pytest.raises(SpecificationError, match="no control epsilon; there are: person_id"):
        panel.set(epsilon=1)


def test_errors_are_raised_where_nobody_moves_a_slider(panel):
    with pytest.raises(KeyError):
        panel.widgets["minutes"].value = 120
    with pytest.raises(TwinlabError, match="115 min"):
        panel.set(minutes=115)


def test_errors_are_sentences_where_a_reader_moves_one(panel, monkeypatch):
    monkeypatch.setattr(shell, "is_moved_by_hand", lambda: True)
    panel.widgets["minutes"].value = 120
    assert "Something went wrong inside twinlab (KeyError)" in panel._status.value
    assert "61.7" not in panel._status.value
    panel.widgets["minutes"].value = 115
    assert "this twin has never seen a walk of 115 min" in panel._status.value
    panel.widgets["minutes"].value = 30
    assert "walking 30 min now" in panel._status.value


def test_words_from_data_cannot_become_markup(panel):
    panel.say("<img src=x onerror=alert(1)>")
    assert "<img" not in panel._status.value


def test_nobody_and_too_few_hours_are_refused():
    class Empty(SyntheticSource):
        person_ids = ()

    class Short(SyntheticSource):
        n_hours = 20

    with pytest.raises(SpecificationError, match="at least one person"):
        tl.widgets.MeetYourTwin(Empty())
    with pytest.raises(SpecificationError, match="more than 24 hours of readings, got 20"):
        tl.widgets.MeetYourTwin(Short())


def test_axis_does_not_jump_back_while_a_slider_moves(panel):
    panel.set(minutes=110)
    high = panel._chart.signals["high"]
    panel.set(minutes=5)
    assert panel._chart.signals["high"] == high
    panel.set(signal="steps")
    assert panel._chart.signals["high"] > high


def test_scripts_ask_no_network_and_are_read_only_when_needed():
    for name in ("live.js", "spoken.js", "panel.css"):
        script = live._read_static(name)
        assert "http" not in script
        assert "eval(" not in script
    chart = tl.widgets.LiveChart(tl.charts.draw_outlook(tl.widgets.MeetYourTwin(SyntheticSource()).picture))
    state = json.dumps({name: value for name, value in chart.get_state().items() if name != "layout"}, default=str)
    assert set(re.findall(r"https?://[^\s\"']+", state)) == {"https://vega.github.io/schema/vega-lite/v6.4.1.json"}
    assert len(state) < 60_000


def test_live_chart_sends_what_changed_in_one_message(panel):
    chart = panel._chart
    panel.set(minutes=40)
    before, revision = chart.data["band"], chart.revision
    chart.update(
        data={"now": pd.DataFrame({"time": [pd.Timestamp("2026-01-01")], "text": ["now"]})}, signals={"low": 1}
    )
    assert chart.revision == revision + 1
    assert chart.data["band"] == before
    assert chart.data["now"] == [{"time": 1767225600000, "text": "now"}]
    assert chart.signals["low"] == 1
    chart.draw(tl.charts.draw_findings([]))
    assert chart.data == {}
    assert "nothing to draw" in chart.alt_text


def test_page_that_asks_gets_vega(panel, monkeypatch):
    sent = []
    monkeypatch.setattr(panel._chart, "send", lambda content, buffers=None: sent.append((content, buffers)))
    monkeypatch.setattr(live, "load_vega_module", lambda: b"module")
    panel._chart._answer(None, {"kind": "something else"}, None)
    panel._chart._answer(None, {"kind": "vega?"}, None)
    assert sent == [({"kind": "vega"}, [b"module"])]
