import math

import numpy as np
import pytest
import torch

from twinlab.errors import (
    BudgetExhaustedError,
    DataContractError,
    IncompatibleChoicesError,
    ProtocolError,
    SpecificationError,
)
from twinlab.protection.federated.admission import Admission
from twinlab.protection.federated.device import DeviceProgram, make_client_app, train_devices
from twinlab.protection.federated.fault import FaultPlan, PlantedFault
from twinlab.protection.federated.federation import FederatedSettings, run_strategy, train_federated
from twinlab.protection.federated.flower import (
    ClientApp,
    FedAvg,
    Message,
    pack_arrays,
    pack_content,
    run_quietly,
    unpack_state,
)
from twinlab.protection.federated.grid import EmbeddedGrid
from twinlab.protection.federated.private_sum import PrivateSum, make_private_model
from twinlab.protection.federated.strategy import GuardedStrategy, choose_nodes, make_strategy
from twinlab.protection.federated.task import DevicePolicy, LocalTraining

TRAINING = LocalTraining(batch_rows=5, learning_rate=0.3)


def _train(task, initial, settings=None, **options):
    return train_federated(task, TRAINING, settings or FederatedSettings(n_rounds=4), initial=initial, **options)


def _differ(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_a_round_of_fedavg_is_the_mean_of_what_devices_trained(task, initial):
    found = _train(task, initial, FederatedSettings(n_rounds=2))
    state = initial
    for number in (1, 2):
        trained, losses = train_devices(task.fleet, state, task.rows, TRAINING, number, range(12))
        state = {name: value.mean(0, keepdim=True) for name, value in trained.items()}
        assert found.rounds[number - 1].mean_loss == pytest.approx(float(losses.mean()), abs=1e-6)
    assert _differ(found.state, state) < 1e-6
    assert (found.is_complete, found.stopped_because) == (True, None)


def test_reports_count_what_crossed(task, initial):
    grid_bytes = []
    settings = FederatedSettings(n_rounds=3, clients_per_round=5)
    found = _train(task, initial, settings, on_message=lambda *event: grid_bytes.append((event[0], event[3])))
    assert [each.round for each in found.rounds] == [1, 2, 3]
    assert all((each.n_sampled, each.n_replied, each.refused) == (5, 5, ()) for each in found.rounds)
    down = sum(n_bytes for sender, n_bytes in grid_bytes if sender == "server")
    assert sum(each.bytes_down for each in found.rounds) == down
    assert sum(each.bytes_up for each in found.rounds) == sum(n for _, n in grid_bytes) - down
    assert all(each.seconds > 0 for each in found.rounds)


def test_devices_are_chosen_alike_often_and_anew_each_round():
    counts = np.zeros(50)
    for number in range(1, 1001):
        chosen = choose_nodes(range(50), 10, 3, number)
        assert len(set(chosen)) == 10
        counts[chosen] += 1
    # binomial(1000, 0.2): six standard deviations are 76
    assert np.abs(counts - 200).max() < 76
    assert choose_nodes(range(50), 10, 3, 1) != choose_nodes(range(50), 10, 4, 1)


def test_unequal_weights_count_only_where_they_are_asked_for(make_task):
    weights = torch.ones(12, 20, 1)
    weights[:6, 5:] = 0
    task = make_task(weights=weights)
    state = task.fleet.init([0])
    policy, told = DevicePolicy(weighting="rows"), []

    def listen(sender, receiver, kind, n_bytes, payload):
        if sender == "device":
            told.append(payload["metrics"]["num-examples"])

    uniform = _train(task, state, FederatedSettings(n_rounds=1), policy=policy, on_message=listen)
    assert set(told) == {1}, "what is not used is not asked"
    told.clear()
    claimed = _train(
        task, state, FederatedSettings(n_rounds=1, weighting="claimed", max_weight=20), policy=policy, on_message=listen
    )
    assert set(told) == {5, 20}
    trained, _ = train_devices(task.fleet, state, task.rows, TRAINING, 1, range(12))
    for found, shares in ((uniform, [1.0] * 12), (claimed, [5.0] * 6 + [20.0] * 6)):
        share = torch.tensor(shares) / sum(shares)
        mean = {name: torch.tensordot(share, value, dims=([0], [0]))[None] for name, value in trained.items()}
        assert _differ(found.state, mean) < 1e-6


def test_fedprox_pulls_devices_to_the_model(task, initial):
    free = _train(task, initial)
    pulled = _train(task, initial, FederatedSettings(n_rounds=4, strategy="fedprox", proximal=2.0))
    same = _train(task, initial, FederatedSettings(n_rounds=4, strategy="fedprox"))
    assert _differ(free.state, same.state) == 0
    assert _differ(pulled.state, initial) < _differ(free.state, initial)


def _stop_after(n_rounds, error):
    def callback(report, arrays):
        if report.round == n_rounds:
            raise error

    return callback


@pytest.mark.parametrize(
    ("strategy", "replies"),
    [("fedavg", "each"), ("fedavg", "sum"), ("fedavgm", "each"), ("fedavgm", "sum"), ("fedmedian", "each")],
)
def test_a_stopped_run_goes_on_to_the_same_bits(task, initial, tmp_path, strategy, replies):
    settings = FederatedSettings(
        n_rounds=5, strategy=strategy, replies=replies, clients_per_round=7, server_momentum=0.9, seed=2
    )
    options = {"faults": FaultPlan(drop_probability=0.2, seed=1)}
    whole = _train(task, initial, settings, **options)
    path = tmp_path / "run" / "rounds.npz"
    stopped = _train(task, initial, settings, checkpoint=path, on_round=_stop_after(2, KeyboardInterrupt()), **options)
    assert (len(stopped.rounds), stopped.is_complete, stopped.stopped_because) == (2, False, "interrupted")
    assert _differ(stopped.state, whole.state) > 1e-4
    told = []
    resumed = _train(task, initial, settings, checkpoint=path, on_round=lambda *event: told.append(event), **options)
    assert [report.round for report, _ in told] == [3, 4, 5]
    assert resumed.is_complete
    assert _differ(resumed.state, whole.state) == 0
    assert [each.mean_loss for each in resumed.rounds] == [each.mean_loss for each in whole.rounds]
    again = _train(task, initial, settings, checkpoint=path, **options)
    assert _differ(again.state, whole.state) == 0, "a finished run is read back, not run again"
    assert [entry.name for entry in path.parent.iterdir()] == ["rounds.npz"], "no half file is left"


def test_a_checkpoint_of_another_run_or_a_broken_one_is_refused(task, initial, tmp_path):
    path = tmp_path / "rounds.npz"
    _train(task, initial, FederatedSettings(n_rounds=2), checkpoint=path)
    with pytest.raises(SpecificationError, match="other"):
        _train(task, initial, FederatedSettings(n_rounds=2, seed=1), checkpoint=path)
    with pytest.raises(SpecificationError, match="other"):
        _train(task, task.fleet.init([1]), FederatedSettings(n_rounds=2), checkpoint=path)
    longer = _train(task, initial, FederatedSettings(n_rounds=3), checkpoint=path)
    assert len(longer.rounds) == 3
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataContractError, match="cannot be read"):
        _train(task, initial, FederatedSettings(n_rounds=2), checkpoint=path)


