import numpy as np
import pytest
import torch

from twinlab.errors import IncompatibleChoicesError, ProtocolError, SpecificationError
from twinlab.protection.federated.device import CHUNK_DEVICES, DeviceProgram, make_client_app
from twinlab.protection.federated.fault import HUGE_WEIGHT, FaultPlan, PlantedFault
from twinlab.protection.federated.flower import (
    Array,
    ArrayRecord,
    ClientApp,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
    open_task,
    pack_state,
    unpack_arrays,
    unpack_state,
)
from twinlab.protection.federated.grid import FIRST_NODE, EmbeddedGrid
from twinlab.protection.federated.task import DevicePolicy, LocalTraining

TRAINING = LocalTraining(batch_rows=5, learning_rate=0.3)


@pytest.fixture(autouse=True)
def _inside_a_task():
    with open_task():
        yield


def _place(task, mode="cohort", policy=None, **options):
    program = DeviceProgram(task, TRAINING, policy) if mode == "cohort" else None
    return EmbeddedGrid(make_client_app(task, TRAINING, policy), task.n_devices, program=program, **options)


def _write(grid, state, round_number=1, kind="train", nodes=None):
    """One record for all, as Flower's strategies do."""
    content = RecordDict({"arrays": pack_state(state), "config": ConfigRecord({"server-round": round_number})})
    return [Message(content, dst_node_id=node, message_type=kind) for node in nodes or grid.get_node_ids()]


def _ask(grid, state, round_number=1, kind="train", nodes=None):
    return grid.send_and_receive(_write(grid, state, round_number, kind, nodes))


def _differ(one, other):
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


@pytest.mark.parametrize("kind", ["train", "evaluate", "query"])
def test_one_by_one_and_all_at_once_answer_the_same(task, initial, kind):
    single, cohort = (_ask(_place(task, mode), initial, kind=kind) for mode in ("sequential", "cohort"))
    assert [reply.metadata.src_node_id for reply in single] == [reply.metadata.src_node_id for reply in cohort]
    assert len(single) == 12
    for one, other in zip(single, cohort, strict=True):
        assert set(one.content) == set(other.content) == ({"arrays", "metrics"} if kind == "train" else {"metrics"})
        assert set(one.content["metrics"]) == set(other.content["metrics"])
        for name, value in one.content["metrics"].items():
            assert value == pytest.approx(other.content["metrics"][name], abs=1e-6)
        if kind == "train":
            assert _differ(unpack_arrays(one.content["arrays"]), unpack_arrays(other.content["arrays"])) < 1e-6


@pytest.mark.parametrize("weighting", ["uniform", "rows"])
def test_a_sum_is_the_weighted_mean_of_single_replies(make_task, weighting):
    weights = torch.ones(12, 20, 1)
    weights[:6, 5:] = 0
    task = make_task(weights=weights)
    state, policy = task.fleet.init([0]), DevicePolicy(weighting=weighting)
    singles = _ask(_place(task, policy=policy), state)
    (added,) = _ask(_place(task, policy=policy, replies="sum"), state)
    claimed = [reply.content["metrics"]["num-examples"] for reply in singles]
    assert claimed == ([1] * 12 if weighting == "uniform" else [5] * 6 + [20] * 6)
    for name, mean in unpack_arrays(added.content["arrays"]).items():
        each = np.stack([unpack_arrays(reply.content["arrays"])[name] for reply in singles])
        np.testing.assert_allclose(mean, np.average(each, axis=0, weights=claimed), atol=1e-6)
    metrics = added.content["metrics"]
    assert (metrics["n-devices"], metrics["num-examples"]) == (12, sum(claimed))
    losses = [reply.content["metrics"]["train_loss"] for reply in singles]
    assert metrics["train_loss"] == pytest.approx(np.average(losses, weights=claimed), abs=1e-6)


