from dataclasses import replace

import numpy as np
import pytest
import torch

from twinlab.errors import IncompatibleChoicesError, ProtocolError, RoundFailedError, SpecificationError
from twinlab.learn_choice import EncryptedSum
from twinlab.pipeline.encrypted_parties import make_addition, plan_addition, read_opening
from twinlab.protection.federated.device import DeviceProgram, make_client_app
from twinlab.protection.federated.encrypted_device import EncryptedProgram, make_encrypted_app
from twinlab.protection.federated.encrypted_grid import OPENING, TOTAL, EncryptedGrid
from twinlab.protection.federated.encrypted_terms import EncryptedTerms
from twinlab.protection.federated.fault import FaultPlan, PlantedFault
from twinlab.protection.federated.federation import FederatedSettings, train_federated
from twinlab.protection.federated.flower import (
    ConfigRecord,
    Message,
    RecordDict,
    open_task,
    pack_arrays,
    pack_state,
    unpack_arrays,
)
from twinlab.protection.federated.grid import FIRST_NODE, EmbeddedGrid
from twinlab.protection.federated.secure_terms import SecureTerms
from twinlab.protection.federated.task import DevicePolicy, LocalTraining

TRAINING = LocalTraining(batch_rows=5, learning_rate=0.3)
CLIP, N_DEVICES, N_PARAMETERS = 0.5, 12, 65
POLICY = DevicePolicy(clip_norm=CLIP, reports=())
TERMS = EncryptedTerms(clip_norm=CLIP)
#: Rounding of one float32 number of the size of these weights.
FLOAT32 = 1.2e-7


@pytest.fixture(autouse=True)
def _inside_a_task():
    with open_task():
        yield


def prepare(terms=TERMS, **choice):
    """A plan and fresh parties."""
    choice = EncryptedSum(**choice)
    plan = plan_addition(choice, terms, N_PARAMETERS, N_DEVICES)
    return plan, make_addition(choice, terms, plan, N_DEVICES)


PLAN, ADDITION = prepare()


def place(task, addition=ADDITION, mode="cohort", faults=None, inner=None, heard=None, **options):
    """An encrypted grid before devices, and the devices."""
    program = EncryptedProgram(DeviceProgram(task, TRAINING, POLICY), addition.terms, addition.encrypter, faults)
    grid = EmbeddedGrid(
        make_encrypted_app(program),
        task.n_devices,
        program=program if mode == "cohort" else None,
        faults=faults,
        **options,
    )
    tell = None if heard is None else lambda *message: heard.append(message)
    return EncryptedGrid(inner(grid) if inner else grid, addition, on_message=tell), grid


def write(grid, state, round_number=1, kind="train", nodes=None):
    content = RecordDict({"arrays": pack_state(state), "config": ConfigRecord({"server-round": round_number})})
    return [Message(content, dst_node_id=node, message_type=kind) for node in nodes or grid.get_node_ids()]


def ask(grid, state, round_number=1, **options):
    return list(grid.send_and_receive(write(grid, state, round_number, **options)))


def flatten(record, state):
    arrays = unpack_arrays(record)
    return np.concatenate([(arrays[name].astype(float) - state[name][0].numpy()).ravel() for name in sorted(arrays)])


def train_plainly(task, state):
    """Each device's honest update, flat, by node."""
    grid = EmbeddedGrid(
        make_client_app(task, TRAINING, POLICY), task.n_devices, program=DeviceProgram(task, TRAINING, POLICY)
    )
    return {
        reply.metadata.src_node_id: flatten(reply.content["arrays"], state)
        for reply in grid.send_and_receive(write(grid, state))
    }


def check_mean(reply, members, state, updates, plan=PLAN):
    """The reply is the mean of the members' updates, to the stated rounding of each and float32."""
    metrics = reply.content["metrics"]
    assert (metrics["n-devices"], metrics["num-examples"]) == (len(members), len(members))
    longest = TERMS.find_longest(plan.step, N_PARAMETERS)
    kept = [updates[node] * min(1.0, longest / np.linalg.norm(updates[node])) for node in members]
    off = np.abs(flatten(reply.content["arrays"], state) - np.mean(kept, axis=0)).max()
    assert off < plan.step / 2 + FLOAT32
    assert plan.step < 2e-5


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
@pytest.mark.parametrize("choice", [{}, {"key_holder": "devices"}, {"threshold": True, "n_trustees": 2}])
def test_a_round_gives_one_reply_with_the_mean_whoever_holds_the_key(task, initial, mode, choice):
    plan, addition = prepare(**choice)
    heard = []
    grid, _ = place(task, addition, mode=mode, heard=heard)
    (reply,) = ask(grid, initial)
    assert grid.last.members == tuple(grid.get_node_ids())
    check_mean(reply, grid.last.members, initial, train_plainly(task, initial), plan)
    names = ["trustee 1", "trustee 2"] if plan.threshold else ["device" if choice else "key holder"]
    assert [message[:3] for message in heard] == [
        each for name in names for each in (("server", name, TOTAL), (name, "server", OPENING))
    ]


