"""Attacks against defences: numbers, calm cells, cells without a number, costs, and the strongest attack left."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from twinlab import charts
from twinlab.charts.attack_matrix import BLACK, RAMP, WHITE, WHITE_FROM
from twinlab.charts.picture import make_svg
from twinlab.charts.worst_attack import find_worst
from twinlab.errors import SpecificationError

_GAINS = {"nothing": (0.9, 0.5), "noise": (0.02, 0.3), "federated + secure sum": (math.nan, -0.2)}


def make_table():
    rows = [
        {
            "attack": attack, "defence": defence, "advantage": gain, "advantage_low": gain - 0.1,
            "advantage_high": gain + 0.1, "sees": "readings", "sentence": f"{attack} {defence}",
        }
        for number, attack in enumerate(("Whose are these?", "Who took part?"))
        for defence, gains in _GAINS.items()
        for gain in [gains[number]]
    ]  # fmt: skip
    return pd.DataFrame(rows)


def make_costs():
    columns = {"defence": list(_GAINS), "loss": [0.0, 0.25, -0.01], "n_bytes": [1e5, 1e5, 2e6]}
    return pd.DataFrame({**columns, "seconds": [0.0, 0.0, 3.0], "epsilon": [math.inf, 2.0, math.inf]})


def read_words(chart):
    return re.findall(r"<text[^>]*>([^<]+)", make_svg(chart.to_dict()))


def list_kinds(picture):
    return [cell["kind"] for cell in picture.data["cells"].to_dict("records")]


def test_every_number_and_cost_is_in_the_picture_and_in_the_sentence():
    chart = charts.draw_attack_matrix(make_table(), make_costs(), ("Who took part?", "noise"))
    words, said = read_words(chart), chart.to_dict()["description"]
    for each in ("90%", "80% to 100%", "30%", "20% to 40%", "-20%", "not measured", "+25%", "2.00 MB", "3.00 s"):
        assert each in words
        assert each in said
    assert "no promise" in words
    assert {"federated", "+ secure sum"} <= set(words), "a mix is broken where its parts meet"
    assert "Whose are these? nothing 90% (80% to 100%); noise 2% (-8% to 12%); federated + secure sum" in said
    assert "Epsilon of a person: nothing no promise; noise 2;" in said


def test_what_cannot_be_told_from_a_guess_looks_calm_and_is_not_coloured():
    table = make_table()
    assert list_kinds(charts.make_attack_matrix(table)) == ["found", "calm", "not measured", "found", "found", "calm"]
    table.loc[0, "advantage_low"] = 0.0
    assert list_kinds(charts.make_attack_matrix(table))[0] == "calm"
    svg = make_svg(charts.draw_attack_matrix(make_table()).to_dict())
    assert svg.count('aria-label="Whose are these? noise: 2% -8% to 12%"') == 1


def test_a_cell_in_which_nothing_is_seen_is_hatched_inside_its_corners():
    table = make_table()
    assert charts.make_attack_matrix(table).data["hatch"].empty
    table.loc[0, "sees"] = "nothing but a sum"
    picture = charts.make_attack_matrix(table)
    cell, hatch = picture.data["cells"].iloc[0], picture.data["hatch"]
    assert (cell["kind"], cell["words"]) == ("sees nothing", "sees nothing")
    assert len(hatch) > 8
    for low, high in (("x", "x2"), ("y", "y2")):
        assert hatch[[low, high]].to_numpy().min() >= cell[low] - 1e-9
        assert hatch[[low, high]].to_numpy().max() <= cell[high] + 1e-9


def test_the_frame_lies_on_the_chosen_cell_and_only_there():
    table, corners = make_table(), ["x", "x2", "y", "y2"]
    picture = charts.make_attack_matrix(table, None, ("Who took part?", "nothing"))
    assert picture.data["frame"].iloc[0].to_dict() == picture.data["cells"].iloc[3][corners].to_dict()
    assert charts.make_attack_matrix(table, None, ("Who?", "nothing")).data["frame"].empty
    assert charts.make_attack_matrix(table).data["frame"].empty


def test_a_cell_that_the_table_lacks_keeps_its_place():
    whole, part = charts.make_attack_matrix(make_table()), charts.make_attack_matrix(make_table().drop(index=[1]))
    assert list_kinds(part)[1] == "not measured"
    assert part.signals == whole.signals
    assert part.data["cells"]["x"].tolist() == whole.data["cells"]["x"].tolist()


def test_words_can_be_read_on_every_shade():
    channels = np.array([[int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)] for color in RAMP])

    def find_luminance(gain):
        rgb = np.array([np.interp(gain, np.linspace(0, 1, len(RAMP)), each) for each in channels.T])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    shades = np.linspace(0, 1, 201)
    luminances = np.array([find_luminance(shade) for shade in shades])
    assert (np.diff(luminances) < 0).all(), "more must be darker for every eye"
    table = make_table().iloc[[0]]
    for shade, luminance in zip(shades[1:], luminances[1:], strict=True):
        contrast = 1.05 / (luminance + 0.05) if shade > WHITE_FROM else (luminance + 0.05) / 0.05
        assert contrast >= 4.5, shade
    for gain, ink in ((WHITE_FROM, BLACK), (WHITE_FROM + 0.01, WHITE)):
        cell = charts.make_attack_matrix(table.assign(advantage=gain, advantage_low=0.1)).data["cells"].iloc[0]
        assert cell["ink"] == ink


@pytest.mark.parametrize("n_defences", [1, 7, 9])
def test_it_fits_a_page_and_names_stay_within_their_columns(n_defences):
    names = ["federated + secure sum + private", "noise at the sensor", *(f"defence {n}" for n in range(7))][
        :n_defences
    ]
    rows = [{**make_table().iloc[0].to_dict(), "defence": name} for name in names]
    picture = charts.make_attack_matrix(pd.DataFrame(rows))
    assert picture.signals["wide"] <= 876
    column = picture.data["cells"]["x2"] - picture.data["cells"]["x"]
    assert picture.data["defences"]["words"].str.len().max() * 6.4 <= column.min() + 3


def test_little_data_still_gives_a_labelled_chart():
    for chart in (
        charts.draw_attack_matrix(make_table().iloc[:0]),
        charts.draw_attack_matrix(make_table().assign(advantage=np.nan), make_costs().assign(loss=np.nan)),
        charts.draw_worst_attacks(make_table().iloc[:0], make_costs()),
        charts.draw_worst_attacks(make_table(), make_costs().iloc[:1]),
        charts.draw_worst_attacks(make_table().assign(advantage=np.nan), make_costs()),
    ):
        assert read_words(chart)
        assert "nan" not in chart.to_dict()["description"].lower()


def test_missing_columns_are_named():
    with pytest.raises(SpecificationError, match=r"attack matrix: .*sees missing in"):
        charts.draw_attack_matrix(make_table().drop(columns="sees"))
    with pytest.raises(SpecificationError, match=r"costs of defences: .*loss missing in"):
        charts.draw_attack_matrix(make_table(), make_costs().drop(columns="loss"))
    with pytest.raises(SpecificationError, match=r"costs of defences: .*epsilon missing in"):
        charts.draw_worst_attacks(make_table(), make_costs().drop(columns="epsilon"))


def test_the_strongest_attack_stands_for_its_defence_and_what_is_beaten_is_hollow():
    worst = find_worst(make_table(), make_costs()).set_index("defence")
    assert worst["attack"].tolist() == ["Whose are these?", "Who took part?", "Who took part?"]
    assert worst["gain"].tolist() == [0.9, 0.3, -0.2]
    assert worst["is_best"].tolist() == [False, False, True], "the sum is better in both"
    dearer = find_worst(make_table(), make_costs().assign(loss=[0.0, 0.25, 0.3]))
    assert dearer["is_best"].tolist() == [True, True, True]
    blind = find_worst(make_table().assign(sees="nothing"), make_costs())
    assert blind["gain"].tolist() == [0.0, 0.0, 0.0]


def test_labels_of_defences_do_not_cover_each_other():
    table, costs = make_table(), make_costs()
    close = pd.concat([table.iloc[[0]].assign(defence=f"defence {n}", advantage=0.5) for n in range(12)])
    prices = pd.concat([costs.iloc[[0]].assign(defence=f"defence {n}") for n in range(12)])
    spec = charts.draw_worst_attacks(close, prices).to_dict()
    (scale,) = {tuple(layer["encoding"]["y"]["scale"]["domain"]) for layer in spec["layer"]}
    places = sorted(
        spec["height"] * (scale[1] - row["upper"]) / (scale[1] - scale[0]) for row in spec["datasets"]["defences"]
    )
    assert min(np.diff(places)) >= 30
    assert 0 <= places[0] <= places[-1] <= spec["height"]
    assert "defence 3: Whose are these? 50% (80% to 100%). Forecasts +0%." in spec["description"]
