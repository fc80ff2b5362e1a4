"""Updates in the clear name people as their days do; noise of the server changes little; masks and ciphertexts end it.

The two protected cases are the negative control: each names a share of people whose interval holds a blind guess. Under
masks the number of right names among 40 is Poisson of mean 1 or so: 9 or more happen once in a million runs.
"""

import pytest

import twinlab as tl

EXPERIMENT = tl.Experiment().with_(
    {"cohort.n_people": 40, "cohort.n_days": 21, "twin.max_horizon_hours": 1, "learn": "federated"}
)


def link(**changes):
    return tl.link_people(EXPERIMENT.with_(changes), by="updates", n_days=9).finding


def test_updates_in_the_clear_name_people():
    found = link()
    assert found.value > 0.4
    assert found.interval[0] > 5 * found.baseline
    assert abs(found.control - found.baseline) < 0.05


def test_noise_that_the_server_adds_does_not_hide_them_from_the_server():
    assert link(**{"learn.privacy": "person"}).value > 0.3


@pytest.mark.parametrize("how", ["secure", "encrypted"])
def test_hidden_updates_name_nobody(how):
    found = link(**{"learn.aggregation": how})
    assert found.value * found.table[0]["targets"] < 9
