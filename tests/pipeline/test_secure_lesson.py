import numpy as np
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.secure_lesson import LEVELS, SecureLesson
from twinlab.protection.federated.secure_sum import add_securely


@pytest.fixture(scope="module")
def lesson():
    return SecureLesson(n_devices=8)


def test_one_update_gives_the_record_back_with_its_hour(lesson):
    """The positive control of the notebook: every device, exactly."""
    for device in range(lesson.n_devices):
        found = lesson.read_record(lesson.updates[device], device)
        assert found.error < 1e-5
        assert found.hour[0] == found.hour[1]
        np.testing.assert_allclose(found.table["read"], found.table["true"], rtol=1e-3, atol=0.05)
    assert list(dict.fromkeys(found.table["what"])) == list(LEVELS)
    assert {"steps/h", "bpm"} <= set(found.table["unit"])


def test_what_was_read_is_another_persons_hour_elsewhere(lesson):
    """The negative control: the same vector says nothing exact about anybody else."""
    assert all(lesson.read_record(lesson.updates[0], other).error > 0.05 for other in range(1, lesson.n_devices))


def test_a_bound_changes_lengths_and_hides_nothing():
    tight = SecureLesson(n_devices=3, clip_norm=0.001)
    assert np.linalg.norm(tight.updates, axis=1) == pytest.approx([0.001] * 3, rel=1e-4)
    assert max(tight.read_record(tight.updates[device], device).error for device in range(3)) < 1e-4


def test_a_sum_hides_the_record_and_the_difference_of_two_gives_it_back(lesson):
    everybody = add_securely(lesson.updates, bound=lesson.clip_norm)
    without = add_securely(lesson.updates, bound=lesson.clip_norm, drop={"mask": {2}})
    assert lesson.read_record(everybody.total, 2).error > 0.2
    assert lesson.read_record(everybody.total - without.total, 2).error < 1e-3


def test_noise_shared_over_devices_covers_the_difference(lesson):
    """The noise is some hundred times as long as the update: an error below 0.5 by chance is beyond counting."""
    totals = []
    for away in ((), (2,)):
        sent, bound = lesson.share_noise(1.0, 5)
        assert np.abs(sent).max() <= bound
        totals.append(add_securely(sent, bound=bound, threshold=5, drop={"mask": away}).total)
    assert lesson.read_record(totals[0] - totals[1], 2).error > 0.5


def test_shared_noise_is_as_large_as_promised_and_fresh(lesson):
    """34,824 numbers: a ratio outside 0.95 to 1.05 is 13 standard errors off."""
    first, again = (lesson.share_noise(2.0, 4)[0] for _ in range(2))
    assert (first - lesson.updates).std() / lesson.clip_norm == pytest.approx(1.0, rel=0.05)
    assert (first - again).std() / lesson.clip_norm == pytest.approx(2**0.5, rel=0.05)
    silent, bound = lesson.share_noise(0.0, 4)
    assert (silent == lesson.updates).all()
    assert bound == lesson.clip_norm


def test_tiny_noise_ends_exact_reading_long_before_it_hides(lesson):
    table = lesson.trace_noise((1e-5, 3e-3, 1.0)).set_index("noise_multiplier")
    assert table.loc[1e-5, "exact"] == 1.0
    assert table.loc[3e-3, "exact"] == 0.0
    assert table.loc[3e-3, "median"] < 0.3 * table.loc[3e-3, "guess"]
    assert table.loc[3e-3, "epsilon"] > 10_000
    assert table.loc[1.0, "median"] > 0.7 * table.loc[1.0, "guess"]
    assert 4 < table.loc[1.0, "epsilon"] < 5
    assert (table["low"] <= table["median"]).all()
    assert (table["median"] <= table["high"]).all()


def test_the_same_seed_makes_the_same_people_and_another_makes_others():
    first, again, other = (SecureLesson(n_devices=2, n_days=10, seed=seed) for seed in (3, 3, 4))
    assert (first.updates == again.updates).all()
    assert (first.updates != other.updates).any()


def test_a_lesson_shows_no_value_of_anybody(lesson):
    found = lesson.read_record(lesson.updates[0], 0)
    assert repr(lesson) == f"SecureLesson(8 devices of people who do not exist, {lesson.updates.shape[1]} parameters)"
    assert repr(found) == found.sentence


def test_what_makes_no_sense_is_refused(lesson):
    with pytest.raises(SpecificationError, match="at least 2, got 1"):
        SecureLesson(n_devices=1)
    with pytest.raises(SpecificationError, match="above 0, got 0"):
        SecureLesson(clip_norm=0.0)
    with pytest.raises(SpecificationError, match="0 to 7, got 8"):
        lesson.read_record(lesson.updates[0], 8)
    with pytest.raises(DataContractError, match="as an update has"):
        lesson.read_record(lesson.updates[0][:-1], 0)
    with pytest.raises(SpecificationError, match="at least 0 and at least one device"):
        lesson.share_noise(-1.0, 4)


def test_people_with_too_few_known_hours_are_told_of(monkeypatch):
    monkeypatch.setattr("twinlab.pipeline.secure_lesson._LEAST_ROWS", 10_000)
    with pytest.raises(SpecificationError, match="2 people have 10000 known hours, got 8"):
        SecureLesson(n_devices=2, n_days=8)
