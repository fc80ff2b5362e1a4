"""The mirror: the attack is the real one, rows belong to the right people, and nobody who exists is shown."""

import numpy as np
import pytest

from twinlab.attacks.linkage import attack_by_profile
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import DataContractError, SpecificationError, TrustBoundaryError
from twinlab.experiment import Experiment
from twinlab.pipeline import mirror as module
from twinlab.pipeline.linkage_evidence import find_worn_days, split_days
from twinlab.pipeline.linking import link_people
from twinlab.pipeline.mirror import ALL, hold_mirror, spread_totals


@pytest.fixture(scope="module")
def cohort():
    return simulate(draw_people(14, 3), 32, 3).cohort


@pytest.fixture(scope="module")
def mirror(cohort):
    return hold_mirror(cohort)


def as_real(cohort):
    return Cohort("real", cohort.person_ids, cohort.start, cohort.signals, cohort.values.copy(), origin="measured")


@pytest.mark.parametrize("n_days", [2, 7, 14])
def test_it_is_the_attack_of_link_people(cohort, mirror, n_days):
    found = mirror.attack(n_days)
    linked = link_people(cohort.select(people=mirror.person_ids), n_days=n_days)
    assert found.finding.value == linked.finding.value
    assert found.threat == linked.threat
    assert found.n_people == mirror.n_people == linked.table.loc[0, "n_people"]
    assert 0 < found.belief <= 1


def test_the_attacker_names_people_without_a_defence_and_hardly_one_under_strong_noise(mirror):
    assert mirror.attack(14).finding.value > 0.8
    # 14 people by chance: 10 or more named rightly has a probability below 1e-8
    assert mirror.attack(14, defence="noise", epsilon=0.05).finding.value * mirror.n_people < 10
    assert mirror.attack(14, defence="totals").finding.value > 0.3, "day totals alone do not hide people"


@pytest.mark.parametrize("choice", [{}, {"released": "steps", "n_days": 3}, {"defence": "totals"}])
def test_rightly_named_people_are_those_of_the_finding(mirror, choice):
    """Rows that were mixed up between order and person would say something else here."""
    signal = choice.get("released", "steps")
    first = [mirror.show_pair(person, signal, **choice).candidates.iloc[0] for person in mirror.person_ids]
    right = [row["is_right"] for row in first]
    assert np.mean(right) == pytest.approx(mirror.attack(**choice).finding.value)
    assert [row["person_id"] == person for row, person in zip(first, mirror.person_ids, strict=True)] == right


def test_a_pair_is_of_later_and_of_earlier_days(cohort, mirror):
    person = mirror.person_ids[3]
    pair = mirror.show_pair(person, "heart_rate_bpm", n_days=5)
    assert pair.rhythms.groupby("place").size().tolist() == [120] * 4
    assert pair.rhythms["day"].max() == 5
    values = {
        name: cohort.signal("heart_rate_bpm")[cohort.index_of(name)] for name in (person, *pair.candidates["person_id"])
    }
    for place, name in enumerate((person, *pair.candidates["person_id"])):
        shown = pair.rhythms.loc[pair.rhythms["place"] == place, "value"].dropna()
        assert np.isin(shown.to_numpy(np.float32), values[name]).all()
    own = pair.candidates.query("is_right")
    assert len(own) == 1
    earlier = pair.rhythms.loc[pair.rhythms["place"] == own["place"].iloc[0], "value"]
    later = pair.rhythms.loc[pair.rhythms["place"] == 0, "value"]
    assert not np.array_equal(earlier, later, equal_nan=True)
    assert pair.candidates["belief"].is_monotonic_decreasing


def test_noise_is_on_nameless_days_only(mirror):
    person = mirror.person_ids[0]
    plain, noisy = (
        mirror.show_pair(person, "steps", defence=defence, epsilon=30.0).rhythms for defence in ("nothing", "noise")
    )
    assert not np.array_equal(plain.query("place == 0")["value"], noisy.query("place == 0")["value"], equal_nan=True)
    known = mirror._known[(7, ALL, "noise", 30.0)]._released.named
    assert np.array_equal(known, split_days(mirror._cohort, 7).named, equal_nan=True)