@pytest.mark.parametrize("where", ["progress", "on_round"])
def test_a_callback_that_raises_stops_the_run_and_keeps_what_is_finished(task, initial, where):
    seen = []

    def stop(*event):
        seen.append(event)
        if len(seen) == 4:
            raise ValueError("enough")

    found = _train(task, initial, FederatedSettings(n_rounds=9), **{where: stop})
    assert found.stopped_because == "stopped by a callback (ValueError)"
    assert not found.is_complete
    finished = 2 if where == "progress" else 4  # progress is told twice a round
    assert len(found.rounds) == finished
    assert _differ(found.state, _train(task, initial, FederatedSettings(n_rounds=finished)).state) == 0


def test_a_callback_that_raises_after_the_last_round_takes_nothing_away(task, initial):
    found = _train(task, initial, FederatedSettings(n_rounds=2), on_round=_stop_after(2, ValueError()))
    assert (found.is_complete, found.stopped_because) == (True, None)


def test_progress_tells_devices_and_rounds(task, initial):
    told = []
    _train(task, initial, FederatedSettings(n_rounds=2), progress=lambda *event: told.append(event))
    assert told == [("devices answer", 12, 12), ("rounds", 1, 2), ("devices answer", 12, 12), ("rounds", 2, 2)]


def test_what_a_device_raises_is_raised_or_counted_as_failure(task, initial):
    trap = {**initial, "weight_0": torch.ones(1, 6, 8)}
    policy = DevicePolicy(refuses_imprints=True)
    with pytest.raises(ProtocolError, match="with a twin"):
        _train(task, trap, policy=policy)
    found = _train(task, trap, FederatedSettings(strict=False), policy=policy)
    assert "12: it failed" in found.stopped_because
    assert found.rounds == ()
    assert _differ(found.state, trap) == 0


