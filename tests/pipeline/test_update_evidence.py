"""What a server gets of each device, and whose it is."""

import numpy as np
import pytest

import twinlab as tl
from twinlab.errors import ProtocolError, SpecificationError, TrustBoundaryError
from twinlab.pipeline.composition import load_cohort
from twinlab.pipeline.update_evidence import collect_updates
from twinlab.release import NoGuarantee

SMALL = {"cohort.n_people": 12, "cohort.n_days": 14, "twin.max_horizon_hours": 1, "learn": "federated"}


@pytest.fixture(scope="module")
def experiment():
    return tl.Experiment().with_(SMALL)


@pytest.fixture(scope="module")
def people(experiment):
    return load_cohort(experiment)


def collect(experiment, people, **changes):
    return collect_updates(experiment.with_(changes), people.values[:, :168], people.signals)


def test_an_update_in_the_clear_is_the_device_s_own_numbers(experiment, people):
    seen = collect(experiment, people)
    assert seen.payload.shape[0] == people.n_people
    assert isinstance(seen.guarantee, NoGuarantee)
    again = collect(experiment, people)
    assert np.allclose(seen.payload, again.payload), "no noise, no masks: the same readings give the same update"
    assert np.ptp(seen.payload, axis=0).max() > 0.01, "people differ"


@pytest.mark.parametrize(("how", "kind"), [("secure", "masked update"), ("encrypted", "encrypted update")])
def test_a_hidden_update_is_what_crossed(experiment, people, how, kind):
    name = {"learn.aggregation": how}
    seen, again = collect(experiment, people, **name), collect(experiment, people, **name)
    assert kind in seen.kind
    assert not np.allclose(seen.payload, again.payload), "masks and ciphertexts are made anew"
    clear = collect(experiment, people).payload
    width = min(clear.shape[1], seen.payload.shape[1])
    alike = [np.corrcoef(clear[person, :width], seen.payload[person, :width])[0, 1] for person in range(len(clear))]
    assert np.abs(np.mean(alike)) < 0.25


def test_a_device_that_vanished_is_like_the_others(experiment, people):
    seen = collect(experiment, people, **{"learn.dropout": 0.4, "learn.quorum_share": 0.1})
    assert len(seen.payload) == people.n_people
    assert seen.n_messages < people.n_people
    assert np.isfinite(seen.payload).all()


def test_nobody_answering_is_said(experiment, people):
    with pytest.raises(ProtocolError, match=r"learn\.dropout"):
        collect(experiment.with_({"cohort.n_people": 2}), people.select(people=people.person_ids[:2]),
                **{"learn.dropout": 0.95, "learn.quorum_share": 0.0})  # fmt: skip


def test_updates_are_linked_in_a_federation_only(experiment):
    with pytest.raises(SpecificationError, match="learn = 'federated'"):
        tl.link_people(experiment.with_({"learn": "central"}), by="updates", n_days=5)
    with pytest.raises(SpecificationError, match="learn = 'federated'"):
        tl.link_people(load_cohort(experiment), by="updates", n_days=5)


def test_guesses_stand_beside_the_truth(experiment):
    found = tl.link_people(experiment, n_days=5)
    guesses = found.list_guesses()
    assert list(guesses) == ["target", "guess", "truth", "sureness", "is_right"]
    assert guesses["is_right"].mean() == found.finding.value
    assert ((guesses["guess"] == guesses["truth"]) == guesses["is_right"]).all()
    assert guesses["sureness"].between(0, 1).all()
    with pytest.raises(SpecificationError, match="several series"):
        tl.link_people(experiment, by="points", n_days=5).list_guesses()


def test_nobody_who_exists_is_named(people):
    from dataclasses import replace

    found = tl.link_people(people, n_days=5)
    with pytest.raises(TrustBoundaryError, match="do not exist"):
        replace(found, _is_simulated=False).list_guesses()
