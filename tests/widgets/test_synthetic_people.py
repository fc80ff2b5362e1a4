"""The panel of synthetic people: what was made shows at once, all else is made beside the page and can be stopped."""

import json
import re

import pytest
from synthetic_source import METHODS, STREAMS, TABLE, SyntheticSource
from waiting import wait_for

import twinlab as tl
from twinlab.charts.picture import make_svg
from twinlab.errors import SpecificationError
from twinlab.widgets import SyntheticPeople

MARGINALS, GAN, COPY = METHODS[TABLE]


@pytest.fixture(scope="module")
def only_panel(tmp_path_factory):
    return SyntheticPeople(SyntheticSource(), folder=tmp_path_factory.mktemp("beside") / "synthetic")


@pytest.fixture
def panel(only_panel):
    """The panel as it began; making one takes longer than moving it."""
    only_panel._source.forget()
    only_panel._shown = (only_panel._shown[0]._replace(method="?"), only_panel._shown[1])
    only_panel.set(what=TABLE, method=MARGINALS, epsilon=1.0, kind=".csv")
    only_panel.set(person="row 7")
    only_panel._source.asked.clear()
    return only_panel


@pytest.fixture
def source(panel):
    return panel._source


def read_headline(panel):
    """The title over the real and the synthetic people, wherever it was put last."""
    live = panel._live["shown"]
    return {**{each["name"]: each["value"] for each in live.spec["params"]}, **live.signals}["headline"]


def wait_until_done(panel):
    wait_for(lambda: not panel._worker.is_busy)
    with panel._lock:  # who worked has said so
        pass


def list_options(panel, name):
    return [value for _, value in panel.widgets[name].options]


def test_picture_sentence_and_charts_say_the_same(panel, monkeypatch):
    monkeypatch.setenv("TWINLAB_HEADLESS", "1")
    bundle, metadata = panel._repr_mimebundle_()
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == metadata["image/png"]["alt"] == panel.sentence
    for name, live in panel._live.items():
        json.dumps([live.spec, live.data], allow_nan=False)
        assert name == "shown" or live.alt_text in panel.sentence
    assert panel.sentence.startswith("100 synthetic people by adaptive marginals: epsilon 1 per person.")
    assert "by adaptive marginals: epsilon 1 per person." in panel._status.value
    assert "At least so much nearer to a person that was used: 3 of 100; to one that was not: 2." in panel.sentence


def test_an_epsilon_is_made_once_and_going_back_makes_and_draws_nothing(panel, source):
    spec, before = panel._live["shown"].spec, panel._draw_all()
    panel.widgets["epsilon"].value = 10.0
    assert source.finished[-1] == (MARGINALS, 10.0, TABLE)
    assert read_headline(panel) == "Real and synthetic: daily table, adaptive marginals, at epsilon 10"
    assert panel._live["shown"].spec is spec, "new rows came in place"
    source.seconds = 100.0
    panel.widgets["epsilon"].value = 1.0
    assert "epsilon 1 per person." in panel._status.value
    assert all(panel.charts[name] is chart for name, chart in before.items())


def test_a_copy_keeps_no_promise_and_epsilon_means_nothing_to_it(panel, source):
    panel.set(method=COPY)
    assert panel.widgets["epsilon"].disabled
    assert "no guarantee" in panel._status.value
    assert f"About {COPY}." in panel._words.value
    assert "membership 80%" in panel._live["risks"].alt_text
    n_made = len(source.kept)
    panel.set(epsilon=30.0)
    assert len(source.kept) == n_made
    panel.set(method=MARGINALS)
    assert not panel.widgets["epsilon"].disabled


def test_methods_and_people_are_those_of_what_is_made(panel):
    panel.set(what=STREAMS)
    assert list_options(panel, "method") == list(METHODS[STREAMS])
    assert panel.values["method"] == METHODS[STREAMS][0]
    assert list_options(panel, "person") == ["day 7", "day 3", "day 5"]
    assert panel._live["nearest"].alt_text.startswith("The nearest to synthetic day 7:")
    assert "over all hours" in panel._live["shown"].alt_text
    panel.widgets["what"].value = TABLE
    assert panel.values["method"] == MARGINALS