def test_finite_updates_that_overflow_end_in_an_error_not_in_a_model(initial):
    app = ClientApp()

    @app.train()
    def train(message, context):
        huge = {name: np.full(value.shape, 3e38, dtype=np.float32) for name, value in message.content["arrays"].items()}
        return Message(pack_content(pack_arrays(huge), {"num-examples": 1}), reply_to=message)

    strategy = GuardedStrategy(make_strategy("fedavgm", server_learning_rate=3.0))
    found = run_strategy(strategy, EmbeddedGrid(app, 3), initial, 2)
    assert "finite model" in strategy.stopped_because
    assert _differ(unpack_state(found.arrays), initial) == 0
    bounded = GuardedStrategy(make_strategy("fedavgm", server_learning_rate=3.0), Admission(max_update_norm=1.0))
    run_strategy(bounded, EmbeddedGrid(app, 3), initial, 2)
    assert "3: its update is longer" in bounded.stopped_because


class _Payer:
    """A budget of some rounds, and the order of events."""

    def __init__(self, n_rounds):
        self.n_rounds, self.events = n_rounds, []

    def charge(self, round_number):
        if round_number > self.n_rounds:
            raise BudgetExhaustedError("budget: nothing left")
        self.events.append(("charge", round_number))

    def noise(self, shape):
        self.events.append(("noise", shape))
        return np.random.default_rng(0).standard_normal(shape)


def _private(payer, noise_multiplier=0.0, expected_clients=12, clip_norm=0.2):
    return PrivateSum(clip_norm, noise_multiplier, expected_clients, payer.noise, payer.charge)


@pytest.mark.parametrize("replies", ["each", "sum"])
def test_a_private_round_bounds_adds_noise_and_divides_by_the_declared_number(task, initial, replies):
    payer, drops = _Payer(9), FaultPlan(planted=(PlantedFault("drop", (0, 4, 7)),))
    settings = FederatedSettings(n_rounds=1, replies=replies)
    found = _train(task, initial, settings, private=_private(payer), faults=drops)
    trained, _ = train_devices(task.fleet, initial, task.rows, TRAINING, 1, range(12))
    updates = {name: value - initial[name] for name, value in trained.items()}
    norms = torch.cat([value.flatten(1) for value in updates.values()], dim=1).norm(dim=1)
    assert (norms > 0.2).any(), "else nothing is bounded"
    factor = (0.2 / norms).clamp(max=1)
    factor[[0, 4, 7]] = 0
    for name, update in updates.items():
        expected = initial[name] + torch.tensordot(factor, update, dims=([0], [0])) / 12
        torch.testing.assert_close(found.state[name], expected, rtol=0, atol=2e-6)
    assert found.is_complete
    assert found.rounds[0].n_replied == 9
    assert found.rounds[0].mean_loss is None, "a loss would be a release of its own"


