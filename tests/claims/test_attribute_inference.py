"""Claims: what leaves a person tells what the person never said; noise on it, or somebody else's, tells nothing."""

import numpy as np
import pytest

from twinlab.attacks.attribute import attack_attribute
from twinlab.evaluation.attribute import measure_attribute
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.attribute_evidence import draw_others, tabulate_public, tabulate_secrets
from twinlab.pipeline.attribute_lesson import attack_attributes
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.roles import report_nothing
from twinlab.threat import PublicKnowledge, ThreatModel

PEOPLE = Experiment().with_({"cohort.n_people": 200, "cohort.n_days": 7, "cohort.seed": 5})
SETTINGS = {"n_days": 7, "n_others": 250}
TOLD = ("type 2 diabetes", "works shifts", "male")


@pytest.fixture(scope="module")
def readings():
    return attack_attributes(PEOPLE, from_="readings", **SETTINGS).table.set_index("attribute")


def test_readings_tell_what_public_knowledge_does_not(readings):
    assert (readings.loc[list(TOLD), "advantage_low"] > 0).all()
    assert readings.loc["type 2 diabetes", "low"] > 0.85
    assert readings.loc["works shifts", "low"] > 0.85


def test_the_head_alone_tells_it_too():
    few = PEOPLE.with_({"cohort.n_people": 100})
    table = attack_attributes(few, from_="heads", attributes=("type 2 diabetes", "male"), n_days=5, n_others=120).table
    assert (table["advantage_low"] > 0).all()


@pytest.mark.thorough
def test_what_twins_answer_tells_it_too():
    few = PEOPLE.with_({"cohort.n_people": 120})
    told = ("type 2 diabetes", "male")
    table = attack_attributes(few, from_="answers", attributes=told, n_days=5, n_others=200).table
    assert (table["advantage_low"] > 0).all()
    assert (abs(table["control"] - 0.5) < 0.28).all()


def test_who_learned_from_shuffled_attributes_guesses_blindly(readings):
    """The mean of 20 shuffles; single ones have a spread below 0.25, so their mean lies within 0.28 of a half."""
    assert (abs(readings["control"] - 0.5) < 0.28).all()
    assert abs(readings["control"].mean() - 0.5) < 0.1
    assert (readings["control_low"] < 0.5).all()
    assert (readings["control_high"] > 0.5).all()


def test_noise_on_every_reading_hides_most_of_it(readings):
    noise = NoisyReadings(epsilon=1, rehearsal=True)  # with a seed, so that this never fails by bad luck
    noisy = attack_attributes(PEOPLE, from_="noisy readings", sense=noise, **SETTINGS).table
    noisy = noisy.set_index("attribute")
    assert noisy["advantage"].mean() < readings["advantage"].mean() - 0.1
    assert (noisy["advantage_low"] < 0.05).all()


def make_findings(hand_over):
    """Attack 200 people, whose days are handed over as told."""
    people, others = (draw_others(n, 5, ("heart_rate_bpm", "glucose_mg_dl"), avoid, report_nothing)
                      for n, avoid in ((200, 21_000), (250, -1)))  # fmt: skip
    sent, nothing = Transcript(), Transcript()
    for transcript, payload in ((sent, hand_over(people.values)), (nothing, np.empty((200, 0)))):
        transcript.record(Message("device", "server", "days", 0, 0.0, payload, NoGuarantee("open")))
    truth, secret = (tabulate_secrets(each.attributes) for each in (people, others))
    rng = np.random.default_rng(0)
    found = []
    for name in ("type 2 diabetes", "male", "obesity"):
        own = secret[name].to_numpy()
        facts = {
            "public": tabulate_public(people.attributes, "sex"),
            "public_of_reference": tabulate_public(others.attributes, "sex"),
        }
        runs = (
            (sent, {**facts, "reference": others.values, "secret": own}),
            (nothing, {**facts, "reference": np.empty((250, 0)), "secret": own}),
            (sent, {"reference": others.values, "secret": np.stack([rng.permutation(own) for _ in range(5)], axis=1)}),
        )
        threat = ThreatModel("attribute", "server", "other people")
        claims = [let_attack(attack_attribute, each, PublicKnowledge(facts=told), threat) for each, told in runs]
        found.append(measure_attribute(*claims, truth[name].to_numpy(), name, "days"))
    return found


def test_other_peoples_days_tell_nothing_of_these():
    own = make_findings(lambda days: days)
    assert own[0].table[0]["advantage_low"] > 0.05
    rng = np.random.default_rng(0)
    strangers = make_findings(lambda days: days[rng.permutation(len(days))])
    noise = make_findings(lambda days: np.random.default_rng(1).gamma(4, 25, size=days.shape).astype(np.float32))
    for finding in (*strangers, *noise):
        assert finding.table[0]["advantage"] < 0.2, "five standard errors of a difference that should be none"
        assert finding.table[0]["advantage_low"] < 0.05