def test_a_choice_is_attacked_once_and_old_ones_are_forgotten(cohort, monkeypatch):
    mirror, calls = hold_mirror(cohort), []
    real = module.let_attack
    monkeypatch.setattr(module, "let_attack", lambda *given: calls.append(given) or real(*given))
    mirror.attack(7)
    mirror.attack(7, epsilon=1.0)
    assert len(calls) == 1, "epsilon does not act without noise"
    mirror.show_pair(mirror.person_ids[0], "steps", 7)
    assert len(calls) == 1
    assert calls[0][0] is attack_by_profile
    for epsilon in range(1, 26):
        mirror.attack(2, "steps", "noise", float(epsilon))
    assert len(mirror._known) == 24
    mirror.attack(7)
    assert len(calls) == 27


def test_of_people_who_exist_only_the_number_is_shown(cohort, mirror):
    real = hold_mirror(as_real(cohort))
    assert real.person_ids == ()
    assert real.defences == ("nothing", "totals")
    assert real.attack(7).finding.value == mirror.attack(7).finding.value
    with pytest.raises(TrustBoundaryError, match="nobody's days"):
        real.show_pair(cohort.person_ids[0], "steps")
    with pytest.raises(TrustBoundaryError, match="unpaid"):
        real.attack(7, defence="noise")


def test_no_text_holds_a_person(cohort):
    for mirror in (hold_mirror(cohort), hold_mirror(as_real(cohort))):
        texts = [repr(mirror), repr(mirror.attack(7)), mirror.reason]
        if mirror.person_ids:
            texts.append(repr(mirror.show_pair(mirror.person_ids[0], "steps")))
        assert not any(person in text for text in texts for person in cohort.person_ids)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"n_days": 1}, "n_days: expected 2 to 14"),
        ({"n_days": 2.5}, "n_days: expected 2 to 14"),
        ({"n_days": True}, "n_days: expected 2 to 14"),
        ({"released": "mood"}, "released: expected all or one of steps"),
        ({"defence": "magic"}, "defence: expected one of nothing, totals, noise"),
        ({"epsilon": -1.0}, "epsilon: expected"),
    ],
)
def test_choices_out_of_range_are_refused(mirror, choice, words):
    with pytest.raises(SpecificationError, match=words):
        mirror.attack(**choice)


def test_a_signal_that_is_not_released_and_a_stranger_are_refused(mirror):
    with pytest.raises(SpecificationError, match="signal: expected one of steps, got 'heart_rate_bpm'"):
        mirror.show_pair(mirror.person_ids[0], "heart_rate_bpm", released="steps")
    with pytest.raises(DataContractError, match="nobody in cohort"):
        mirror.show_pair("somebody", "steps")


def test_too_few_and_too_many_people_are_refused(cohort, monkeypatch):
    with pytest.raises(DataContractError, match="got 0 of 14"):
        hold_mirror(cohort.select(hours=slice(0, 240)))
    monkeypatch.setattr(module, "_MOST_PEOPLE", 5)
    with pytest.raises(SpecificationError, match="at most 5 people"):
        hold_mirror(cohort)


@pytest.mark.parametrize("skip", [0, 7])
def test_worn_days_are_those_that_can_be_split(cohort, skip):
    shorter = cohort.select(hours=slice(skip, None))
    values = shorter.values.copy()
    values[0, : 18 * 24] = np.nan
    values[1, ::2, :3] = np.nan
    gaps = Cohort("gaps", shorter.person_ids, shorter.start, shorter.signals, values, origin="simulated")
    kept = (find_worn_days(gaps)[1].sum(axis=1) >= 14).sum()
    assert 2 <= kept < gaps.n_people
    assert len(split_days(gaps, 14).named) == kept == hold_mirror(gaps).n_people


def test_totals_are_sums_of_what_is_counted_and_means_of_levels():
    values = np.full((1, 48, 2), np.nan, dtype=np.float32)
    values[0, :12, 0], values[0, :6, 1], values[0, 6:12, 1] = 100, 60, 80
    spread = spread_totals(values, ("steps", "heart_rate_bpm"))
    assert spread[0, :24, 0].tolist() == [50.0] * 24
    assert spread[0, :24, 1].tolist() == [70.0] * 24
    assert np.isnan(spread[0, 24:]).all()


def test_an_experiment_is_loaded():
    mirror = hold_mirror(Experiment().with_({"cohort.n_people": 5}))
    assert 2 <= mirror.n_people <= 5
