"""Charts of records read back and of masked updates: what they say, and what they refuse."""

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from twinlab import charts
from twinlab.charts.masking import find_gap
from twinlab.charts.picture import make_svg
from twinlab.errors import SpecificationError
from twinlab.finding import Finding

_UNITS = {"steps": ("Steps", "steps/h"), "heart_rate_bpm": ("Heart rate", "bpm")}
_WHAT = ("a day before", "usual at this hour", "mean of the last day")


def make_recovery(n_settings=4):
    rows = [
        ("one record, one step", "units", 1.0, 0.91, 1.0),
        ("batch of 16", "units", 0.105, 0.07, 0.13),
        ("hostile server, one step", "slices", 0.265, 0.24, 0.29),
        ("hostile server, noise 1", "slices", 0.0, 0.0, 0.088),
    ][:n_settings]
    names = ("setting", "attack", "share", "low", "high")
    table = [{**dict(zip(names, row, strict=True)), "guess": 0.0} for row in rows]
    said = "Share of made-up records: " + ", ".join(f"{row[0]} {row[2]:.1%}" for row in rows) + "."
    kind = "95 % bootstrap over updates"
    return Finding("records_recovered", 1.0, said, interval_kind=kind, baseline_name="claiming others", table=table)


def make_record(off=0.0):
    true = {"steps": (72.0, 539.0, 718.0), "heart_rate_bpm": (64.0, 70.0, 72.0)}
    rows = [
        {"signal": signal, "label": label, "unit": unit, "what": what, "true": value, "read": value * (1 + off)}
        for signal, (label, unit) in _UNITS.items()
        for what, value in zip(_WHAT, true[signal], strict=True)
    ]
    return pd.DataFrame(rows)


def make_noise():
    noise = np.array([1e-4, 1e-3, 1e-2, 0.1, 1.0])
    error = np.array([0.002, 0.022, 0.41, 1.0, 1.04])
    columns = {"noise_multiplier": noise, "median": error, "low": error * 0.9, "high": error * 1.2}
    return pd.DataFrame(
        {**columns, "exact": [1.0, 0, 0, 0, 0], "guess": 0.93, "epsilon": [5e7, 504_264, 5425, 91.8, 4.38]}
    )


def make_masking(n_devices=12, n_numbers=500):
    draw = np.random.default_rng(0)
    plain = draw.normal(0, 0.01, (n_devices, n_numbers))
    return plain, draw.integers(0, 2**32, (n_devices, n_numbers), dtype=np.uint32)


def draw_all():
    return {
        "recovery": charts.draw_recovery(make_recovery()),
        "record": charts.draw_record({"its own update": make_record(), "a sum": make_record(0.4)}),
        "noise_price": charts.draw_noise_price(make_noise()),
        "masking": charts.draw_masking(*make_masking()),
    }


@pytest.mark.parametrize("name", ["recovery", "record", "noise_price", "masking"])
def test_it_draws_with_a_sentence_and_without_a_network(name):
    chart = draw_all()[name]
    spec = chart.to_dict()
    words = re.findall(r"<text[^>]*>([^<]+)", make_svg(spec))
    assert words
    assert not {"undefined", "NaN", "null"} & set(words)
    assert len(re.findall(r"\d", spec["description"])) >= 2
    assert spec["description"].endswith((".", "20."))
    bundle, metadata = chart._repr_mimebundle_()
    assert 1_000 < len(base64.b64decode(bundle["image/png"])) < 75_000
    assert metadata["image/png"]["alt"] == bundle["text/plain"] == spec["description"]
    drawn = bundle["application/vnd.vegalite.v5+json"]
    del drawn["$schema"]
    assert "http" not in json.dumps(drawn)


def list_words(chart):
    return set(re.findall(r"<text[^>]*>([^<]+)", make_svg(chart.to_dict())))