class Between:
    """A server's or a network's own hand between the grid and the devices."""

    def __init__(self, inner):
        self.inner, self.replies = inner, []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def send_and_receive(self, messages, *, timeout=None):
        self.replies = self.change(list(self.inner.send_and_receive(messages, timeout=timeout)))
        return self.replies

    def change(self, replies):
        return replies


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_a_device_sends_ciphertext_and_nothing_else_whoever_asks(task, initial, mode):
    _, devices = place(task, mode=mode)
    replies = ask(devices, initial)  # no encrypted grid in between
    assert len(replies) == N_DEVICES
    for reply in replies:
        assert set(reply.content) == {"encrypted"}
        assert set(reply.content["encrypted"]) == {"update"}
        ADDITION.adder.check(reply.content["encrypted"]["update"])
    program = EncryptedProgram(DeviceProgram(task, TRAINING, POLICY), TERMS, ADDITION.encrypter)
    with pytest.raises(ProtocolError, match="expected to encrypt the update"):
        program.train(replies[0].content, [])


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("nan", "expected finite numbers"), ("wrong_shape", "checksum"), ("missing_key", "checksum"), ("error", "failed")],
)
def test_a_broken_device_is_left_out_with_the_reason_and_nobody_else(task, initial, kind, reason, mode):
    faults = FaultPlan(planted=(PlantedFault(kind, (3,)),))
    grid, _ = place(task, mode=mode, faults=faults)
    replies = ask(grid, initial)
    assert set(grid.last.refused) == {FIRST_NODE + 3}
    assert reason in grid.last.refused[FIRST_NODE + 3]
    assert [reply.metadata.src_node_id for reply in replies if reply.has_error()] == [FIRST_NODE + 3]
    assert set(grid.last.invited) - set(grid.last.members) == {FIRST_NODE + 3}
    check_mean(replies[0], grid.last.members, initial, train_plainly(task, initial))


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_late_repeated_and_missing_replies_change_no_sum(task, initial, mode):
    planted = (PlantedFault("late", (3,), rounds=(1,)), PlantedFault("duplicate", (5,)), PlantedFault("drop", (7,)))
    grid, _ = place(task, mode=mode, faults=FaultPlan(planted=planted))
    (reply,) = ask(grid, initial)
    assert set(grid.last.invited) - set(grid.last.members) == {FIRST_NODE + 3, FIRST_NODE + 7}
    check_mean(reply, grid.last.members, initial, train_plainly(task, initial))
    ask(grid, initial, 2)
    assert set(grid.last.invited) - set(grid.last.members) == {FIRST_NODE + 7}
    assert grid.last.refused == {}


def test_a_liar_moves_the_sum_by_no_more_than_the_bound(task, initial):
    updates = train_plainly(task, initial)
    grid, _ = place(
        task, faults=FaultPlan(planted=(PlantedFault("sign_flip", (0,)), PlantedFault("huge_weight", (1,))))
    )
    (reply,) = ask(grid, initial)
    others = np.sum([update for node, update in updates.items() if node != FIRST_NODE], axis=0)
    moved = N_DEVICES * flatten(reply.content["arrays"], initial) - others
    assert np.linalg.norm(moved) == pytest.approx(CLIP, rel=1e-3)
    assert moved @ updates[FIRST_NODE] < 0


class Copycat(Between):
    """One device sends the very bytes of another, so that its update counts twice."""

    def change(self, replies):
        replies[4].content = replies[2].content
        return replies


class Stranger(Between):
    """One device encrypts under a key of its own."""

    def change(self, replies):
        foreign = prepare()[1].encrypter.encrypt(np.zeros(N_PARAMETERS))
        replies[4].content = RecordDict({"encrypted": ConfigRecord({"update": foreign})})
        return replies


class Plain(Between):
    """One device sends what it should have encrypted."""

    def change(self, replies):
        replies[4].content = RecordDict({"arrays": pack_arrays({"bias_1": np.zeros(1, dtype=np.float32)})})
        return replies