def test_each_recipient_may_spoil_its_own_copy_only(initial):
    app, seen = ClientApp(), []

    @app.train()
    def train(message, context):
        seen.append(dict(message.content["config"]))
        message.content["config"]["server-round"] = -1
        message.content["arrays"].clear()
        return Message(RecordDict({"metrics": MetricRecord({"num-examples": 1})}), reply_to=message)

    grid = EmbeddedGrid(app, 4)
    messages = _write(grid, initial)
    shared = messages[0].content
    grid.send_and_receive(messages)
    assert seen == [{"server-round": 1}] * 4
    assert shared["config"]["server-round"] == 1
    assert len(shared["arrays"]) == 4


def test_contexts_are_stable_and_each_devices_own(task, initial):
    app = ClientApp()

    @app.train()
    def train(message, context):
        count = context.state["count"]["n"] + 1 if "count" in context.state else 1
        context.state["count"] = MetricRecord({"n": count})
        metrics = {"num-examples": 1, "n": count, "device": context.node_config["partition-id"]}
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)

    grid = EmbeddedGrid(app, 3)
    assert list(grid.get_node_ids()) == [FIRST_NODE, FIRST_NODE + 1, FIRST_NODE + 2]
    _ask(grid, initial, nodes=[FIRST_NODE + 1])
    replies = _ask(grid, initial)
    assert [reply.content["metrics"]["n"] for reply in replies] == [1, 2, 1]
    assert [reply.content["metrics"]["device"] for reply in replies] == [0, 1, 2]
    with pytest.raises(SpecificationError, match="from 1000 to 1002, got 5"):
        grid.find_context(5)


def _break_device(task, broken):
    class Broken:
        fleet, n_devices = task.fleet, task.n_devices

        def load(self, devices):
            if broken in devices:
                raise ValueError("secret reading 123.4")
            return task.load(devices)

    return Broken()


@pytest.mark.parametrize("mode", ["sequential", "cohort"])
def test_a_device_that_raises_fails_alone_or_loudly(task, initial, mode):
    broken = _break_device(task, 5)
    with pytest.raises(ValueError, match="secret"):
        _ask(_place(broken, mode, strict=True), initial)
    replies = _ask(_place(broken, mode, strict=False), initial)
    failed = [reply for reply in replies if reply.has_error()]
    assert [reply.metadata.src_node_id for reply in failed] == [FIRST_NODE + 5]
    assert len(replies) == 12
    assert "ValueError" in failed[0].error.reason
    assert "123" not in failed[0].error.reason, "a foreign error may hold a person's values"


def test_a_device_that_raises_is_not_in_the_sum(task, initial):
    (added,) = _ask(_place(_break_device(task, 5), replies="sum", strict=False), initial)
    assert added.content["metrics"]["n-devices"] == 11


@pytest.mark.parametrize("mode", ["sequential", "cohort"])
def test_planted_faults_are_what_they_are_called(task, initial, mode):
    kinds = ("drop", "error", "late", "duplicate", "nan", "wrong_shape", "missing_key", "huge_weight", "sign_flip")
    plan = FaultPlan(planted=tuple(PlantedFault(kind, (k,), rounds=(1,)) for k, kind in enumerate(kinds)))
    honest = {reply.metadata.src_node_id: reply for reply in _ask(_place(task, mode), initial)}
    grid = _place(task, mode, faults=plan)
    found = {}
    for reply in _ask(grid, initial):
        found.setdefault(reply.metadata.src_node_id - FIRST_NODE, []).append(reply)
    assert set(found) == set(range(12)) - {0, 2}
    assert found[1][0].has_error()
    assert len(found[3]) == 2
    arrays = {k: unpack_arrays(found[k][0].content["arrays"]) for k in range(4, 12)}
    truth = {k: unpack_arrays(honest[FIRST_NODE + k].content["arrays"]) for k in range(12)}
    assert all(np.isnan(value).all() for value in arrays[4].values())
    assert arrays[5]["weight_0"].shape == (1, 8)
    assert set(arrays[6]) == set(initial) - {"bias_1"}
    assert found[7][0].content["metrics"]["num-examples"] == HUGE_WEIGHT
    start = {name: value[0].numpy() for name, value in initial.items()}
    for name, value in arrays[8].items():
        np.testing.assert_allclose(value - start[name], -10 * (truth[8][name] - start[name]), atol=1e-5)
    assert _differ(arrays[9], truth[9]) == 0
    late = [r for r in _ask(grid, initial, round_number=2) if r.metadata.src_node_id == FIRST_NODE + 2]
    assert len(late) == 2, "its answer to the round before, and to this one"
    assert _differ(unpack_arrays(late[1].content["arrays"]), truth[2]) == 0
    assert len(_ask(grid, initial, round_number=3)) == 12, "it comes late once"