def test_shares_stand_beside_their_setting_by_server():
    words = list_words(charts.draw_recovery(make_recovery()))
    assert {"honest server", "hostile server, which sends a trap", "26.5%", "noise 1", "batch of 16"} <= words
    assert "hostile server, which sends a trap" not in list_words(charts.draw_recovery(make_recovery(2)))


def test_a_record_says_how_many_values_were_read():
    spec = charts.draw_record({"its own update": make_record(), "a sum": make_record(0.4)}).to_dict()
    assert "Its own update: 6 of 6 values are read to half a percent." in spec["description"]
    assert "A sum: 0 of 6 values" in spec["description"]


def test_values_far_off_are_drawn_at_the_edge_of_an_axis_that_the_truth_decides():
    near, far = (
        charts.draw_record({"held": make_record(), "other": make_record(off)}).to_dict()["datasets"]["steps_1"]
        for off in (0.0, 100.0)
    )
    assert [row["true"] for row in near] == [row["true"] for row in far]
    reach = 0.6 * (718 - 72)
    assert [row["shown"] for row in far] == pytest.approx([718 + reach] * 3)
    assert [row["shown"] for row in near] == [row["true"] for row in near]


def test_noise_tells_exact_from_hidden():
    sentence = charts.draw_noise_price(make_noise()).to_dict()["description"]
    assert "From noise 0.001 on no record counts as exact; the error there is 0.022 of the record" in sentence
    assert "epsilon 504,264" in sentence
    assert "With noise 1 the error is 1 and epsilon 4.4." in sentence
    exact = charts.draw_noise_price(make_noise().assign(exact=1.0)).to_dict()["description"]
    assert "exactly under all noise that was tried" in exact


def test_gap_to_uniform_is_that_of_kolmogorov_and_smirnov():
    from scipy.stats import kstest

    values = np.random.default_rng(1).normal(0, 0.5, 300).clip(-1, 1)
    assert find_gap(values) == pytest.approx(kstest(values, lambda x: (x + 1) / 2).statistic, abs=1e-12)


def test_masked_numbers_look_uniform_and_plain_ones_do_not():
    """A fixed draw; the sentence carries both gaps beside what chance allows."""
    plain, masked = make_masking()
    sentence = charts.draw_masking(plain, masked).to_dict()["description"]
    gaps = [float(gap) for gap in re.findall(r"gap to uniform ([\d.]+);", sentence)]
    chance = float(re.findall(r"below ([\d.]+),", sentence)[0])
    assert gaps[0] > 5 * chance
    assert gaps[1] < chance


def test_no_numbers_of_a_record_stand_in_a_sentence():
    for chart in draw_all().values():
        assert not {"539", "718"} & set(re.findall(r"\d+", chart.to_dict()["description"]))


def test_nothing_to_draw_is_said():
    assert "no setting" in charts.draw_recovery(make_recovery(0)).to_dict()["description"]
    assert "no record" in charts.draw_record({}).to_dict()["description"]
    assert "no record" in charts.draw_record({"held": make_record().iloc[:0]}).to_dict()["description"]
    assert "no noise" in charts.draw_noise_price(make_noise().iloc[:0]).to_dict()["description"]
    none = np.zeros((0, 5))
    assert "no device" in charts.draw_masking(none, none.astype(np.uint32)).to_dict()["description"]


def test_what_is_missing_is_named():
    with pytest.raises(SpecificationError, match=r"read.* missing in"):
        charts.draw_record({"held": make_record().drop(columns="read")})
    with pytest.raises(SpecificationError, match=r"epsilon.* missing in"):
        charts.draw_noise_price(make_noise().drop(columns="epsilon"))
    with pytest.raises(SpecificationError, match=r"guess.* missing in"):
        charts.draw_recovery(Finding("x", 1.0, "x", table=[{"setting": "a", "attack": "units"}]))
    with pytest.raises(SpecificationError, match="uint32"):
        charts.draw_masking(*[make_masking()[0]] * 2)
    with pytest.raises(SpecificationError, match=r"\(12, 500\) and \(11, 500\)"):
        charts.draw_masking(make_masking()[0], make_masking()[1][:11])
