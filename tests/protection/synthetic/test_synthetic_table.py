"""Synthetic rows say that they are, in memory and in files, and carry the promise that was made for them."""

import json

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from twinlab.budget import GaussianEvent, NeighboringRelation, PrivacyUnit, event_from_json
from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic import CategoricalAttribute, Domain, NumericAttribute, TreeSynthesizer
from twinlab.release import DifferentialPrivacy, NoGuarantee

DOMAIN = Domain(
    (NumericAttribute("steps", 0.0, 10.0, 5), CategoricalAttribute("site", ("a", "b"))),
    PrivacyUnit.PERSON,
    person_column="person",
    most_rows_per_person=5,
)


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    columns = {
        "person": np.repeat(np.arange(60), 5),
        "steps": 10 * rng.random(300),
        "site": rng.choice(["a", "b"], 300),
    }
    return TreeSynthesizer(DOMAIN, 2.0, 50).draw(pd.DataFrame(columns), open_noise(rehearsal=True, seed=1))


def promise(made, unit=PrivacyUnit.PERSON, event=None):
    return DifferentialPrivacy(event or made.event, 1.0, 1e-5, NeighboringRelation.ADD_OR_REMOVE_ONE, unit)


def test_csv_has_the_column_and_a_card_beside_it(made, tmp_path):
    path, card = made.export(tmp_path / "people.csv", promise(made), "f00d")
    back = pd.read_csv(path)
    assert back["is_synthetic"].all()
    assert "person" not in back.columns
    told = json.loads(card.read_text(encoding="utf-8"))
    assert card.name == "people.csv.card.json"
    assert told["is_synthetic"] is True
    assert told["unit"] == "person"
    assert told["epsilon"] == 1.0
    assert told["experiment"] == "f00d"
    assert event_from_json(json.dumps(told["event"])) == made.event
    assert told["public"]["most_rows_per_person"] == 5


def test_parquet_carries_its_card_inside(made, tmp_path):
    path, card = made.export(tmp_path / "people.parquet", promise(made))
    metadata = parquet.read_schema(path).metadata
    assert json.loads(metadata[b"twinlab.synthetic"]) == json.loads(card.read_text(encoding="utf-8"))
    back = pd.read_parquet(path)
    pd.testing.assert_frame_equal(back, made.rows, check_dtype=False)
    assert "not anonymous" in back.attrs["synthetic"]["warning"]


def test_a_promise_about_something_else_is_refused(made, tmp_path):
    for wrong in (promise(made, PrivacyUnit.ROW), promise(made, event=GaussianEvent(5.0))):
        with pytest.raises(SpecificationError, match="guarantee: expected"):
            made.export(tmp_path / "people.csv", wrong)
    with pytest.raises(SpecificationError, match=r"\.csv or \.parquet"):
        made.export(tmp_path / "people.xlsx", promise(made))
    assert not list(tmp_path.iterdir())


def test_no_promise_is_said_and_shows_no_epsilon(made):
    card = made.make_card(NoGuarantee("noise is reproducible"))
    assert card["epsilon"] is None
    assert "reproducible" in card["guarantee"]


def test_a_table_shows_no_rows_of_itself(made):
    assert repr(made) == "SyntheticTable(50 made-up rows, 2 columns, tree-augmented marginals, noise for a person)"
