"""Attacks against defences on the same people."""

import json

import numpy as np
import pytest

import twinlab as tl
from twinlab.errors import SpecificationError, TrustBoundaryError
from twinlab.pipeline.matrix_attack import find_advantage

SMALL = tl.Experiment().with_({"cohort.n_people": 12, "cohort.n_days": 14, "twin.max_horizon_hours": 1})
WHOSE, MEASURED = "Whose are these?", "What did they measure?"
DEFENCES = {
    "nothing": {},
    "noise": {"sense": "noisy_readings"},
    "federated": {"learn": {"kind": "federated", "n_rounds": 1}},
}


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(scope="module")
def matrix(store, told):
    return tl.attack_everything(
        SMALL, attacks=(WHOSE, MEASURED), defences=DEFENCES, store=store, progress=lambda *each: told.append(each)
    )


def test_each_cell_stands_once_with_what_it_must_be_compared_with(matrix):
    table = matrix.table
    assert table[["attack", "defence"]].drop_duplicates().shape[0] == len(table) == 6
    assert (table["low"] <= table["success"]).all()
    assert (table["success"] <= table["high"]).all()
    assert table[["baseline", "control"]].notna().all().all()
    assert (table["advantage_low"] <= table["advantage"]).all()
    assert (table["advantage"] <= table["advantage_high"]).all()
    assert table["sentence"].str.len().min() > 20


def test_what_the_attacker_sees_is_what_the_run_sent(matrix):
    for defence, changes in DEFENCES.items():
        sent = {row["what"].split(",")[0] for row in tl.run(SMALL.with_(changes)).transcript.summarize()}
        sees = set(matrix.table.loc[matrix.table["defence"] == defence, "sees"])
        assert {each.removesuffix("s") for each in sees} <= {each.removesuffix("s") for each in sent}


def test_costs_are_held_against_no_defence(matrix):
    costs = matrix.costs.set_index("defence")
    assert costs.loc["nothing", "loss"] == 0
    assert costs.loc["noise", "loss"] > 0
    assert np.isinf(costs.loc["nothing", "epsilon"])
    assert np.isfinite(costs.loc["noise", "epsilon"])
    assert (costs["n_bytes"] > 0).all()


def test_progress_counts_up_to_everything(told, matrix):
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1:] == (9, 9)


def test_what_was_computed_once_is_not_computed_again(matrix, store, monkeypatch):
    monkeypatch.setattr("twinlab.pipeline.sweeping._measure", None)
    again = tl.attack_everything(SMALL, attacks=(WHOSE, MEASURED), defences=DEFENCES, store=store)
    assert again.table.equals(matrix.table)


def test_a_stopped_matrix_goes_on_where_it_was(tmp_path):
    def stop(what, done, total):
        if done == 2:
            raise KeyboardInterrupt

    one = {"attacks": (WHOSE,), "defences": {"nothing": {}}, "store": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        tl.attack_everything(SMALL, **one, progress=stop)
    kept = len([*tmp_path.glob("*.json")])
    assert kept == 2
    tl.attack_everything(SMALL, **one)
    assert len([*tmp_path.glob("*.json")]) == kept


def test_guesses_stand_beside_the_truth(matrix):
    cell = matrix.attack(WHOSE, "nothing")
    assert list(cell.guesses) == ["target", "guess", "truth", "sureness", "is_right"]
    assert cell.guesses["is_right"].mean() == cell.finding.value
    read = matrix.attack(MEASURED, "nothing").guesses
    assert read["is_right"].all()
    assert not matrix.attack(MEASURED, "noise").guesses["is_right"].all()
    inverted = matrix.attack(MEASURED, "federated").guesses
    right = inverted[inverted["is_right"]]
    assert 0 < len(right) < len(inverted) == 20
    assert (right["guess"] == right["truth"]).mean() > 0.5


def test_knowledge_changes_the_attack(matrix):
    weakest = matrix.list_knowledge(WHOSE)[0]
    assert weakest != matrix.usual_knowledge(WHOSE)
    less = matrix.attack(WHOSE, "nothing", weakest)
    assert "2 earlier days" in less.threat
    assert matrix.table.shape[0] == 6, "the table holds the usual knowledge"


def test_names_that_are_not_there_are_said(matrix):
    with pytest.raises(SpecificationError, match=WHOSE):
        matrix.attack("Who am I?", "nothing")
    with pytest.raises(SpecificationError, match="noise"):
        matrix.attack(WHOSE, "hope")
    assert "noisy_readings" in matrix.describe("noise")


def test_all_faulty_defences_are_named_before_anything_runs():
    with pytest.raises(SpecificationError, match=r"(?s)defence a.*defence b.*defence c"):
        tl.attack_everything(SMALL, defences={"a": {"sense.epsilon": -1}, "b": {"x": 1}, "c": {"cohort.seed": 3}})
    with pytest.raises(SpecificationError, match="at least one"):
        tl.attack_everything(SMALL, defences={})
    with pytest.raises(SpecificationError, match="Who took part"):
        tl.attack_everything(SMALL, attacks=("all",))


def test_people_who_exist_are_not_attacked(tmp_path):
    real = SMALL.with_({"cohort": {"kind": "readings", "path": str(tmp_path / "own.csv")}})
    with pytest.raises(TrustBoundaryError, match="simulated"):
        tl.attack_everything(real)


def test_an_advantage_runs_from_a_guess_to_everything():
    assert find_advantage(tl.Finding("x", 1.0, "", interval=(0.9, 1.0), baseline=0.5)) == (1.0, 0.8, 1.0)
    assert find_advantage(tl.Finding("x", 0.2, "", baseline=0.2)) == (0.0, 0.0, 0.0)


def test_a_cell_is_plain_json(matrix, store):
    for file in store.glob("*.json"):
        json.loads(file.read_text())