@pytest.mark.parametrize("replies", ["each", "sum"])
def test_noise_has_the_stated_size_and_is_paid_for_first(task, initial, replies):
    payer = _Payer(9)
    settings = FederatedSettings(n_rounds=2, replies=replies)
    still = LocalTraining(learning_rate=1e-12)
    private = _private(payer, noise_multiplier=30.0, expected_clients=50)
    found = train_federated(task, still, settings, initial=initial, private=private)
    kinds = [kind for kind, _ in payer.events]
    assert kinds == (["charge"] + ["noise"] * 4) * 2
    draw = np.random.default_rng(0).standard_normal((6, 8))
    twice = 2 * 30.0 * 0.2 / 50 * draw  # this source draws the same each time
    np.testing.assert_allclose((found.state["weight_0"] - initial["weight_0"])[0].numpy(), twice, atol=1e-5)


def test_one_person_moves_the_private_sum_by_no_more_than_the_bound(task):
    payer = _Payer(9)
    private = _private(payer, expected_clients=1)
    start = {"a": np.zeros(5, dtype=np.float32)}
    draw = np.random.default_rng(0)
    crowd = [{"a": (100 * draw.standard_normal(5)).astype(np.float32)} for _ in range(20)]
    for person in range(20):
        rest = crowd[:person] + crowd[person + 1 :]
        with_all = make_private_model(crowd, [1] * 20, start, private, 1)["a"]
        without = make_private_model(rest, [1] * 19, start, private, 1)["a"]
        assert np.linalg.norm(with_all.astype(float) - without) <= 0.2 * (1 + 1e-5)
    with pytest.raises(ProtocolError, match="devices clipped"):
        make_private_model([{"a": np.ones(5, dtype=np.float32)}], [20], start, private, 1)


def test_the_end_of_a_budget_keeps_the_finished_rounds(task, initial):
    payer = _Payer(3)
    found = _train(task, initial, FederatedSettings(n_rounds=8), private=_private(payer, noise_multiplier=1.0))
    assert [each.round for each in found.rounds] == [1, 2, 3]
    assert found.stopped_because == "budget: nothing left"
    assert sum(kind == "noise" for kind, _ in payer.events) == 12, "nothing is drawn that is not paid for"
    three = _train(task, initial, FederatedSettings(n_rounds=3), private=_private(_Payer(3), noise_multiplier=1.0))
    assert _differ(found.state, three.state) == 0


def test_devices_of_a_private_run_report_nothing_but_bounded_updates(task, initial):
    told = []
    _train(
        task, initial, private=_private(_Payer(9)), on_message=lambda *event: told.append(event),
        policy=DevicePolicy(weighting="rows"),
    )  # fmt: skip
    replies = [payload for sender, *_, payload in told if sender == "device"]
    assert len(replies) == 48
    assert all(payload["metrics"] == {"num-examples": 1} for payload in replies)
    first = [payload["arrays"] for payload in replies[:12]]
    norms = [math.sqrt(sum(((value - initial[name][0].numpy()) ** 2).sum() for name, value in each.items()))
             for each in first]  # fmt: skip
    assert max(norms) <= 0.2


def test_momentum_after_the_noise_is_allowed_and_works(task, initial):
    settings = FederatedSettings(n_rounds=4, strategy="fedavgm", server_momentum=0.9)
    with_momentum = _train(task, initial, settings, private=_private(_Payer(9)))
    without = _train(task, initial, private=_private(_Payer(9)))
    assert _differ(with_momentum.state, initial) > 1.5 * _differ(without.state, initial)


