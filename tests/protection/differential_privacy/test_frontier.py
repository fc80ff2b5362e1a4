"""The curve of privacy against utility: order, cost, cancelling, and the verdict."""

import itertools
import threading

import pytest
import torch

from twinlab.budget import count_leaves
from twinlab.errors import BudgetExhaustedError, DataContractError, SpecificationError
from twinlab.fleet import Fleet
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.protection.differential_privacy.descent import PrivateTraining
from twinlab.protection.differential_privacy.frontier import (
    FrontierPoint,
    group_by_steps,
    judge_frontier,
    order_coarse_first,
    plan_frontier,
    trace_frontier,
)
from twinlab.protection.differential_privacy.network_frontier import score_people, train_frontier
from twinlab.protection.differential_privacy.person_rows import PersonRows
from twinlab.protection.differential_privacy.pooled_weights import PersonProducts, WeightsTrainer
from twinlab.protection.differential_privacy.randomness import open_noise

WIDTHS = (5, 8, 4, 1)
EPSILONS = (0.2, 1.0, 8.0)


def make_rows(n_people, seed=0):
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n_people, 8, 5, generator=draw)
    targets = inputs[..., :1] - 0.5 * inputs[..., 1:2]
    return PersonRows(inputs, targets, torch.ones(n_people, 8, 1))


def make_job(n_people=40, seeds=(0, 1)):
    frontier = plan_frontier(
        PrivateTraining(n_people, learning_rate=0.1, rows_per_step=4), 1e-3, EPSILONS, seeds, lambda epsilon: 12
    )
    fleet = Fleet(len(seeds), WIDTHS)
    return fleet, fleet.init(seeds), make_rows(n_people), frontier, score_people(fleet, make_rows(20, 9), ["error"])


def frontier_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("frontier")]


def test_the_start_comes_first_then_the_ends_then_the_middle():
    groups = list(train_frontier(*make_job()))
    assert [group[0].epsilon for group in groups][:1] == [0.0]
    assert sorted(group[0].epsilon for group in groups) == [0.0, *EPSILONS]
    assert all([point.seed for point in group] == [0, 1] for group in groups)
    assert groups[0][0].events == ()
    assert list(groups[0][0].state) == ["weight_0", "bias_0", "weight_1", "bias_1", "weight_2", "bias_2"]
    assert not frontier_threads()


@pytest.mark.parametrize("n_points", [1, 2, 3, 12, 13])
def test_the_coarse_order_visits_everything_once_and_never_leaves_a_wide_gap(n_points):
    order = order_coarse_first(n_points)
    assert sorted(order) == list(range(n_points))
    for n_known in range(2, n_points + 1):
        known = sorted(order[:n_known])
        gaps = [high - low for low, high in itertools.pairwise(known)]
        assert max(gaps) <= 2 * (n_points / (n_known - 1)) + 1


def test_each_point_costs_its_epsilon_and_all_together_what_is_charged():
    fleet, start, rows, frontier, evaluate = make_job()
    points = [point for group in train_frontier(fleet, start, rows, frontier, evaluate) for point in group]
    for point in points[2:]:
        assert point.epsilon * 0.995 <= compute_epsilon(point.events, 1e-3) <= point.epsilon
    charged = count_leaves(*frontier.events)
    assert charged == count_leaves(*[event for point in points for event in point.events])
    assert compute_epsilon(frontier.events, 1e-3) > max(EPSILONS)
    assert "free" in frontier.describe_cost(is_simulated=True)
    assert "each of the 6 trainings is paid for" in frontier.describe_cost(is_simulated=False)


def test_closing_the_iterator_stops_the_threads_and_restores_their_number():
    n_threads = torch.get_num_threads()
    fleet, start, rows, _, evaluate = make_job()
    endless = plan_frontier(PrivateTraining(40), 1e-3, EPSILONS, (0, 1), lambda epsilon: 500_000)
    curve = train_frontier(fleet, start, rows, endless, evaluate)
    next(curve)
    seen = threading.Event()

    def stop(what, done, total):
        seen.set()
        raise KeyboardInterrupt

    curve.close()
    assert not frontier_threads()
    with pytest.raises(KeyboardInterrupt):
        list(train_frontier(fleet, start, rows, endless, evaluate, progress=stop))
    assert seen.is_set()
    assert not frontier_threads()
    assert torch.get_num_threads() == n_threads


def test_progress_counts_every_step_in_the_callers_thread():
    seen = []

    def tell(what, done, total):
        seen.append((done, total, threading.current_thread() is threading.main_thread()))

    list(train_frontier(*make_job(), progress=tell))
    assert [each[0] for each in seen] == list(range(1, 13))
    assert all(total == 12 and is_main for _, total, is_main in seen)


def test_an_error_in_a_worker_reaches_the_caller():
    fleet, start, rows, frontier, evaluate = make_job()
    calls = []

    def break_later(state):
        calls.append(1)
        if len(calls) > 1:
            raise ZeroDivisionError
        return evaluate(state)

    with pytest.raises(ZeroDivisionError):
        list(train_frontier(fleet, start, rows, frontier, break_later))
    assert not frontier_threads()


def test_a_rehearsal_repeats_and_says_so_and_a_real_curve_does_not_repeat():
    def train(seed):
        groups = list(train_frontier(*make_job(), rehearsal_seed=seed))
        return {(point.epsilon, point.seed): point for group in groups for point in group}

    first, second, other = train(3), train(3), train(4)
    for key, point in first.items():
        same = torch.equal(point.state["weight_0"], second[key].state["weight_0"])
        assert same
        if key[0]:
            assert point.is_rehearsal
            assert not torch.equal(point.state["weight_0"], other[key].state["weight_0"])
    secret = [train(None), train(None)]
    assert not torch.equal(secret[0][1.0, 0].state["weight_0"], secret[1][1.0, 0].state["weight_0"])
    assert not secret[0][1.0, 0].is_rehearsal


