"""The same people at three places: what each holds, and how matched rows are lined up."""

import re

import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.pipeline.holder import HELD, split_vertically
from twinlab.pipeline.hospital import admit_patients
from twinlab.protection.joint.people_match import match_people


@pytest.fixture(scope="module")
def hospitals():
    return admit_patients((30, 25, 20), n_days=7)


def test_places_share_many_people_and_not_all(hospitals):
    found = split_vertically(hospitals, share=0.8)
    assert found.names == tuple(HELD)
    lists = found.lists
    for numbers in lists.values():
        assert len(set(numbers)) == len(numbers) == 60
        assert all(re.fullmatch("[1-9][0-9]{7}", number) for number in numbers)
    sets = [set(numbers) for numbers in lists.values()]
    assert len(set.intersection(*sets)) == found.n_common
    assert 15 < found.n_common < 60
    assert sets[0] != sets[1] != sets[2]
    assert split_vertically(hospitals, share=1).n_common == 75


def test_matched_rows_are_of_the_same_people(hospitals):
    """Each row of all places together is a patient of some hospital."""
    found = split_vertically(hospitals, share=0.8)
    match = match_people(found.lists)
    assert match.n_matched == found.n_common
    tables = found.align(match.rows)
    joined = np.hstack([tables[name] for name in found.names])
    held = [column for columns in HELD.values() for column in columns]
    everybody = {tuple(row) for name in hospitals.names for row in hospitals.rows(name, held)}
    assert joined.shape == (found.n_common, len(held))
    assert {tuple(row) for row in joined} <= everybody
    assert [column.name for name in found.names for column in found.columns[name]] == held


def test_seeds_give_other_numbers_and_the_same_gives_the_same(hospitals):
    first, again, other = (split_vertically(hospitals, seed=seed).lists for seed in (1, 1, 2))
    assert first == again
    assert not set(first["clinic"]) & set(other["clinic"])


def test_what_cannot_be_is_refused(hospitals):
    for share in (0.0, 1.2, -1.0):
        with pytest.raises(SpecificationError, match="share: expected above 0 and up to 1"):
            split_vertically(hospitals, share=share)
    found = split_vertically(hospitals)
    with pytest.raises(SpecificationError, match="match people first"):
        found.align({"clinic": np.arange(3)})
    with pytest.raises(SpecificationError, match="match people first"):
        found.align({name: np.arange(3 + place) for place, name in enumerate(found.names)})
    assert repr(found) == "Holders(wearable maker, laboratory, clinic; simulated)"
