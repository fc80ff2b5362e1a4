import numpy as np
import pytest

from twinlab.attacks.rhythm import match_by_rhythm
from twinlab.errors import DataContractError


def make_people(n_people=30, n_days=20, wobble=1.0, seed=0):
    rng = np.random.default_rng(seed)
    habits = rng.normal(70, 10, (n_people, 24))
    return np.tile(habits, n_days) + rng.normal(0, wobble, (n_people, 24 * n_days))


def test_people_with_habits_are_found_again_and_others_are_not():
    people = make_people()
    known, later = people[:, :240], people[:, 240:]
    order = np.random.default_rng(1).permutation(30)
    assert (match_by_rhythm(known, later[order]) == order).all()
    strangers = np.random.default_rng(2).normal(70, 10, (30, 240))
    assert (match_by_rhythm(known, strangers) == np.arange(30)).mean() < 0.4  # chance of a false alarm below 1e-6


def test_noise_averages_out_over_days():
    people = make_people(n_days=200)
    known, later = people[:, :2400], people[:, 2400:]
    noise = np.random.default_rng(3).normal(0, 40, later.shape)
    few = (match_by_rhythm(known, (later + noise)[:, :24]) == np.arange(30)).mean()
    many = (match_by_rhythm(known, later + noise) == np.arange(30)).mean()
    assert few < 0.7 < many


def test_hours_never_worn_break_nothing():
    people = make_people()
    people[0], people[1, ::24], people[:, 5::24] = np.nan, np.nan, np.nan
    claims = match_by_rhythm(people[:, :240], people[:, 240:])
    assert (claims[2:] == np.arange(2, 30)).all()


@pytest.mark.parametrize("shape", [(3, 25), (24,), (0, 24), (2, 0)])
def test_anything_but_whole_days_is_refused(shape):
    with pytest.raises(DataContractError, match="whole days"):
        match_by_rhythm(np.zeros(shape), np.zeros((2, 24)))
