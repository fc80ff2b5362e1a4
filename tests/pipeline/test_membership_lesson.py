from dataclasses import replace

import numpy as np
import pytest
import torch

from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.fleet import TrainingSettings
from twinlab.pipeline import membership_lesson
from twinlab.pipeline.membership_lesson import (
    attack_membership,
    choose_membership_targets,
    claim_members,
    compare_membership,
)
from twinlab.pipeline.shadowing import (
    choose_settings,
    draw_members,
    draw_pool,
    find_promised_ceiling,
    find_strength,
    list_pool_rows,
    train_shadows,
)
from twinlab.roles import report_nothing

#: Claims and quicker tests watch over the same.
pytestmark = pytest.mark.thorough

SMALL = Experiment().with_(
    {"cohort.n_people": 8, "cohort.n_days": 5, "twin.hidden_width": 12, "twin.n_features": 6, "learn.n_epochs": 3}
)


@pytest.fixture(scope="module")
def pool():
    return draw_pool(SMALL, report_nothing)


@pytest.fixture(scope="module")
def shadows(pool):
    return train_shadows(SMALL, pool, draw_members(8, pool.n_people, 0), 0, report_nothing, 320)


def test_everybody_is_in_half_of_the_models_and_each_model_has_half_of_the_people():
    members = draw_members(10, 13, seed=3)
    assert (members.sum(0) == 5).all()
    assert set(members.sum(1)) == {6, 7}
    assert not (members[0] & members[1]).any()
    assert (draw_members(10, 13, seed=4) != members).any()


def test_each_model_trains_on_as_many_simulated_people_as_the_experiment_has(pool):
    assert pool.n_people == 2 * SMALL.cohort.n_people


def test_a_shadow_sees_its_own_people_alone(pool, shadows):
    rows = list_pool_rows(SMALL, pool)
    own = rows.list_own(shadows.members, seed=0)
    for model, members in enumerate(shadows.members):
        assert set(rows.owner[own[model]].tolist()) == set(np.flatnonzero(members))
        assert set(own[model].tolist()) >= set(np.flatnonzero(members[rows.owner.numpy()]))


def test_readings_of_outsiders_move_no_shadow(pool, shadows):
    outsiders = ~shadows.members[0]
    values = pool.values.copy()
    values[outsiders] = values[outsiders] * 0.5
    changed = type(pool)(pool.name, pool.person_ids, pool.start, pool.signals, values, pool.attributes, pool.origin)
    again = train_shadows(SMALL, changed, shadows.members, 0, report_nothing, 320)
    for name, value in shadows.releases[0].items():
        torch.testing.assert_close(again.releases[0][name], value)
    assert any((again.releases[1][name] != value).any() for name, value in shadows.releases[1].items())


def test_all_rows_train_as_the_lab_trains():
    full = choose_settings(SMALL.learn, 5, None)
    expected = TrainingSettings(3, 1024, None, SMALL.learn.learning_rate, schedule="one_cycle", order_seed=5)
    assert full == expected
    assert choose_settings(SMALL.learn, 5, 320).batch_rows == 32


def test_a_claim_uses_no_truth_about_its_target(shadows):
    members = shadows.members.copy()
    members[2] = ~members[2]
    lied = replace(shadows, members=members)
    np.testing.assert_array_equal(claim_members(shadows, "lira", 3)[2].scores, claim_members(lied, "lira", 3)[2].scores)
    assert (claim_members(shadows, "lira", 3)[1].scores != claim_members(lied, "lira", 3)[1].scores).any()


def test_the_attacker_is_shown_the_release_alone_and_what_making_it_took(shadows, monkeypatch):
    shown = []
    run = membership_lesson.let_attack

    def watch(attack, transcript, knowledge, threat):
        shown.append(tuple(transcript))
        return run(attack, transcript, knowledge, threat)

    monkeypatch.setattr(membership_lesson, "let_attack", watch)
    claim_members(shadows, "lira", 2)
    assert [[message.payload for message in each] for each in shown] == [[each] for each in shadows.releases[:2]]
    assert all(0 < message.seconds < 60 for each in shown for message in each)


def test_the_promise_tells_how_loud_others_are():
    """Twice the noise counts as four times fewer steps; where there is none, only changing pulls are in the way."""
    assert find_strength(20.0, 400) == pytest.approx(find_strength(10.0, 100))
    assert find_strength(10.0, 100, 0.5) == pytest.approx(find_strength(20.0, 100))
    assert find_strength(1e3, 1) == pytest.approx(0.25e-6, rel=1e-3)
    assert find_strength(0.0, 1) == find_strength(0.0, 1000) == 5.0


def test_federated_weights_are_attacked_and_nothing_leaves_but_shares():
    federated = SMALL.with_({"learn.kind": "federated", "learn.n_rounds": 3, "learn.start": "constant"})
    result = attack_membership(federated, n_shadows=8, n_targets=4)
    assert list(result.table["method"]) == ["LiRA", "one threshold on the loss"]
    assert result.table["n_outsiders"].tolist() == [32, 32]
    assert "cannot say" in repr(result) or "area" in repr(result)
    assert set(result.roc) == {"target", "method", "accused", "found"}


def test_rounds_and_heads_are_attacked_where_they_are_seen():
    federated = SMALL.with_({"learn": {"kind": "federated", "n_rounds": 2, "start": "constant"}})
    for experiment, sees, name in ((federated, "rounds", "every round seen"), (SMALL, "head", "pooled head")):
        result = attack_membership(experiment, sees=sees, n_shadows=8, n_targets=4)
        assert result.table["target"].str.endswith(name).all()
        assert result.table["area"].iloc[0] > 0.6
    with pytest.raises(SpecificationError, match=r"learn.kind = 'federated'"):
        attack_membership(SMALL, sees="rounds", n_shadows=8)
    with pytest.raises(SpecificationError, match="fitted openly"):
        attack_membership(federated, sees="head", n_shadows=8)
    with pytest.raises(SpecificationError, match=r"sees: .* got 'dreams'"):
        attack_membership(SMALL, sees="dreams", n_shadows=8)


def test_targets_stand_side_by_side():
    result = compare_membership({"one": SMALL, "two": SMALL}, n_shadows=8, method="rmia")
    assert list(dict.fromkeys(result.table["target"])) == ["one", "two"]
    targets = choose_membership_targets(SMALL, epsilon=2)
    assert [each.learn.privacy.kind for each in targets.values()] == ["unprotected"] * 3 + ["person"]


def test_what_cannot_be_attacked_is_refused():
    with pytest.raises(SpecificationError, match="at least 8"):
        attack_membership(SMALL, n_shadows=4)
    with pytest.raises(SpecificationError, match="method 'guess'"):
        attack_membership(SMALL, n_shadows=8, method="guess")
    with pytest.raises(SpecificationError, match="row as unit"):
        attack_membership(SMALL.with_({"learn.privacy": "record"}), n_shadows=8)


def test_the_promise_bounds_what_is_found():
    assert find_promised_ceiling(0.0, 0.0, 0.01) == pytest.approx(0.01)
    assert find_promised_ceiling(1.0, 1e-4, 0.01) == pytest.approx(0.0273, abs=1e-4)
    assert find_promised_ceiling(20.0, 0.0, 0.01) == 1.0
