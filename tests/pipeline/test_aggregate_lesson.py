import numpy as np
import pytest

from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.pipeline import aggregate_lesson
from twinlab.pipeline.aggregate_lesson import _Contributions, _Press, attack_aggregate, compare_aggregates
from twinlab.pipeline.composition import load_cohort
from twinlab.release import DifferentialPrivacy, NoGuarantee
from twinlab.signals import get_signal

FEW = {"n_in": 8, "n_days": 3, "n_groups": 6, "n_others": 60}
PEOPLE = Experiment().with_({"cohort.n_people": 76, "cohort.n_days": 3, "cohort.seed": 4})


@pytest.fixture(scope="module")
def cohort():
    return load_cohort(PEOPLE, lambda *_: None)


def test_a_row_for_each_way_and_method_with_its_error(cohort):
    result = compare_aggregates(cohort, **FEW)
    table = result.table.set_index(["target", "method"])
    assert len(table) == 8
    assert (table["n_outsiders"] == 48).all()
    by_target = table.groupby("target", sort=False)
    errors, shares = by_target["error"].first(), by_target["published"].first()
    exact, rounded, suppressed, private = errors
    assert exact == 0 < rounded < 0.05
    assert np.isnan(suppressed), "eight people are fewer than ten, so nothing is published"
    assert private > 1
    assert shares.tolist() == [1.0, 1.0, 0.0, 1.0]
    assert table.loc[("suppressed means, 8 people", "likelihood ratio"), "area"] == 0.5
    assert table["promised_ceiling"].dropna().between(0.027, 0.028).all()
    assert set(result.roc) == {"target", "method", "accused", "found"}


def test_an_experiments_people_are_as_many_as_are_needed(cohort):
    own = attack_aggregate(PEOPLE.with_({"cohort.n_people": 5}), **FEW)
    assert own.table.equals(attack_aggregate(cohort, **FEW).table)


def test_the_message_promises_what_the_press_does(cohort, monkeypatch):
    shown = []
    run = aggregate_lesson.let_attack

    def watch(attack, transcript, knowledge, threat):
        shown.append((next(iter(transcript)), knowledge))
        return run(attack, transcript, knowledge, threat)

    monkeypatch.setattr(aggregate_lesson, "let_attack", watch)
    attack_aggregate(cohort, defence="private", epsilon=2.0, **FEW)
    message, told = shown[0]
    assert isinstance(message.guarantee, DifferentialPrivacy)
    assert message.guarantee.epsilon == pytest.approx(2.0, rel=0.01)
    assert message.payload.shape == (3, 24)
    assert set(told.facts) == {"method", "candidates", "reference", "n_people", "noise_variance"}
    shown.clear()
    attack_aggregate(cohort, defence="rounded", **FEW)
    assert isinstance(shown[0][0].guarantee, NoGuarantee)


def test_what_people_add_is_in_public_spreads_and_gaps_add_nothing(cohort):
    steps = get_signal("steps")
    added = _Contributions.of(cohort.select(signals=("steps",)), 3)
    values = cohort.signal("steps").reshape(added.added.shape)
    known = ~np.isnan(values)
    assert not known.all()
    np.testing.assert_allclose(added.added[known] * steps.spread + steps.center, values[known], rtol=1e-4, atol=1e-2)
    assert not added.added[~known].any()
    assert (added.is_active == (np.nan_to_num(values) > 0)).all()


def test_nobody_adds_more_than_the_bound_and_noise_is_as_loud_as_it_says(cohort):
    added = 100 * _Contributions.of(cohort.select(signals=("steps",)), 3).added
    added = added[added.any(axis=(1, 2))]  # somebody was never measured
    press = _Press("private", 1.0, 1e-5, 8, 72)
    lengths = np.sqrt((press.shorten(added) ** 2).sum(axis=(1, 2)))
    assert np.sqrt((added**2).sum(axis=(1, 2))).min() > np.sqrt(72)
    assert lengths.max() < np.sqrt(72)
    assert lengths.min() > 0.99 * np.sqrt(72)
    nothing = np.zeros((8, 3, 24))
    noise = np.stack([press.publish(nothing, nothing > 0) for _ in range(100)])
    # 7,200 normals: their spread is known to 0.83 %, and 5 % is six times that
    assert noise.std() == pytest.approx(np.sqrt(press.noise_variance), rel=0.05)
    assert noise.std() == pytest.approx(3.73 * np.sqrt(72) / 8, rel=0.06)


def test_what_cannot_be_published_is_refused(cohort):
    with pytest.raises(SpecificationError, match=r"defence: .*; epsilon: .*; n_in: .*; n_groups: .*; n_others: "):
        attack_aggregate(cohort, defence="secret", epsilon=0, n_in=1, n_groups=1, n_others=3)
    with pytest.raises(SpecificationError, match="at most 13 with 76 people"):
        attack_aggregate(cohort, n_in=14, n_days=3)
    with pytest.raises(SpecificationError, match="at least one of"):
        compare_aggregates(cohort, ())