def test_faults_in_a_sum_do_what_they_do_to_single_replies(task, initial):
    plan = FaultPlan(planted=(PlantedFault("sign_flip", (1,)), PlantedFault("late", (2,)), PlantedFault("drop", (3,))))
    singles = _ask(_place(task, faults=plan), initial)
    (added,) = _ask(_place(task, replies="sum", faults=plan), initial)
    assert added.content["metrics"]["n-devices"] == len(singles) == 10
    for name, mean in unpack_arrays(added.content["arrays"]).items():
        each = np.stack([unpack_arrays(reply.content["arrays"])[name] for reply in singles])
        np.testing.assert_allclose(mean, each.mean(0), atol=1e-6)
    nan = FaultPlan(planted=(PlantedFault("nan", (1,)),))
    (spoiled,) = _ask(_place(task, replies="sum", faults=nan), initial)
    assert np.isnan(unpack_arrays(spoiled.content["arrays"])["weight_0"]).all(), "an adder sees no single update"


def test_dropouts_are_seeded_and_about_as_many_as_asked():
    plan = FaultPlan(drop_probability=0.3, seed=4)
    dropped = [len(plan.find(number, range(1000))) for number in range(1, 11)]
    # 10,000 coins: five standard deviations are 230
    assert abs(sum(dropped) - 3000) < 230
    assert plan.find(3, range(1000)) == FaultPlan(drop_probability=0.3, seed=4).find(3, range(1000))
    alone = {device for device in range(1000) if plan.find(3, [device])}
    assert alone == set(plan.find(3, range(1000))), "whether one drops depends on nobody else"
    assert plan.find(3, range(1000)) != FaultPlan(drop_probability=0.3, seed=5).find(3, range(1000))


def test_bytes_and_messages_are_counted_and_told(task, initial):
    told = []
    grid = _place(task, on_message=lambda *event: told.append(event))
    _ask(grid, initial)
    n_parameters = 6 * 8 + 8 + 8 + 1
    assert grid.bytes_down == 12 * (4 * n_parameters + 8)
    assert grid.bytes_up == 12 * (4 * n_parameters + 16)
    assert grid.n_messages == len(told) == 24
    assert sum(event[3] for event in told) == grid.bytes_down + grid.bytes_up
    assert {event[:3] for event in told} == {("server", "device", "train"), ("device", "server", "train")}
    payload = told[-1][4]
    assert payload["node"] == FIRST_NODE + 11
    assert set(payload["arrays"]) == set(initial)
    assert set(payload["metrics"]) == {"train_loss", "num-examples"}
    summed = _place(task, replies="sum", on_message=lambda *event: told.append(event))
    _ask(summed, initial)
    assert told[-1][:2] == ("adder", "server")
    assert summed.bytes_up == 4 * n_parameters + 24