@pytest.mark.parametrize(
    ("hand", "places", "reason"),
    [
        (Copycat, (2, 4), "the very bytes of another device"),
        (Stranger, (4,), "expected key"),
        (Plain, (4,), "expected an encrypted update"),
    ],
)
def test_what_cannot_be_added_is_refused_alone(task, initial, hand, places, reason):
    grid, _ = place(task, inner=hand)
    replies = ask(grid, initial)
    assert set(grid.last.refused) == {FIRST_NODE + k for k in places}
    assert all(reason in told for told in grid.last.refused.values())
    check_mean(replies[0], grid.last.members, initial, train_plainly(task, initial))


def test_no_total_of_too_few_devices_leaves_the_server(task, initial):
    _, addition = prepare(replace(TERMS, fewest=10))
    lost = FaultPlan(planted=(PlantedFault("drop", (0, 1, 2)),))
    heard = []
    grid, _ = place(task, addition, faults=lost, heard=heard)
    replies = ask(grid, initial)
    assert heard == []
    assert "at least 10 devices, got 9" in grid.last.failed_because
    assert len(replies) == 9
    assert all("stayed closed" in reply.error.reason for reply in replies)
    with pytest.raises(RoundFailedError, match="at least 10 devices, got 9"):
        ask(grid, initial, nodes=list(grid.get_node_ids())[:9])


def test_a_server_that_asks_for_fewer_than_agreed_is_told_nothing(task, initial):
    """The key holder counts for itself; without that the total of five would be read."""
    _, strict = prepare(replace(TERMS, fewest=10))
    hasty = replace(strict, terms=TERMS)
    heard = []
    grid, _ = place(task, hasty, heard=heard)
    ask(grid, initial, nodes=list(grid.get_node_ids())[:5])
    assert "at least 10 devices, got 5" in grid.last.failed_because
    assert [message[2] for message in heard] == [TOTAL]


class Forgetful:
    """An adder that leaves one message out."""

    def __init__(self, adder):
        self.adder = adder

    def __getattr__(self, name):
        return getattr(self.adder, name)

    def add(self, messages):
        return self.adder.add(messages[1:])


def test_a_sum_that_counts_other_devices_than_were_added_is_not_used(task, initial):
    grid, _ = place(task, replace(ADDITION, adder=Forgetful(ADDITION.adder)))
    replies = ask(grid, initial)
    assert all(reply.has_error() for reply in replies)
    assert "got one that counts others" in grid.last.failed_because


def test_devices_with_different_models_are_not_added(task, initial):
    grid, _ = place(task)
    messages = write(grid, initial)
    other = {name: value + 1 for name, value in initial.items()}
    messages[5] = write(grid, other, nodes=[FIRST_NODE + 5])[0]
    with pytest.raises(SpecificationError, match="the same model"):
        grid.send_and_receive(messages)


def test_other_messages_pass_through_and_pushed_training_can_be_pulled(task, initial):
    grid, inner = place(task)
    assert list(grid.get_node_ids()) == list(inner.get_node_ids())
    assert len(ask(grid, initial, kind="evaluate")) == N_DEVICES
    numbers = list(grid.push_messages([*write(grid, initial, kind="query"), *write(grid, initial)]))
    replies = list(grid.pull_messages(numbers))
    assert sum(reply.metadata.message_type == "query" for reply in replies) == N_DEVICES
    assert sum(reply.metadata.message_type == "train" for reply in replies) == 1
    assert list(grid.pull_messages(numbers)) == []


def round_update(values, step):
    return step * np.rint(values / step)


@pytest.mark.parametrize("step", [1e-4, 1e-2, 0.05])
def test_rounding_lengthens_no_update_beyond_the_bound(step):
    """What counts for privacy is the length of what is added; shortening to the bound alone is not enough."""
    random, naive = np.random.default_rng(1), 0
    longest = TERMS.find_longest(step, N_PARAMETERS)
    for _ in range(200):
        direction = random.standard_normal(N_PARAMETERS)
        direction /= np.linalg.norm(direction)
        assert np.linalg.norm(round_update(longest * direction, step)) <= CLIP
        naive += np.linalg.norm(round_update(CLIP * direction, step)) > CLIP
    # half of a step more in each number: the worst case, which the length allows for exactly
    worst = np.full(N_PARAMETERS, longest / np.sqrt(N_PARAMETERS))
    assert np.linalg.norm(worst + step / 2) == pytest.approx(CLIP)
    assert naive > 50


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clip_norm": 0.0}, "clip_norm: expected a number above 0"),
        ({"fewest": 2}, "fewest: expected at least 3"),
        ({"noise_multiplier": 1.0}, "noise: expected a source"),
        ({"noise_multiplier": -1.0}, "noise_multiplier: expected at least 0"),
    ],
)
def test_terms_that_cannot_work_are_refused(changes, words):
    with pytest.raises(SpecificationError, match=words):
        replace(TERMS, **changes)