def test_points_of_different_epsilons_never_share_noise():
    """Equal starts and nobody's data leave the noise alone: scaled alike it would be equal if it were shared."""
    fleet, start, rows, _, evaluate = make_job()
    nobody = PersonRows(rows.inputs, rows.targets, torch.zeros_like(rows.weights))
    plan = plan_frontier(PrivateTraining(40), 1e-3, (0.5, 0.5001, 0.5002), (0, 1), lambda e: 5 if e < 0.5002 else 6)
    groups = list(train_frontier(fleet, start, nobody, plan, evaluate, rehearsal_seed=1))
    changes = [group[0].state["weight_0"] - start["weight_0"][:1] for group in groups[1:]]
    alike = torch.corrcoef(torch.stack([change.flatten() for change in changes]))
    # 40 values: far below 0.9 unless the noise is one and the same
    assert float((alike - torch.eye(3)).abs().max()) < 0.9


def test_points_with_equal_steps_train_together_and_never_too_many():
    plan = plan_frontier(PrivateTraining(40), 1e-3, (0.1, 0.2, 0.3, 0.5, 0.7), (0, 1, 2, 3, 4, 5, 6))
    assert group_by_steps(plan) == [(0, 1), (2,), (3, 4)]


def make_points(**scores):
    zero = [FrontierPoint(0.0, seed, {"error": 1.0}, (), {}) for seed in range(3)]
    rest = [
        FrontierPoint(float(epsilon[1:]), seed, {"error": value}, (), {})
        for epsilon, values in scores.items()
        for seed, value in enumerate(values)
    ]
    return zero + rest


def test_the_verdict_compares_with_the_start_that_saw_nobody():
    finding = judge_frontier(make_points(e1=(1.2, 1.1, 1.3), e4=(0.9, 1.05, 0.9), e8=(0.5, 0.6, 0.7)), "error")
    assert [row["verdict"] for row in finding.table] == ["do not train", "no clear gain", "train"]
    assert finding.baseline == 1.0
    assert "at epsilon 8" in finding.sentence
    hopeless = judge_frontier(make_points(e1=(1.2, 1.1, 1.3)), "error")
    assert hopeless.sentence.startswith("Do not train")


def test_a_curve_without_a_start_is_refused():
    with pytest.raises(SpecificationError, match="start"):
        judge_frontier(make_points(e1=(1.0,))[3:], "error")
    with pytest.raises(SpecificationError, match="one per seed"):
        next(train_frontier(Fleet(3, WIDTHS), *make_job()[1:]))
    with pytest.raises(SpecificationError, match="expected an epsilon"):
        plan_frontier(PrivateTraining(10), 1e-3, ())


def test_scores_are_means_over_people_not_over_rows():
    rows = PersonRows(torch.zeros(3, 4, 5), torch.zeros(3, 4, 1), torch.zeros(3, 4, 1))
    rows.targets[0], rows.targets[1] = 1.0, 3.0
    rows.weights[0, :1], rows.weights[1] = 1.0, 1.0
    fleet = Fleet(1, (5, 1))
    state = {"weight_0": torch.zeros(1, 5, 1), "bias_0": torch.zeros(1, 1)}
    assert score_people(fleet, rows, ["error"])(state) == {"error": [2.0]}


def test_the_ledger_is_charged_for_the_whole_curve_before_it_begins():
    asked = []

    class Ledger:
        def spend(self, event, *, purpose):
            asked.append(event)
            raise BudgetExhaustedError("nothing is left")

    curve = train_frontier(*make_job(), ledger=Ledger())
    assert next(curve)[0].epsilon == 0.0  # the start saw nobody
    with pytest.raises(BudgetExhaustedError):
        next(curve)
    assert count_leaves(*asked) == count_leaves(*make_job()[3].events)


def make_products(n_people=30):
    draw = torch.Generator().manual_seed(5)
    features = torch.randn(n_people, 20, 4, generator=draw)
    return PersonProducts.from_rows(features, features @ torch.tensor([[1.0, 0, -1, 0], [0, 2.0, 0, 1]]).T)


def test_pooled_weights_have_a_curve_too_and_each_point_equals_its_own_training():
    products, start = make_products(), torch.zeros(2, 2, 4)
    plan = plan_frontier(PrivateTraining(30), 1e-3, EPSILONS, (0, 1), lambda epsilon: 40, lambda *_: 0.05)
    trainer = WeightsTrainer(products, start)
    truth = torch.tensor([[1.0, 0, -1, 0], [0, 2.0, 0, 1]])

    def evaluate(state):
        return {"error": (state["weights"] - truth).abs().mean((1, 2)).tolist()}

    points = {p.epsilon: p for group in trace_frontier(trainer, plan, evaluate, rehearsal_seed=7) for p in group[:1]}
    assert points[8.0].scores["error"] < 0.8 * points[0.0].scores["error"]
    assert points[8.0].state["weights"].shape == (1, 2, 4)
    alone = trainer.train(2, PrivateTraining(30, n_steps=40, learning_rate=0.05), open_noise(), lambda *_: None)
    assert alone["weights"].shape == (4, 2, 4)  # two copies of two seeds
    assert torch.equal(alone["weights"][0], alone["weights"][1])  # without noise, copies stay copies


def test_pooled_weights_of_nobody_are_refused():
    nobody = PersonProducts(torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4))
    with pytest.raises(DataContractError, match="at least one person"):
        WeightsTrainer(nobody, torch.zeros(1, 4))
