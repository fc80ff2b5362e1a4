"""Charts of federated devices: what they say, that they move in place, and what they refuse."""

import itertools
import json
import math
import re

import numpy as np
import pandas as pd
import pytest

from twinlab import charts
from twinlab.charts.device_map import FATES, N_DRAWN
from twinlab.charts.federation import DO_NOT_TRAIN, NO_CLEAR_GAIN, TRAIN, judge_change
from twinlab.charts.picture import make_svg
from twinlab.charts.stack import stack_charts
from twinlab.errors import SpecificationError
from twinlab.pipeline.devices import ANSWERED, NOT_ASKED, REFUSED, VANISHED, count_recognized

ROUNDS = {"signal": "heart_rate_bpm", "unit": "bpm", "zero_budget": 6.0, "n_rounds": 20}


def make_table(n_rounds=20, last=4.8):
    rounds = np.arange(1, n_rounds + 1)
    share = rounds / 20
    down = np.full(n_rounds, 0.4248)
    return pd.DataFrame(
        {"round": rounds, "error": 6 - (6 - last) * share, "megabytes_down": down, "megabytes_up": down * 0.7}
    )


def make_fates(n_devices=200, liars=0.1):
    random = np.random.default_rng(3)
    status = random.choice(FATES, n_devices, p=[0.3, 0.15, 0.05, 0.5]).tolist()
    return status, random.random(n_devices) < liars


def make_sent(n_devices=12, n_weights=40):
    random = np.random.default_rng(5)
    return random.normal(size=(n_devices, n_weights)) * random.uniform(0.01, 0.3, size=(n_devices, 1))


def list_pictures():
    """Several states of each chart, first the one that is drawn when a panel opens."""
    sent, masked = make_sent(), np.random.default_rng(6).random((12, 40))
    holes = np.where(np.arange(12)[:, None] == 4, np.nan, sent)
    return {
        "rounds": (
            charts.draw_rounds,
            [
                charts.make_rounds(make_table(0), **ROUNDS, is_running=True),
                charts.make_rounds(make_table(5), **ROUNDS, before=make_table(last=5.2), who="200 devices"),
                charts.make_rounds(make_table(20, 7.0), **ROUNDS, limits=(4.0, 9.0)),
                charts.make_rounds(make_table(3), **{**ROUNDS, "zero_budget": math.nan}),
            ],
        ),
        "traffic": (
            charts.draw_traffic,
            [charts.make_traffic(make_table(0), 20), charts.make_traffic(make_table(7), 20)],
        ),
        "map": (
            charts.draw_device_map,
            [
                charts.make_device_map([NOT_ASKED] * 200, np.zeros(200, bool), 0, 20),
                charts.make_device_map(*make_fates(), 7, 20),
            ],
        ),
        "view": (
            charts.draw_server_view,
            [
                charts.make_server_view(np.zeros((0, 1)), False, n_rows=12),
                charts.make_server_view(sent, False, sent_by=range(3, 15), liars=[4], number=2, recognized=(12, 12)),
                charts.make_server_view(sent, False, sent_by=range(12), is_encrypted=True, other=masked),
                charts.make_server_view(masked, True, group_size=20, other=holes, other_by=range(12)),
            ],
        ),
    }


NAMES = tuple(list_pictures())


@pytest.mark.parametrize("name", NAMES)
def test_pictures_share_names_so_that_a_chart_moves_in_place(name):
    draw, pictures = list_pictures()[name]
    first = pictures[0]
    spec = draw(first, moves=True).to_dict()
    assert {param["name"] for param in spec["params"]} >= set(first.signals)
    for picture in pictures:
        assert picture.signals.keys() == first.signals.keys()
        assert {rows: list(frame) for rows, frame in picture.data.items()} == {
            rows: list(frame) for rows, frame in first.data.items()
        }
        assert picture.data.keys() <= spec["datasets"].keys()
        assert all(math.isfinite(value) for value in picture.signals.values() if not isinstance(value, str))
        if name in ("map", "view"):
            assert picture.signals["tall"] == first.signals["tall"]


@pytest.mark.parametrize("name", NAMES)
def test_every_state_is_drawn_described_and_asks_no_network(name):
    draw, pictures = list_pictures()[name]
    for picture in pictures:
        for moves in (False, True):
            spec = draw(picture, moves).to_dict()
            words = re.findall(r"<text[^>]*>([^<]+)", make_svg(spec))
            assert words
            assert not {"undefined", "NaN", "null"} & set(words)
            assert "nan" not in spec["description"].lower()
            assert spec["description"].endswith(".")
            assert "http" not in json.dumps({key: value for key, value in spec.items() if key != "$schema"})
        bundle, _ = draw(picture)._repr_mimebundle_()
        assert len(bundle["image/png"]) < 75_000