def test_steps_that_would_round_updates_away_are_refused_before_anything_runs():
    with pytest.raises(SpecificationError, match=r"choose \d bits more"):
        plan_addition(EncryptedSum(bits=8), TERMS, 40_000, N_DEVICES)
    assert plan_addition(EncryptedSum(bits=11), TERMS, 40_000, N_DEVICES).bits == 11
    with pytest.raises(SpecificationError, match="at least 3 devices a round, got 2"):
        plan_addition(EncryptedSum(), TERMS, N_PARAMETERS, 2)


def test_what_a_key_holder_tells_is_read_whole_or_not_at_all():
    told = ADDITION.openers[0].open(
        ADDITION.adder.add([ADDITION.encrypter.encrypt(np.full(65, k / 9)) for k in range(4)])
    )
    found = read_opening(told, N_PARAMETERS)
    assert found.n_devices == 4
    assert np.allclose(found.values, 6 / 9, atol=2 * PLAN.step)
    with pytest.raises(ArithmeticError, match="expected 65 numbers and a count"):
        read_opening(told[:-1], N_PARAMETERS)


def federate(task, initial, addition=None, **options):
    settings = FederatedSettings(n_rounds=3, seed=7, strict=False, **options.pop("settings", {}))
    return train_federated(task, TRAINING, settings, initial=initial, policy=POLICY, encrypted=addition, **options)


def differ(one, other):
    return max(float((one.state[name] - other.state[name]).abs().max()) for name in one.state)


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_a_federation_learns_what_plain_sums_learn_and_counts_its_bytes(task, initial, mode):
    faults = FaultPlan(drop_probability=0.2, planted=(PlantedFault("nan", (2,)),), seed=2)
    heard = []
    found = federate(
        task, initial, ADDITION, faults=faults, settings={"mode": mode}, on_message=lambda *each: heard.append(each)
    )
    plain = federate(task, initial, faults=faults)
    assert found.is_complete
    assert differ(found, plain) < 3 * 3 * PLAN.step
    assert [report.n_replied for report in found.rounds] == [report.n_replied for report in plain.rounds]
    for report, other in zip(found.rounds, plain.rounds, strict=True):
        assert [node for node, _ in report.refused] == [node for node, _ in other.refused]
        assert report.bytes_down == other.bytes_down
    sent = [each for each in heard if each[:3] == ("device", "server", "train")]
    assert sum(report.bytes_up for report in found.rounds) == sum(each[3] for each in sent)
    assert all(each[4]["encrypted"].nbytes == each[3] for each in sent)


def test_a_device_that_opens_sums_is_sent_bytes_that_count(task, initial):
    plain = federate(task, initial)
    found = federate(task, initial, prepare(key_holder="devices")[1])
    for report, other in zip(found.rounds, plain.rounds, strict=True):
        assert report.bytes_down > other.bytes_down + 10_000


def test_a_stopped_federation_goes_on_under_new_keys(task, initial, tmp_path):
    whole = federate(task, initial, ADDITION)

    def stop(what, done, total):
        if what == "rounds" and done == 2:
            raise KeyboardInterrupt

    path = tmp_path / "rounds.npz"
    first = federate(task, initial, ADDITION, checkpoint=path, progress=stop)
    assert len(first.rounds) == 2
    again = federate(task, initial, prepare()[1], checkpoint=path)
    assert len(again.rounds) == 3
    assert differ(again, whole) < 1e-6


@pytest.mark.parametrize(
    ("settings", "options", "error", "words"),
    [
        ({"strategy": "krum"}, {}, IncompatibleChoicesError, "krum compares single updates, and encrypted sums hide"),
        ({"replies": "sum"}, {}, IncompatibleChoicesError, "take the place of a trusted adder"),
        ({"weighting": "claimed"}, {}, IncompatibleChoicesError, "count each device the same"),
        ({"clients_per_round": 2}, {}, SpecificationError, "at least 3 devices a round, got 2"),
        ({}, {"secure": SecureTerms(clip_norm=CLIP)}, IncompatibleChoicesError, "masked or encrypted, not both"),
    ],
)
def test_choices_that_need_single_updates_are_refused(task, initial, settings, options, error, words):
    with pytest.raises(error, match=words):
        federate(task, initial, ADDITION, settings=settings, **options)


def test_devices_bound_their_updates_even_where_the_policy_does_not(task, initial):
    loose = train_federated(
        task, TRAINING, FederatedSettings(n_rounds=1), initial=initial, policy=DevicePolicy(), encrypted=ADDITION
    )
    bound = federate(task, initial, ADDITION).rounds
    assert bound
    moved = torch.cat([(loose.state[name] - initial[name]).flatten() for name in initial])
    assert 0 < float(moved.norm()) <= CLIP