def test_progress_tells_each_chunk_and_may_stop_the_run(make_task):
    task = make_task(n_devices=CHUNK_DEVICES + 1)
    told = []
    _ask(_place(task, progress=lambda *event: told.append(event)), task.fleet.init([0]))
    total = CHUNK_DEVICES + 1
    assert told == [("devices answer", CHUNK_DEVICES, total), ("devices answer", total, total)]

    def stop(what, done, total):
        raise KeyboardInterrupt

    grid = _place(task, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        _ask(grid, task.fleet.init([0]))
    grid._progress = lambda *event: None
    assert len(_ask(grid, task.fleet.init([0]))) == total, "the grid is whole afterwards"


def test_devices_answer_in_the_order_they_are_asked_and_alike(task, initial):
    nodes = [FIRST_NODE + k for k in (7, 2, 9)]
    backwards = _ask(_place(task), initial, nodes=nodes)
    assert [reply.metadata.src_node_id for reply in backwards] == nodes
    everybody = {reply.metadata.src_node_id: reply for reply in _ask(_place(task), initial)}
    for reply in backwards:
        other = everybody[reply.metadata.src_node_id]
        assert _differ(unpack_arrays(reply.content["arrays"]), unpack_arrays(other.content["arrays"])) < 1e-6


@pytest.mark.parametrize("mode", ["sequential", "cohort"])
def test_devices_check_what_they_receive(task, initial, mode):
    grid = _place(task, mode, DevicePolicy(refuses_imprints=True))
    with pytest.raises(ProtocolError, match="one fleet"):
        _ask(grid, {name: value for name, value in initial.items() if name != "bias_1"})
    trap = {**initial, "weight_0": torch.ones(1, 6, 8)}
    with pytest.raises(ProtocolError, match="8 of 8 with a twin"):
        _ask(grid, trap)
    assert len(_ask(_place(task, mode), trap)) == 12, "only where the policy says so"


@pytest.mark.parametrize("mode", ["sequential", "cohort"])
def test_the_personal_part_stays_in_the_devices_context(task, initial, mode):
    policy = DevicePolicy(personal=("weight_1", "bias_1"), reports=())
    start = {name: initial[name] for name in policy.personal}
    app = make_client_app(task, TRAINING, policy, personal_start=start)
    program = DeviceProgram(task, TRAINING, policy, personal_start=start) if mode == "cohort" else None
    told = []
    grid = EmbeddedGrid(app, 12, program=program, on_message=lambda *event: told.append(event))
    shared = {name: value for name, value in initial.items() if name not in policy.personal}
    for number in (1, 2):
        _ask(grid, shared, number)
    kept = [unpack_state(grid.find_context(node).state["personal"]) for node in grid.get_node_ids()]
    assert all(set(each) == {"weight_1", "bias_1"} for each in kept)
    assert len({float(each["bias_1"]) for each in kept}) == 12, "each has its own"
    leaving = [payload for _, _, _, _, payload in told]
    assert len(leaving) == 48
    assert all(set(payload["arrays"]) == {"weight_0", "bias_0"} for payload in leaving)
    assert all(set(payload["metrics"]) == {"num-examples"} for payload in leaving if "metrics" in payload)
    bare = np.concatenate([value.ravel() for payload in leaving for value in payload["arrays"].values()])
    secret = np.concatenate([value.numpy().ravel() for each in kept for value in each.values()])
    assert not np.isin(secret, bare).any()
    assert np.isin(initial["weight_0"].numpy().ravel(), bare).all(), "the scan finds what is there"


def test_a_message_of_another_kind_goes_through_the_app(task, initial):
    app = make_client_app(task, TRAINING)

    @app.train("named")
    def named(message, context):
        arrays = ArrayRecord({"x": Array(np.ones(1, dtype=np.float32))})
        return Message(RecordDict({"arrays": arrays}), reply_to=message)

    grid = EmbeddedGrid(app, 12, program=DeviceProgram(task, TRAINING))
    assert set(_ask(grid, initial, kind="train.named")[0].content["arrays"]) == {"x"}


def test_choices_that_exclude_each_other_are_refused(task):
    with pytest.raises(IncompatibleChoicesError, match="give a program"):
        _place(task, "sequential", replies="sum")
    with pytest.raises(IncompatibleChoicesError, match="wrong_shape"):
        _place(task, replies="sum", faults=FaultPlan(planted=(PlantedFault("wrong_shape", (0,)),)))
    with pytest.raises(SpecificationError, match="got 'sleep'"):
        PlantedFault("sleep", (0,))
    with pytest.raises(SpecificationError, match=r"got 1\.5"):
        FaultPlan(drop_probability=1.5)
    with pytest.raises(SpecificationError, match="at least one device"):
        EmbeddedGrid(ClientApp(), 0)