def test_lines_of_days_are_drawn_in_the_picture_that_stands_still(panel):
    panel.set(what=STREAMS)
    spec = panel.draw().to_dict(validate=False)
    n_lines = len(re.findall(r'<path[^>]*d="M[^"]{200,}"[^>]*stroke="#D55E00"', make_svg(spec)))
    assert n_lines == 2, "the real day, on both sides of the synthetic one"


def test_another_person_repaints_and_makes_nobody(panel, source):
    panel.set(person="row 3")
    assert "condition asthma for asthma, steps 300 for 300" in panel._live["nearest"].alt_text
    assert "made from is 0.0300 away" in panel._live["nearest"].alt_text
    assert source.asked == []
    panel.set(epsilon=10.0)
    assert panel.values["person"] == "row 3"


def test_all_attacks_on_demand_take_the_place_of_the_quick_ones(panel, source):
    assert "linkability" not in panel._live["risks"].alt_text
    panel.press("judge")
    assert "linkability" in panel._live["risks"].alt_text
    panel.press("judge")
    assert "These were attacked in all ways." in panel._status.value
    assert source.kept[MARGINALS, 1.0, TABLE].is_judged_whole


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_export_writes_rows_and_card_and_says_where(panel, kind):
    panel.set(kind=kind)
    panel.press("export")
    rows = panel._folder / f"made-up{kind}"
    assert f"Written: {rows} and made-up{kind}.card.json beside it." in panel._status.value
    assert {each.name for each in panel._folder.glob(f"*{kind}*")} == {rows.name, f"{rows.name}.card.json"}


def test_beside_a_page_a_gan_shows_early_looks_and_can_be_stopped(page, panel, source):
    source.seconds = 1.0
    panel.widgets["method"].value = GAN
    wait_for(lambda: "Making: daily table, GAN, at epsilon 1 ..." in panel._status.value)
    assert "by adaptive marginals" in panel._status.value
    assert panel._progress.layout.visibility == "visible"
    wait_for(lambda: read_headline(panel).startswith("An early look, after 5 steps: daily table, GAN"))
    source.seconds = 20.0
    panel.stop()
    wait_until_done(panel)
    assert panel.values["method"] == MARGINALS
    assert "Stopped; these are the people before." in panel._status.value
    assert read_headline(panel).startswith("Real and synthetic: daily table, adaptive marginals")
    assert not source.is_known(GAN, 1.0, TABLE)
    panel.stop()
    assert "Nothing is running." in panel._status.value


def test_who_moves_on_meanwhile_gets_the_last_choice(page, panel, source):
    source.seconds = 20.0
    panel.widgets["epsilon"].value = 3.0
    wait_for(lambda: panel._running is not None)
    panel.widgets["person"].value = "row 3"  # meanwhile those that are drawn are looked at
    assert panel._live["nearest"].alt_text.startswith("The nearest to synthetic row 3:")
    source.seconds = 0.1
    panel.widgets["epsilon"].value = 30.0
    wait_until_done(panel)
    assert panel._shown[0] == (TABLE, MARGINALS, 30.0)
    assert not source.is_known(MARGINALS, 3.0, TABLE)
    assert panel._progress.layout.visibility == "hidden"


def test_a_fault_beside_a_page_is_a_sentence_and_the_controls_go_back(page, panel, source, monkeypatch):
    def fail(*_, **__):
        raise SpecificationError("people: expected more, got 3; add some")

    monkeypatch.setattr(source, "make", fail)
    panel.widgets["epsilon"].value = 0.3
    wait_until_done(panel)
    assert "expected more, got 3; add some" in panel._status.value
    assert panel.values["epsilon"] == 1.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"what": "a poem"}, "what: expected one of daily table, hour by hour"),
        ({"method": "hope"}, "method: expected one of adaptive marginals"),
        ({"what": STREAMS, "method": MARGINALS}, "method: expected one of fitted simulator"),
        ({"epsilon": 0.01}, "epsilon: expected one of 0.3"),
        ({"person": "row 1"}, "person: expected one of row 7"),
    ],
)
def test_values_that_are_not_offered_are_refused_and_nothing_moves(panel, source, values, words):
    before = panel.values
    with pytest.raises(SpecificationError, match=re.escape(words)):
        panel.set(**values)
    assert panel.values == before
    with pytest.raises(SpecificationError, match=re.escape(words)):
        SyntheticPeople(source, **values)


def test_it_is_offered_by_name():
    assert tl.widgets.SyntheticPeople is SyntheticPeople