def test_all_of_them_stand_below_each_other():
    parts = {name: draw(pictures[-1]) for name, (draw, pictures) in list_pictures().items()}
    svg = make_svg(stack_charts(parts, "All of it.").to_dict())
    for words in ("round 3:", "up, from devices", "not asked", "Masked: what secure sums send"):
        assert words in svg, words


def test_rounds_say_error_change_and_verdict():
    picture = charts.make_rounds(make_table(5, 4.8), **ROUNDS)
    assert "Round 5 of 20: 5.70 bpm, 5.0 % below the 6.00 of zero budget; verdict: train." in picture.sentence
    worse = charts.make_rounds(make_table(20, 7.2), **ROUNDS)
    assert "Round 20 of 20: 7.20 bpm, 20 % above the 6.00 of zero budget; verdict: do not train." in worse.sentence
    beside = charts.make_rounds(make_table(5), **ROUNDS, before=make_table(last=5.2))
    assert "The run before ended at 5.20 bpm" in beside.sentence
    waiting = charts.make_rounds(make_table(0), **ROUNDS, is_running=True)
    assert "no round is finished yet; at zero budget 6.00 bpm" in waiting.sentence


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(5.0, TRAIN), (5.95, NO_CLEAR_GAIN), (6.05, NO_CLEAR_GAIN), (6.07, DO_NOT_TRAIN), (math.nan, ""), (math.inf, "")],
)
def test_a_change_of_less_than_a_hundredth_is_no_clear_gain(error, verdict):
    assert judge_change(error, 6.0) == verdict


def test_the_line_starts_at_the_start_and_skips_rounds_without_an_error():
    table = make_table(4)
    table.loc[1, "error"] = math.inf
    line = charts.make_rounds(table, **ROUNDS).data["line"]
    assert line["round"].tolist() == [0, 1, 3, 4]
    assert line["error"].iloc[0] == 6.0


@pytest.mark.parametrize(("now", "old"), [(5.99, 5.98), (4.8, 4.8), (6.5, 5.2), (3.0, 9.0)])
def test_names_of_lines_do_not_touch_and_stay_in_the_chart(now, old):
    picture = charts.make_rounds(make_table(20, now), **ROUNDS, before=make_table(last=old))
    heights = picture.data["names"]["label_at"].to_numpy()
    low, high = picture.signals["low"], picture.signals["high"]
    assert len(heights) == 3
    assert (np.diff(heights) >= 0.17 * (high - low)).all()
    assert low < heights[0]
    assert heights[-1] < high


def test_axis_does_not_jump_while_rounds_arrive():
    limits, seen = None, []
    for n_rounds in range(21):
        signals = charts.make_rounds(make_table(n_rounds), **ROUNDS, limits=limits).signals
        limits = (signals["low"], signals["high"])
        seen.append((*limits, signals["end"]))
    assert {end for *_, end in seen} == {20.0}
    assert all(now[0] <= before[0] and now[1] >= before[1] for before, now in itertools.pairwise(seen))


def test_bytes_say_the_last_round_and_all_of_them_in_a_fitting_unit():
    picture = charts.make_traffic(make_table(10), 20)
    assert "Sent in round 10, all devices together: 0.297 MB up, 0.425 MB down" in picture.sentence
    assert "In all rounds: 2.97 MB up, 4.25 MB down" in picture.sentence
    small = make_table(2)
    small[["megabytes_down", "megabytes_up"]] /= 1000
    assert "0.297 kB up, 0.425 kB down" in charts.make_traffic(small, 20).sentence
    bars = picture.data["bars"]
    assert (bars.loc[bars["way"].str.startswith("up"), "height"] > 0).all()
    assert (bars.loc[bars["way"].str.startswith("down"), "height"] < 0).all()


