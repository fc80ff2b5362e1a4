"""Linking people end to end: what the attacker is handed, what defences do, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import DataContractError, SpecificationError, TrustBoundaryError
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.pipeline.linkage_evidence import count_sealed_bytes, split_days
from twinlab.pipeline.linking import link_people, trace_linkage, trace_uniqueness


@pytest.fixture(scope="module")
def cohort():
    return simulate(draw_people(40, 3), 28, 3).cohort


def as_real(cohort):
    return Cohort("real", cohort.person_ids, cohort.start, cohort.signals, cohort.values.copy(), origin="measured")


def test_an_experiment_or_a_cohort_says_the_same(cohort):
    experiment = Experiment().with_({"cohort.n_people": 40, "cohort.seed": 3})
    found, again = link_people(experiment), link_people(cohort)
    assert found.finding.value == again.finding.value > 0.8
    assert found.sentence == found.finding.sentence
    assert repr(found) == f"LinkageResult: {found.sentence}"
    assert found.table.loc[0, "by"] == "profile"
    assert found.threat.goal == "linkage"


def test_the_attacker_sees_shuffled_days_without_names(cohort):
    found = link_people(cohort)
    (message,) = found.transcript.seen_by("public")
    days = split_days(cohort, 14)
    assert isinstance(message.payload, np.ndarray)
    assert message.payload.shape == days.nameless.shape
    assert not np.array_equal(message.payload, days.nameless, equal_nan=True)
    assert sorted(np.nansum(message.payload, axis=(1, 2))) == sorted(np.nansum(days.nameless, axis=(1, 2)))
    assert not any(person in repr(found) + found.sentence for person in cohort.person_ids)


@pytest.mark.parametrize("by", ["profile", "points", "traffic"])
def test_making_what_is_seen_took_time(cohort, by):
    (message,) = link_people(cohort, by=by, n_days=3).transcript
    assert 0 < message.seconds < 60


def test_the_two_times_share_no_day(cohort):
    """Each day carries its own number, so that a day on both sides would show."""
    marked = cohort.values.copy()
    marked[...] = np.where(np.isnan(marked), np.nan, 1 + np.arange(672)[None, :, None] // 24)
    other = Cohort("marked", cohort.person_ids, cohort.start, ("steps",), marked[..., :1], origin="simulated")
    days = split_days(other, 14)
    for named, nameless in zip(days.named, days.nameless, strict=True):
        known = {int(day) for day in named[np.isfinite(named)]}
        later = {int(day) for day in nameless[np.isfinite(nameless)]}
        assert known
        assert len(known) == len(later)
        assert max(known) < min(later)
    assert days.n_dropped + len(days.named) == 40


def test_a_cohort_that_begins_at_noon_is_cut_at_midnight(cohort):
    noon = cohort.select(hours=slice(12, None))
    days = split_days(noon, 3)
    start = np.flatnonzero(np.isfinite(days.named[0, :, 0]))[0] // 24
    assert start == 0
    assert days.named.shape[1] == 72


def test_skipping_days_gives_other_days(cohort):
    assert not np.array_equal(split_days(cohort, 5).named, split_days(cohort, 5, skip=5).named)
    assert link_people(cohort, n_days=5, skip=5).table.loc[0, "n_days"] == 5


def test_noise_at_the_sensor_hides_people_and_costs_real_ones(cohort):
    plain = link_people(cohort, n_days=7).finding.value
    noisy = link_people(cohort, n_days=7, sense=NoisyReadings(epsilon=5.0)).finding.value
    assert noisy < 0.35 < plain  # chance is 0.03
    chosen = Experiment().with_({"cohort.n_people": 40, "sense.kind": "noisy_readings", "sense.epsilon": 5.0})
    assert link_people(chosen, n_days=7).finding.value < 0.35
    with pytest.raises(TrustBoundaryError, match="simulated"):
        link_people(as_real(cohort), sense=NoisyReadings())
    with pytest.raises(SpecificationError, match="does not act"):
        link_people(cohort, by="traffic", sense=NoisyReadings())


def test_padding_in_size_and_time_leaves_nothing_to_see(cohort):
    seen = link_people(cohort, by="traffic")
    assert seen.finding.value > 0.2
    assert [message.kind for message in seen.transcript.seen_by("network")] == ["sealed readings"]
    padded = link_people(cohort, by="traffic", cover="sizes and times")
    assert padded.finding.value == pytest.approx(padded.finding.baseline)


def test_sealed_bytes_are_those_of_a_sealed_message():
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    values = np.array([[[1234.4, 71.0]] + [[0.0, 9.6]] + [[np.nan, np.nan]] + [[5.0, np.nan]] + [[1.0, 60.0]] * 20])
    sizes = count_sealed_bytes(values, ("steps", "heart_rate_bpm"))[0]
    nonce = bytes(12)
    for hour, text in (
        (0, '{"steps":1234,"heart_rate_bpm":71}'),
        (1, '{"steps":0,"heart_rate_bpm":10}'),
        (3, '{"steps":5}'),
    ):
        sealed = nonce + AESGCM(bytes(16)).encrypt(nonce, text.encode(), None)
        assert sizes[hour] == len(sealed)
    assert sizes[2] == 0
    assert len(set(count_sealed_bytes(values, ("steps", "heart_rate_bpm"), "sizes and times")[0])) == 1
    assert len(set(count_sealed_bytes(values, ("steps", "heart_rate_bpm"), "sizes")[0])) == 2


def test_known_readings_single_people_out(cohort):
    found = link_people(cohort, by="points", n_points=3)
    assert found.table["n_points"].tolist() == [1, 2, 3]
    assert found.table["singled_out"].is_monotonic_increasing
    assert found.finding.value > 0.9
    assert found.finding.control < 0.5
    with pytest.raises(SpecificationError, match="no such law"):
        found.extrapolate([100])


@pytest.mark.slow
def test_heads_of_twins_give_their_people_away(cohort):
    found = link_people(cohort, by="heads", n_days=7, signals=("steps", "heart_rate_bpm"), n_people=20)
    (message,) = found.transcript
    assert message.seconds > 0
    assert found.finding.value > 0.5  # chance is 0.05


def test_curves_have_a_row_for_each_point_and_say_what_is_extrapolated(cohort):
    ticks = []
    sets = (("steps",), cohort.signals)
    table = trace_linkage(
        cohort, days=(3, 7), signal_sets=sets, sizes=(10, 1000), progress=lambda what, done, total: ticks.append(done)
    )
    assert ticks == [1, 2, 3, 4]
    by_days = table[table["curve"] == "days"]
    assert by_days.groupby("signals")["n_days"].apply(list).to_dict() == {"steps": [3, 7], "all signals": [3, 7]}
    by_size = table[(table["curve"] == "population") & (table["signals"] == "steps")]
    assert by_size["n_people"].iloc[[0, -1]].tolist() == [10, 1000]
    assert by_size["extrapolated"].tolist() == [False, False, True]
    ends = by_days[(by_days["signals"] == "steps") & (by_days["n_days"] == 7)]["top_1"].iloc[0]
    assert by_size["top_1"].iloc[1] == pytest.approx(ends)
    assert (table["low"] <= table["top_1"]).all()


def test_uniqueness_has_a_line_a_set(cohort):
    table = trace_uniqueness(cohort, n_points=2, signal_sets=(("steps",), ("heart_rate_bpm", "steps")), n_people=20)
    assert table["signals"].unique().tolist() == ["steps", "heart_rate_bpm + steps"]
    assert len(table) == 4


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"by": "face"}, "profile, heads"),
        ({"n_days": 1}, "2 or more"),
        ({"by": "points", "n_points": 25}, "1 to 24"),
        ({"cover": "all"}, "sizes and times"),
        ({"skip": -1}, "0 days or more"),
        ({"by": "points", "one_to_one": True}, "leave it out"),
        ({"n_people": 1}, "2 or more"),
        ({"n_people": 41}, "at most the 40"),
    ],
)
def test_senseless_choices_are_refused(cohort, choices, words):
    with pytest.raises(SpecificationError, match=words):
        link_people(cohort, **choices)


def test_too_few_days_are_refused(cohort):
    with pytest.raises(DataContractError, match="fewer days"):
        link_people(cohort, n_days=40)
    empty = Cohort("empty", ("a", "b"), pd.Timestamp("2025-01-01"), ("steps",), np.full((2, 96, 1), np.nan))
    with pytest.raises(DataContractError, match="got 0 of 2"):
        link_people(empty, n_days=2)