@pytest.mark.parametrize("mode", ["sequential", "cohort"])
def test_personal_parameters_stay_and_come_back_to_this_lab_only(task, initial, mode):
    policy, told = DevicePolicy(personal=("weight_1", "bias_1")), []
    settings = FederatedSettings(n_rounds=3, mode=mode)
    found = _train(task, initial, settings, policy=policy, on_message=lambda *event: told.append(event))
    assert set(found.state) == {"weight_0", "bias_0"}
    assert found.personal["weight_1"].shape == (12, 8, 1)
    assert all(set(payload["arrays"]) == {"weight_0", "bias_0"} for *_, payload in told)
    sent = np.concatenate([value.ravel() for *_, payload in told for value in payload["arrays"].values()])
    assert not np.isin(found.personal["weight_1"].numpy().ravel(), sent).any()
    assert found.rounds[-1].mean_loss < found.rounds[0].mean_loss


def test_a_strategy_of_ones_own_with_evaluation_runs_behind_the_guard(task, initial):
    with run_quietly():
        inner = FedAvg(fraction_evaluate=1.0)
    strategy = GuardedStrategy(inner, clients_per_round=6, seed=1)
    grid = EmbeddedGrid(make_client_app(task, TRAINING), 12, program=DeviceProgram(task, TRAINING))
    evaluated = []
    inner.evaluate_metrics_aggr_fn = lambda contents, key: evaluated.append(len(contents))
    result = run_strategy(strategy, grid, initial, 2)
    assert evaluated == [6, 6]
    assert sorted(result.train_metrics_clientapp) == [1, 2]
    plain = _train(task, initial, FederatedSettings(n_rounds=2, clients_per_round=6, seed=1))
    assert _differ(unpack_state(result.arrays), plain.state) == 0


def test_what_cannot_run_is_refused_before_a_row_is_read(task, initial):
    class Unread:
        fleet, n_devices = task.fleet, task.n_devices

        def load(self, devices):
            raise AssertionError("rows were read")

    def refuse(error, match, settings=None, **options):
        with pytest.raises(error, match=match):
            train_federated(Unread(), TRAINING, settings, **{"initial": initial, **options})

    refuse(SpecificationError, "at most 12 devices, got 13", FederatedSettings(clients_per_round=13))
    refuse(SpecificationError, "quorum: expected at most the 5", FederatedSettings(clients_per_round=5, quorum=6))
    refuse(SpecificationError, "at most 4, got 5", FederatedSettings(strategy="krum", n_malicious=5))
    refuse(SpecificationError, "float32 initial parameters", initial={"weight_0": initial["weight_0"]})
    refuse(IncompatibleChoicesError, "no checkpoint", checkpoint="x.npz", policy=DevicePolicy(personal=("bias_1",)))
    private = _private(_Payer(1))
    refuse(IncompatibleChoicesError, "feeds a mean", FederatedSettings(strategy="fedmedian"), private=private)
    refuse(IncompatibleChoicesError, "weighting uniform", FederatedSettings(weighting="claimed"), private=private)
    with pytest.raises(IncompatibleChoicesError, match="compares single updates"):
        FederatedSettings(strategy="krum", replies="sum")
    with pytest.raises(IncompatibleChoicesError, match="choose mode cohort"):
        FederatedSettings(mode="sequential", replies="sum")
    with pytest.raises(IncompatibleChoicesError, match="FedMedian compares"):
        GuardedStrategy(make_strategy("fedmedian"), sums=True)
    with pytest.raises(SpecificationError, match=r"(?s)n_rounds.*clients_per_round.*trim_share.*seed"):
        FederatedSettings(n_rounds=0, clients_per_round=0, trim_share=0.5, seed=-1)
    with pytest.raises(SpecificationError, match=r"(?s)clip_norm.*noise_multiplier.*expected_clients"):
        PrivateSum(0, -1, 0, lambda shape: np.zeros(shape), print)


def test_nothing_that_is_printed_holds_a_parameter_or_a_reading(task, initial):
    found = _train(task, initial, policy=DevicePolicy(personal=("bias_1",)))
    assert "tensor" not in repr(found)
    assert "tensor" not in repr(task)
