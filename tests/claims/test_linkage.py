"""Claims: removing names protects nobody who is known from another time, and the attack finds nothing where there is
nothing to find. Encryption hides what a device says; sizes and times of messages name people until both are padded."""

import numpy as np
import pytest

from twinlab.attacks.linkage import attack_by_profile
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.fitbit import load_fitbit
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.evaluation.linkage import measure_linkage
from twinlab.pipeline.linkage_evidence import split_days
from twinlab.pipeline.linking import link_people
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel


@pytest.fixture(scope="module")
def cohort():
    return simulate(draw_people(60, 11), 28, 11).cohort


def attack(named, nameless, truth):
    message = Message("trainer", "public", "nameless days", 0, 0.0, nameless, NoGuarantee("no names"))
    threat = ThreatModel("linkage", "public", "earlier days")
    return measure_linkage(attack_by_profile([message], PublicKnowledge(facts={"named": named}), threat), truth)


def test_days_without_names_are_named(cohort):
    finding = link_people(cohort).finding
    assert finding.interval[0] > 0.75
    assert finding.control < 0.1
    assert finding.baseline < 0.03


def test_more_days_name_more_people(cohort):
    shares = [link_people(cohort, n_days=n_days, signals=("heart_rate_bpm",)).finding.value for n_days in (2, 14)]
    assert shares[0] + 0.2 < shares[1]


def test_people_who_do_not_exist_in_both_are_named_by_chance(cohort):
    """A fresh draw of the same population under the same names: nothing links one to the other."""
    strangers = simulate(draw_people(60, 12), 28, 12).cohort
    named, nameless = split_days(cohort, 14).named, split_days(strangers, 14).nameless
    size = min(len(named), len(nameless))
    truth = np.random.default_rng(0).permutation(size)
    finding = attack(named[:size], nameless[:size], truth)
    # One right name is expected; 12 or more happen with a chance below 1e-6 for names dealt at random.
    assert finding.value * size < 12
    assert finding.interval[0] < 0.1


def test_noise_is_named_by_chance(cohort):
    rng = np.random.default_rng(0)
    named = split_days(cohort, 14).named
    noise = rng.gamma(1, 100, named.shape)
    finding = attack(named, noise, np.arange(len(named)))
    assert finding.value * len(named) < 12


def test_sizes_of_encrypted_messages_name_people_until_sizes_and_times_are_padded(cohort):
    """One right name is expected of a blind guess; 12 or more have a chance below 1e-6."""
    open_, padded = (link_people(cohort, by="traffic", cover=cover).finding for cover in ("nothing", "sizes and times"))
    n_people = open_.table[0]["targets"]
    assert open_.value * n_people >= 12
    assert padded.value == pytest.approx(padded.baseline) == pytest.approx(1 / n_people)


def test_padding_of_sizes_alone_leaves_the_times_of_messages(cohort):
    """Everybody takes the device off at eight hours of the day that are their own."""
    rng = np.random.default_rng(0)
    values = cohort.values.copy().reshape(cohort.n_people, -1, 24, len(cohort.signals))
    for own in values:
        own[:, rng.permutation(24)[:8]] = np.nan
    worn = Cohort("worn", cohort.person_ids, cohort.start, cohort.signals, values.reshape(cohort.values.shape))
    sizes, both = (link_people(worn, by="traffic", cover=cover).finding for cover in ("sizes", "sizes and times"))
    assert sizes.interval[0] > 0.5
    assert both.value == pytest.approx(both.baseline)


def test_real_people_are_named_at_least_as_often_as_the_aim_says(fitbit_folder):
    """People of a Fitbit export with 28 worn days, 14 named and 14 not; its licence allows this."""
    cohort = load_fitbit(fitbit_folder)
    worn = cohort.mask.any(axis=2).reshape(cohort.n_people, -1, 24).any(axis=2).sum(axis=1)
    kept = [person for person, n_days in zip(cohort.person_ids, worn, strict=True) if n_days >= 28]
    finding = link_people(cohort.select(people=kept)).finding
    assert len(kept) == 31
    assert finding.value >= 0.74
    assert finding.control < 0.1