def test_map_counts_every_fate_and_what_came_of_liars():
    status = [ANSWERED] * 5 + [VANISHED] * 3 + [REFUSED] * 2 + [NOT_ASKED] * 10
    liars = np.isin(np.arange(20), [0, 8, 9, 15])
    picture = charts.make_device_map(status, liars, 3, 20)
    assert "20 devices, 10 asked: 5 answered, 3 vanished, 2 refused" in picture.sentence
    assert "4 lie; of the 3 asked 2 were refused and 1 let in" in picture.sentence
    assert "Devices in round 3 of 20" in picture.sentence
    texts = picture.data["legend"]["text"].tolist()
    assert {"answered 5", "vanished 3", "refused 2", "not asked 10", "lies 4"} <= set(texts)
    svg = make_svg(charts.draw_device_map(picture).to_dict())
    assert "refused 2" in svg


def test_fates_differ_by_shape_alone_and_rings_are_where_liars_are():
    status, liars = make_fates()
    picture = charts.make_device_map(status, liars, 1, 20)
    spec = charts.draw_device_map(picture).to_dict()
    encoding = spec["layer"][0]["encoding"]
    shapes, fills = encoding["shape"]["scale"]["range"], encoding["fill"]["scale"]["range"]
    assert shapes[0] == shapes[1] == "square"  # of these one is full, the other hollow
    assert fills[0] != fills[1] == "#ffffff"
    assert len({*shapes}) == 3
    devices, rings = picture.data["devices"], picture.data["rings"]
    wanted = {tuple(devices.loc[k, ["x", "y"]]) for k in np.flatnonzero(liars)}
    assert wanted == {tuple(place) for place in rings[["x", "y"]].iloc[:-1].to_numpy()}


@pytest.mark.parametrize("n_devices", [1, 2, 10, 37, 200, 999, 1000])
def test_devices_fill_a_grid_without_touching_and_a_thousand_fit(n_devices):
    status, liars = make_fates(n_devices)
    picture = charts.make_device_map(status, liars, 1, 20)
    devices = picture.data["devices"].iloc[:n_devices]
    cell = devices["size"].iloc[0]
    assert len(devices[["x", "y"]].drop_duplicates()) == n_devices
    assert devices["x"].max() + cell / 2 <= 640 + 1e-9
    assert devices["y"].max() + cell / 2 <= picture.signals["tall"] <= 400
    assert cell >= 12


def test_of_more_than_a_thousand_the_first_are_drawn_and_all_are_counted():
    status, liars = make_fates(3000)
    picture = charts.make_device_map(status, liars, 1, 20)
    assert sum(picture.data["devices"]["words"].str.startswith("device ")) == N_DRAWN
    assert "3,000 devices (the first 1,000 are drawn)" in picture.sentence
    assert f"{status.count(ANSWERED):,} answered" in picture.sentence
    assert len(picture.data["rings"]) == liars[:N_DRAWN].sum() + 1


def test_an_unknown_fate_and_a_missing_mark_are_refused():
    with pytest.raises(SpecificationError, match="answered, vanished, refused, not asked, got 'asleep'"):
        charts.make_device_map(["asleep"], [False], 1, 2)
    with pytest.raises(SpecificationError, match="for 2 devices, got 1"):
        charts.make_device_map([ANSWERED] * 2, [False], 1, 2)


def test_columns_that_are_missing_are_named():
    with pytest.raises(SpecificationError, match=r"error.* missing in"):
        charts.make_rounds(make_table().drop(columns="error"), **ROUNDS)
    with pytest.raises(SpecificationError, match=r"megabytes_up.* missing in"):
        charts.make_traffic(make_table().drop(columns="megabytes_up"), 20)
    with pytest.raises(SpecificationError, match="numbers of 3 devices, got the shape"):
        charts.make_server_view(make_sent(), False, sent_by=range(3))


def read_shades(picture, n_devices=12):
    """Darkness of each cell, a row a device."""
    codes = picture.data["cells"]["color"].str[1:]
    light = [sum(int(code[k : k + 2], 16) for k in (0, 2, 4)) / 765 for code in codes]
    return 1 - np.array(light).reshape(n_devices, -1)


def test_plain_numbers_show_who_is_who_and_masked_ones_do_not():
    """A device's shades resemble those of its next round where updates are plain, and only there."""
    first = make_sent()
    second = first * np.random.default_rng(8).uniform(0.7, 1.3, size=first.shape)
    own, other = [], []
    for sent, again, is_masked in (
        (first, second, False),
        (np.random.default_rng(1).random((12, 40)), np.random.default_rng(2).random((12, 40)), True),
    ):
        shades = [read_shades(charts.make_server_view(each, is_masked)) for each in (sent, again)]
        alike = np.corrcoef(np.vstack(shades))[:12, 12:]
        own.append(float(np.diag(alike).mean()))
        other.append(float(alike[~np.eye(12, dtype=bool)].mean()))
    assert own[0] > 0.8
    assert abs(other[0]) < 0.2
    assert abs(own[1]) < 0.25


