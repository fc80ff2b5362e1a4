"""Every chart: valid, small, described, in our ink, and drawn with nothing from a network."""

import base64
import json
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
from frame import (
    CURVE,
    draw_gallery,
    make_curve,
    make_deployed,
    make_errors,
    make_findings,
    make_forecast,
    make_gauge,
    make_history,
    make_hours,
    make_mechanisms,
    make_people,
    make_posterior,
    make_stream_errors,
    make_what_if,
)

from twinlab import charts
from twinlab.charts.picture import load_vega_module, make_svg, save_chart
from twinlab.charts.theme import DASHES, INK, OKABE_ITO, SHAPES, use_offline_charts
from twinlab.errors import SpecificationError

_NAMES = tuple(draw_gallery())


@pytest.fixture(scope="module")
def specs():
    return {name: chart.to_dict() for name, chart in draw_gallery().items()}


@pytest.mark.parametrize("name", _NAMES)
def test_chart_draws_on_its_own_machine(name, specs):
    svg = make_svg(specs[name])
    assert "</svg>" in svg
    words = re.findall(r"<text[^>]*>([^<]+)", svg)
    assert words, "a chart without a word says nothing"
    assert not {"undefined", "NaN", "null"} & set(words)


@pytest.mark.parametrize("name", _NAMES)
def test_bundle_has_three_pictures_of_the_same(name):
    bundle, metadata = draw_gallery()[name]._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.vegalite.v5+json", "image/png", "text/plain"}
    png = base64.b64decode(bundle["image/png"])
    assert png.startswith(b"\x89PNG")
    assert 1_000 < len(png) < 75_000
    assert metadata["image/png"]["alt"] == bundle["text/plain"]
    assert metadata["image/png"]["width"] > 300
    spec = bundle["application/vnd.vegalite.v5+json"]
    assert spec["$schema"].endswith("/v5.json")
    del spec["$schema"]
    assert "http" not in json.dumps(spec)


@pytest.mark.parametrize("name", [name for name in _NAMES if name != "empty"])
def test_description_says_the_numbers(name, specs):
    sentence = specs[name]["description"]
    assert len(re.findall(r"\d", sentence)) >= 2
    assert "nan" not in sentence.lower()
    assert sentence.endswith(".")


def test_every_ink_is_named_for_the_dark_theme(specs):
    config = specs["days"]["config"]
    assert config["background"] == "#ffffff"
    for part, keys in {
        "axis": ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"),
        "legend": ("labelColor", "titleColor"),
        "title": ("color", "subtitleColor"),
        "header": ("labelColor", "titleColor"),
        "text": ("color",),
    }.items():
        for key in keys:
            assert re.fullmatch("#[0-9a-f]{6}", config[part][key]), (part, key)
    assert config["style"]["guide-label"]["fill"] == INK
    assert config["axis"]["labelFontSize"] >= 12
    assert config["range"]["category"] == list(OKABE_ITO)
    assert len(set(DASHES)) == len(set(SHAPES)) == len(OKABE_ITO)


@pytest.mark.parametrize("color", OKABE_ITO)
def test_colours_stand_out_from_paper(color):
    """At least 2:1 against white; a line also differs in its dash, and text is never in the paler ones alone."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) > 2


def test_activation_is_idempotent_and_menu_has_no_link_outside():
    use_offline_charts()
    use_offline_charts()
    spec = alt.Chart(pd.DataFrame({"a": [1]})).mark_point().encode(x="a").to_dict()
    actions = spec["usermeta"]["embedOptions"]["actions"]
    assert actions == {"export": True, "source": False, "compiled": False, "editor": False}


def test_pictures_are_saved_by_their_ending(tmp_path):
    chart = charts.draw_findings(make_findings())
    assert save_chart(chart, tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert save_chart(chart, tmp_path / "a.svg").read_text().startswith("<svg")
    with pytest.raises(SpecificationError, match=r"\.png or \.svg, got 'a\.bmp'"):
        save_chart(chart, tmp_path / "a.bmp")


def test_vega_is_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("twinlab.charts.picture._cache_folder", lambda: tmp_path)
    load_vega_module.cache_clear()
    module = load_vega_module()
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == module
    kept.write_bytes(module[:1000])  # cut off while it was written
    load_vega_module.cache_clear()
    assert load_vega_module() == module
    load_vega_module.cache_clear()


@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (lambda: charts.draw_days(pd.DataFrame({"time": []})), "signal, value"),
        (lambda: charts.draw_rhythm(pd.DataFrame({"value": []}), "steps"), "time, signal"),
        (lambda: charts.draw_forecast(make_history(), pd.DataFrame({"time": []})), "horizon_hours"),
        (lambda: charts.draw_what_if(make_what_if().drop(columns="effect")), "effect"),
        (lambda: charts.draw_personalization(make_errors().drop(columns="model")), "model"),
        (lambda: charts.make_frontier(make_curve().drop(columns="verdict"), 1.0, **CURVE), "verdict"),
        (lambda: charts.make_meaning(pd.DataFrame(), 1.0, 0.0, make_deployed(), "person"), "prior"),
        (lambda: charts.make_meaning(make_posterior(), 1.0, 0.0, pd.DataFrame(), "person"), "who, what"),
        (lambda: charts.make_budget({"epsilon": 1.0}), "spent, remaining"),
        (lambda: charts.draw_mechanisms(make_mechanisms().drop(columns="unit")), "unit"),
        (lambda: charts.make_people_needed(make_people().drop(columns="n_people"), 10, 1.0), "n_people"),
        (lambda: charts.draw_stream_errors(make_stream_errors().drop(columns="hides")), "hides"),
        (lambda: charts.draw_stream(make_hours().drop(columns="series")), "series"),
    ],
)
def test_missing_columns_are_named(draw, columns):
    with pytest.raises(SpecificationError, match=f"{columns}.* missing in"):
        draw()


def _blank(frame):
    return frame.assign(**{name: np.nan for name in frame.select_dtypes("number").columns if name != "horizon_hours"})


@pytest.mark.parametrize(
    "cut", [lambda f: f.iloc[:0], lambda f: f.iloc[:1], _blank], ids=["empty", "one row", "all gaps"]
)
def test_little_data_still_gives_a_labelled_chart(cut):
    drawn = [
        charts.draw_days(cut(make_history())),
        charts.draw_rhythm(cut(make_history()), "heart_rate_bpm"),
        charts.draw_forecast(cut(make_history()), cut(make_forecast())),
        charts.draw_forecast(make_history(), cut(make_forecast())),
        charts.draw_what_if(cut(make_what_if())),
        charts.draw_personalization(cut(make_errors())),
        charts.draw_outlook(charts.make_outlook(cut(make_history()), cut(make_forecast()), cut(make_what_if()))),
        charts.draw_findings([]),
        charts.draw_frontier(charts.make_frontier(cut(make_curve()), 1.0, **CURVE)),
        charts.draw_meaning(charts.make_meaning(cut(make_posterior()), 1.0, 0.0, cut(make_deployed()), "person")),
        charts.draw_budget(charts.make_budget(make_gauge(purposes=False))),
        charts.draw_mechanisms(cut(make_mechanisms())),
        charts.draw_people_needed(charts.make_people_needed(cut(make_people()), np.inf, 2.0)),
        charts.draw_stream_errors(cut(make_stream_errors())),
        charts.draw_stream(cut(make_hours())),
    ]
    for chart in drawn:
        spec = chart.to_dict()
        assert "<text" in make_svg(spec)
        assert "nan" not in spec["description"].lower()
