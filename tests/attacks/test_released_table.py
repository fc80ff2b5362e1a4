import numpy as np
import pandas as pd
import pytest

from twinlab.attacks.released_table import attack_inference, attack_linkability, attack_singling_out
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

TABLE = pd.DataFrame(
    {
        "age": [20.0, 30.0, 40.0, 50.0, 50.0],
        "sex": ["f", "m", "f", "m", "m"],
        "steps": [1.0, 2.0, 3.0, 4.0, 5.0],
        "ill": ["no", "yes", "no", "no", "yes"],
    }
)


def run(attack, table=TABLE, **facts):
    options = {name: facts.pop(name) for name in ("n_guesses", "n_columns", "seed") if name in facts}
    sent = Message("trainer", "public", "table", 0, 0.0, table, NoGuarantee("open"))
    return attack([sent], PublicKnowledge(facts=facts), ThreatModel("linkability", "public", "some"), **options)


def count_fits(description, table=TABLE):
    fits = np.ones(len(table), dtype=bool)
    for name, wanted in description.items():
        fits &= table[name] == wanted if isinstance(wanted, str) else table[name].between(*wanted)
    return fits.sum()


def test_descriptions_of_one_column_are_values_that_occur_once_and_what_lies_beyond():
    values = run(attack_singling_out, n_columns=1).values
    found = [(name, wanted) for each in values for name, wanted in each.items()]
    assert ("age", (30.0, 30.0)) in found
    assert ("age", (50.0, 50.0)) not in found
    assert all(name != "sex" for name, _ in found)
    beyond = [wanted for name, wanted in found if name == "steps" and np.isinf(wanted).any()]
    assert len(beyond) == 2
    assert not any(TABLE["steps"].between(*ends).any() for ends in beyond)


def test_boxes_hold_one_record_and_rarer_ones_are_surer():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(200, 5)), columns=list("abcde")).assign(word=rng.choice(["x", "y"], 200))
    claims = run(attack_singling_out, table, n_guesses=50, n_columns=3)
    assert len(claims.values) == len(claims.scores) == 50
    assert all(len(each) == 3 and count_fits(each, table) == 1 for each in claims.values)
    more = run(attack_singling_out, table, n_guesses=50, n_columns=5)
    assert more.scores.mean() > claims.scores.mean()
    again = run(attack_singling_out, table, n_guesses=50, n_columns=3)
    assert again.values.tolist() == claims.values.tolist()


def test_nobody_is_described_where_all_are_alike():
    alike = pd.DataFrame({"age": [3.0] * 9, "sex": ["f"] * 9})
    claims = run(attack_singling_out, alike, n_columns=2)
    assert claims.values.shape == claims.scores.shape == (0,)


def test_two_sources_are_joined_over_the_release():
    left, right = TABLE[["age", "sex"]].iloc[[0, 1, 2]], TABLE[["steps", "ill"]].iloc[[2, 0, 1]]
    scores = run(attack_linkability, left=left, right=right).scores
    assert scores.argmax(axis=1).tolist() == [1, 2, 0]
    assert scores.max() == 0


def test_the_secret_is_that_of_the_nearest_record():
    known = pd.DataFrame({"age": [21.0, 49.0], "sex": ["f", "m"], "steps": [1.0, 4.9]})
    claims = run(attack_inference, known=known, secret="ill")
    assert claims.values.tolist() == ["no", "yes"]
    numbers = run(attack_inference, known=known[["age", "sex"]], secret="steps")
    assert numbers.values.dtype.kind == "f"


def test_gaps_and_columns_that_do_not_vary_do_not_stop_it():
    holes = TABLE.assign(age=[np.nan, 30, 40, 50, 60], same=1.0)
    known = holes.drop(columns="ill")
    assert run(attack_inference, holes, known=known, secret="ill").values.tolist() == TABLE["ill"].tolist()
    assert run(attack_singling_out, holes, n_columns=1).values.size


def test_what_does_not_fit_is_refused():
    with pytest.raises(SpecificationError, match="1 to 4 columns"):
        run(attack_singling_out, n_columns=9)
    with pytest.raises(DataContractError, match="which 1 are not released"):
        run(attack_linkability, left=TABLE[["age"]].rename(columns={"age": "years"}), right=TABLE[["sex"]])
    with pytest.raises(DataContractError, match="not known already"):
        run(attack_inference, known=TABLE, secret="ill")
    with pytest.raises(SpecificationError, match="needs 'right'"):
        run(attack_linkability, left=TABLE[["age"]])
    with pytest.raises(DataContractError, match="released table"):
        run(attack_singling_out, TABLE.iloc[:0])