def test_signs_differ_and_a_liars_row_is_saturated_without_hiding_the_others():
    sent = make_sent()
    sent[4] *= 1000
    picture = charts.make_server_view(sent, False)
    shades = read_shades(picture)
    assert shades[4].mean() > 1.5 * np.delete(shades, 4, axis=0).mean()
    assert np.delete(shades, 4, axis=0).mean() > 0.1
    colors = picture.data["cells"]["color"].to_numpy().reshape(12, 40)
    reddish = np.array([[int(color[1:3], 16) > int(color[5:7], 16) for color in row] for row in colors])
    is_far = np.abs(sent) > 1e-3
    assert (reddish[is_far] == (sent > 0)[is_far]).mean() > 0.99


def test_what_is_no_number_is_said_and_grey():
    sent = make_sent()
    sent[2] = np.nan
    picture = charts.make_server_view(sent, False, liars=[2])
    words = picture.data["words"]
    assert "2 (lies)" in words["text"].tolist()
    assert (words["look"] == "hole").sum() == 1
    assert set(picture.data["cells"]["color"][80:120]) == {"#ececec"}
    assert picture.data["cells"]["words"][80].endswith("no number")


def test_the_server_reads_each_update_or_only_sums():
    plain = charts.make_server_view(make_sent(), False, recognized=(12, 12))
    assert "It reads each update alone; here are 40 numbers of each of 12 devices" in plain.sentence
    assert "recognizes 12 of 12 devices, where chance gives 1" in plain.sentence
    masked = charts.make_server_view(np.full((12, 40), 0.5), True, group_size=15, recognized=(1, 12))
    assert "It reads sums of a group of 15 devices only" in masked.sentence
    assert "here of mean 0.50" in masked.sentence
    encrypted = charts.make_server_view(np.full((12, 40), 0.5), True, is_encrypted=True, recognized=(1, 12))
    assert "It reads a round's opened sum only" in encrypted.sentence
    assert "bytes of mean 128" in encrypted.sentence
    assert "By the bytes of the round before it recognizes 1 of 12" in encrypted.sentence
    assert encrypted.data["cells"]["words"][41] == "device 1, byte 2: 128"
    few = charts.make_server_view(make_sent(4), False, recognized=(3, 4))
    assert "recognizes" not in few.sentence
    assert "read nothing yet" in charts.make_server_view(np.zeros((0, 1)), True).sentence


def test_plain_stands_left_and_masked_right_whichever_came_last():
    sent, masked = make_sent(), np.random.default_rng(1).random((12, 40))
    for picture in (
        charts.make_server_view(sent, False, other=masked),
        charts.make_server_view(masked, True, other=sent),
    ):
        heads = picture.data["words"].query("look == 'head'").sort_values("x")["text"].tolist()
        assert heads == ["Plain: the updates themselves", "Masked: what secure sums send"]
        assert picture.data["cells"]["x2"].max() <= 640


def test_what_is_hidden_is_named_by_how_it_was_hidden():
    sent, hidden = make_sent(), np.random.default_rng(1).random((12, 40))
    for picture in (
        charts.make_server_view(sent, False, is_encrypted=True, other=hidden),
        charts.make_server_view(hidden, True, is_encrypted=True, other=sent),
    ):
        heads = picture.data["words"].query("look == 'head'").sort_values("x")["text"].tolist()
        assert heads == ["Plain: the updates themselves", "Encrypted: bytes of ciphertexts"]


def test_devices_are_recognized_where_numbers_repeat_and_not_in_noise():
    sent = make_sent(30)
    again = sent * np.random.default_rng(8).uniform(0.7, 1.3, size=sent.shape)
    assert count_recognized(again, tuple(range(30)), sent, tuple(range(30))) == (30, 30)
    noise = [np.random.default_rng(seed).random((30, 40)) for seed in (1, 2)]
    assert count_recognized(noise[0], tuple(range(30)), noise[1], tuple(range(30)))[0] <= 6
    shuffled = tuple(reversed(range(30)))
    assert count_recognized(again[::-1], shuffled, sent, tuple(range(30))) == (30, 30)
    sent[3] = np.nan
    assert count_recognized(again, tuple(range(30)), sent, tuple(range(30))) == (29, 29)
    assert count_recognized(again, tuple(range(30)), sent, tuple(range(40, 70))) == (0, 0)
