import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from twinlab.errors import IncompatibleChoicesError, ProtocolError, RoundFailedError, SpecificationError
from twinlab.fleet import Fleet
from twinlab.protection.federated.device import DeviceProgram, make_client_app
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
from twinlab.protection.federated.private_sum import PrivateSum
from twinlab.protection.federated.secure_device import SecureProgram, make_secure_app
from twinlab.protection.federated.secure_grid import SecureGrid
from twinlab.protection.federated.secure_terms import PHASE_TYPES, Invitation, SecureTerms, hash_content, pack_phase
from twinlab.protection.federated.task import DevicePolicy, LocalTraining, RowsTask

TRAINING = LocalTraining(batch_rows=5, learning_rate=0.3)
CLIP = 0.5
TERMS = SecureTerms(group_size=6, clip_norm=CLIP)
POLICY = DevicePolicy(clip_norm=CLIP, reports=())


@pytest.fixture(autouse=True)
def _inside_a_task():
    with open_task():
        yield


def place(task, terms=TERMS, mode="cohort", faults=None, kind=SecureProgram, inner=None, **options):
    """A secure grid before devices, and the devices."""
    program = kind(DeviceProgram(task, TRAINING, POLICY), terms, faults)
    grid = EmbeddedGrid(
        make_secure_app(program),
        task.n_devices,
        program=program if mode == "cohort" else None,
        faults=faults,
        **options,
    )
    return SecureGrid(inner(grid) if inner else grid, terms), grid


def write(grid, state, round_number=1, kind="train", nodes=None):
    content = RecordDict({"arrays": pack_state(state), "config": ConfigRecord({"server-round": round_number})})
    return [Message(content, dst_node_id=node, message_type=kind) for node in nodes or grid.get_node_ids()]


def ask(grid, state, round_number=1, **options):
    return list(grid.send_and_receive(write(grid, state, round_number, **options)))


def train_plainly(task, state):
    """Each device's honest update, flat, by node."""
    grid = EmbeddedGrid(
        make_client_app(task, TRAINING, POLICY), task.n_devices, program=DeviceProgram(task, TRAINING, POLICY)
    )
    return {
        reply.metadata.src_node_id: flatten(reply.content["arrays"], state)
        for reply in grid.send_and_receive(write(grid, state))
    }


def flatten(record, state):
    arrays = unpack_arrays(record)
    return np.concatenate([(arrays[name].astype(float) - state[name][0].numpy()).ravel() for name in sorted(arrays)])


def check_sum(reply, members, state, updates):
    """A group's reply is the mean of its members' updates, to the ring's step and float32."""
    metrics = reply.content["metrics"]
    assert (metrics["n-devices"], metrics["num-examples"]) == (len(members), len(members))
    expected = np.mean([updates[node] for node in members], axis=0)
    assert np.abs(flatten(reply.content["arrays"], state) - expected).max() < 3e-7


class Twice:
    """A server that asks each device twice for its masked update, within one delivery."""

    def __init__(self, inner):
        self.inner, self.replies = inner, []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def send_and_receive(self, messages, *, timeout=None):
        kind = messages[0].metadata.message_type
        again = [Message(m.content, dst_node_id=m.metadata.dst_node_id, message_type=kind) for m in messages]
        found = self.inner.send_and_receive([*messages, *again] if kind == PHASE_TYPES["mask"] else messages)
        self.replies += found if kind == PHASE_TYPES["mask"] else []
        return found


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_a_device_masks_once_a_round_however_often_it_is_asked(task, initial, mode):
    grid, _ = place(task, mode=mode, inner=Twice)
    ask(grid, initial)
    replies = grid._inner.replies
    assert len(replies) == 24
    senders = [reply.metadata.src_node_id for reply in replies if reply.has_content()]
    assert sorted(senders) == list(grid.get_node_ids())
    assert all("mask: expected" in reply.error.reason for reply in replies if reply.has_error())


class Between:
    """A server's own hand between the secure grid and the devices."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def send_and_receive(self, messages, *, timeout=None):
        for message in messages:
            message.content = self.change(message.metadata.message_type, message.metadata.dst_node_id, message.content)
        return self.inner.send_and_receive(messages, timeout=timeout)


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_each_group_gives_one_reply_with_its_mean(task, initial, mode):
    grid, _ = place(task, mode=mode)
    replies = ask(grid, initial)
    assert [len(group.invited) for group in grid.sums] == [6, 6]
    assert [group.members for group in grid.sums] == [group.invited for group in grid.sums]
    updates = train_plainly(task, initial)
    for reply, group in zip(replies, grid.sums, strict=True):
        assert reply.metadata.src_node_id in group.members
        check_sum(reply, group.members, initial, updates)


def test_groups_differ_from_round_to_round_and_follow_the_seed(task, initial):
    grid, inner = place(task)
    seen = []
    for number in (1, 2):
        ask(grid, initial, number)
        seen.append([group.invited for group in grid.sums])
    again = SecureGrid(inner, TERMS)
    ask(again, initial, 1)
    assert seen[0] != seen[1]
    assert [group.invited for group in again.sums] == seen[0]


def test_a_restarted_server_begins_rounds_that_devices_accept(task, initial):
    grid, inner = place(task)
    ask(grid, initial, 5)
    again = SecureGrid(inner, TERMS)
    ask(again, initial, 1)
    assert all(group.members for group in again.sums)


def test_other_messages_pass_through_and_pushed_training_can_be_pulled(task, initial):
    grid, inner = place(task)
    assert list(grid.get_node_ids()) == list(inner.get_node_ids())
    assert len(ask(grid, initial, kind="evaluate")) == 12
    messages = write(grid, initial)
    numbers = list(grid.push_messages([*write(grid, initial, kind="query"), *messages]))
    assert len(numbers) == 24
    replies = list(grid.pull_messages(numbers))
    assert sum(reply.metadata.message_type == "query" for reply in replies) == 12
    assert sum(reply.metadata.message_type == "train" for reply in replies) == 2
    assert list(grid.pull_messages(numbers)) == []


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_a_secure_device_trains_for_no_plain_request(task, initial, mode):
    _, inner = place(task, mode=mode, strict=False)
    assert all(reply.has_error() for reply in ask(inner, initial))
    _, strict = place(task, mode=mode)
    with pytest.raises(ProtocolError, match="train: expected the phases of a secure sum"):
        ask(strict, initial)


class DyingApp:
    """An app whose process ends after each message; of a device only its context is left, as bytes."""

    def __init__(self, task, terms):
        self.task, self.terms, self.n_calls = task, terms, 0

    def __call__(self, message, context):
        self.n_calls += 1
        context.state = pickle.loads(pickle.dumps(context.state))
        app = make_secure_app(SecureProgram(DeviceProgram(self.task, TRAINING, POLICY), self.terms))
        return app(message, context)


def test_devices_whose_process_ends_after_each_message_add_the_same(task, initial):
    app = DyingApp(task, TERMS)
    grid = SecureGrid(EmbeddedGrid(app, task.n_devices), TERMS)
    updates = train_plainly(task, initial)
    for number in (1, 2):
        replies = ask(grid, initial, number)
        if number == 1:
            for reply, group in zip(replies, grid.sums, strict=True):
                check_sum(reply, group.members, initial, updates)
        assert [group.members for group in grid.sums] == [group.invited for group in grid.sums]
    assert app.n_calls == 12 * (1 + 5 + 5)


def test_a_device_keeps_no_update_and_no_secret_after_a_round(task, initial):
    grid, inner = place(task)
    ask(grid, initial)
    for node in inner.get_node_ids():
        state = inner.find_context(node).state
        assert state["secure"]["client"] == b""
        assert set(state) == {"secure", "secure-identity", "secure-peers"}


def test_whoever_vanishes_at_any_phase_is_left_out_and_the_group_goes_on(task, initial):
    updates = train_plainly(task, initial)
    plan = FaultPlan(seed=4)
    fates = {plan.draw_phase(number, device, 5) for number in range(20) for device in range(12)}
    assert fates == {0, 1, 2, 3, 4}
    for number in range(1, 6):
        faults = FaultPlan(planted=(PlantedFault("drop", (1, 8)),), seed=4)
        grid, _ = place(task, SecureTerms(group_size=12, clip_norm=CLIP), faults=faults)
        (reply,) = ask(grid, initial, number)
        gone = {FIRST_NODE + device for device in (1, 8) if faults.draw_phase(number, device, 5) <= 2}
        (group,) = grid.sums
        assert set(group.invited) - set(group.members) == gone
        assert group.refused == {}
        content = RecordDict({"arrays": pack_state(initial), "config": ConfigRecord({"server-round": number})})
        assert set(content) == {"arrays", "config"}
        assert reply.content["metrics"]["n-devices"] == 12 - len(gone)
        if number == 1:
            check_sum(reply, group.members, initial, updates)


def test_a_group_below_its_threshold_adds_nothing_and_others_go_on(task, initial):
    first = TERMS.split([FIRST_NODE + k for k in range(12)], 0, 1)[0]
    lost = tuple(node - FIRST_NODE for node in first[:4])
    grid, _ = place(task, faults=FaultPlan(planted=(PlantedFault("drop", lost),)))
    replies = ask(grid, initial)
    failed, whole = grid.sums
    assert failed.members == ()
    assert "expected at least 4 clients, got " in failed.failed_because
    assert len(whole.members) == 6
    sums = [reply for reply in replies if reply.has_content()]
    assert len(sums) == 1
    reasons = [reply.error.reason for reply in replies if reply.has_error()]
    assert reasons
    assert all(reason.startswith("its group: ") for reason in reasons)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nan", "values: expected all finite"),
        ("wrong_shape", "mask: expected 260 bytes"),
        ("missing_key", "mask: expected 260 bytes"),
        ("error", "it failed"),
    ],
)
@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_a_broken_device_is_left_out_with_the_reason(task, initial, kind, reason, mode):
    faults = FaultPlan(planted=(PlantedFault(kind, (3,)),), seed=3)
    assert faults.draw_phase(1, 3, 5) <= 2
    grid, _ = place(task, mode=mode, faults=faults)
    ask(grid, initial)
    told = {node: why for group in grid.sums for node, why in group.refused.items()}
    assert set(told) == {FIRST_NODE + 3}
    assert reason in told[FIRST_NODE + 3]
    assert sorted(len(group.members) for group in grid.sums) == [5, 6]


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_late_and_repeated_replies_change_no_sum(task, initial, mode):
    faults = FaultPlan(planted=(PlantedFault("late", (3,), rounds=(1,)), PlantedFault("duplicate", (5,))))
    grid, _ = place(task, mode=mode, faults=faults)
    updates = train_plainly(task, initial)
    for reply, group in zip(ask(grid, initial), grid.sums, strict=True):
        check_sum(reply, group.members, initial, updates)
    assert sum(len(group.members) for group in grid.sums) == 11
    ask(grid, initial, 2)
    assert sum(len(group.members) for group in grid.sums) == 12
    assert all(not group.refused for group in grid.sums)


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_a_liar_moves_the_sum_by_no_more_than_the_bound(task, initial, mode):
    updates = train_plainly(task, initial)
    faults = FaultPlan(planted=(PlantedFault("sign_flip", (0,)), PlantedFault("huge_weight", (1,))))
    grid, _ = place(task, SecureTerms(group_size=12, clip_norm=CLIP), mode=mode, faults=faults)
    (reply,) = ask(grid, initial)
    honest = np.mean(list(updates.values()), axis=0)
    moved = 12 * (flatten(reply.content["arrays"], initial) - honest) + updates[FIRST_NODE]
    lie = -10 * updates[FIRST_NODE]
    lie *= min(1, CLIP / np.linalg.norm(lie))
    assert np.abs(moved - lie).max() < 1e-5
    assert np.linalg.norm(moved) == pytest.approx(CLIP, rel=1e-4)


def _relu_task(task):
    fleet = Fleet(1, task.fleet.widths, "relu", "logistic")
    return RowsTask(fleet, task.rows), fleet.init([0])


VICTIM = FIRST_NODE + 4


class TwoModels(Between):
    """All but the victim get a model whose hidden units are dead, so that almost nothing of it learns."""

    def change(self, kind, node, content):
        if kind != PHASE_TYPES["mask"] or node == VICTIM:
            return content
        arrays = dict(unpack_arrays(content["arrays"]))
        arrays["bias_0"] = np.full_like(arrays["bias_0"], -1e6)
        return RecordDict({**content, "arrays": pack_arrays(arrays)})


class CarelessProgram(SecureProgram):
    """A device that masks an update of whatever model came."""

    def _check_model(self, digest, context):
        return self._load(context, "mask")


@pytest.mark.parametrize("mode", ["cohort", "sequential"])
def test_a_server_that_sends_two_models_gets_nothing(task, mode):
    task, initial = _relu_task(task)
    grid, _ = place(task, SecureTerms(group_size=12, clip_norm=CLIP), mode=mode, inner=TwoModels)
    replies = ask(grid, initial)
    assert not any(reply.has_content() for reply in replies)
    (group,) = grid.sums
    assert group.members == ()
    assert set(group.refused) == set(group.invited) - {VICTIM}
    assert all("mask: expected the model and settings that were announced" in why for why in group.refused.values())


def test_positive_control_two_models_bare_a_careless_devices_update(task):
    task, initial = _relu_task(task)
    terms = SecureTerms(group_size=12, clip_norm=CLIP)
    grid, _ = place(task, terms, inner=TwoModels, kind=CarelessProgram)
    (reply,) = ask(grid, initial)
    found = 12 * flatten(reply.content["arrays"], initial)
    truth = train_plainly(task, initial)[VICTIM]
    # sorted names: bias_0, bias_1, weight_0, weight_1; the output's bias alone still learns on a dead model
    bared = np.ones(truth.size, dtype=bool)
    bared[initial["bias_0"].numel() : initial["bias_0"].numel() + initial["bias_1"].numel()] = False
    assert np.abs(truth[bared]).max() > 1e-2
    assert np.abs(found - truth)[bared].max() < 1e-5


class TwoAnnouncements(Between):
    """The victim is told of another model than the others."""

    def change(self, kind, node, content):
        if node != VICTIM or kind != PHASE_TYPES["advertise"]:
            return content
        invitation = Invitation.decode(content["secure"]["message"])
        return pack_phase({"config": content["config"]}, replace(invitation, context=bytes(32)))


def test_a_device_told_of_another_model_is_turned_away(task, initial):
    grid, _ = place(task, SecureTerms(group_size=12, clip_norm=CLIP), inner=TwoAnnouncements)
    ask(grid, initial)
    (group,) = grid.sums
    assert set(group.invited) - set(group.members) == {VICTIM}
    assert "expected the model of this round" in group.refused[VICTIM]


class OtherSettings(Between):
    """The same model, but settings that keep all but the victim where they are."""

    def change(self, kind, node, content):
        if kind != PHASE_TYPES["mask"] or node == VICTIM:
            return content
        return RecordDict({**content, "config": ConfigRecord({"server-round": 1, "proximal-mu": 3.0})})


def test_other_settings_are_another_model(task, initial):
    grid, _ = place(task, SecureTerms(group_size=12, clip_norm=CLIP), inner=OtherSettings)
    ask(grid, initial)
    assert grid.sums[0].members == ()
    assert len(grid.sums[0].refused) == 11


class SmallGroup(Between):
    """A server that invites the victim with two others."""

    def change(self, kind, node, content):
        if kind != PHASE_TYPES["advertise"]:
            return content
        invitation = Invitation.decode(content["secure"]["message"])
        kept = tuple(each for each in invitation.members if each.client_id in range(VICTIM, VICTIM + 3))
        return pack_phase({"config": content["config"]}, replace(invitation, members=kept))


def test_a_device_refuses_a_smaller_group_than_it_agreed_to(task, initial):
    grid, _ = place(task, SecureTerms(group_size=12, clip_norm=CLIP), inner=SmallGroup)
    ask(grid, initial)
    assert "expected a group of 9 to 24 devices, got 3" in grid.sums[0].refused[VICTIM]
    assert grid.sums[0].members == ()


def test_a_known_devices_new_key_is_refused(task, initial):
    grid, inner = place(task, SecureTerms(group_size=12, clip_norm=CLIP))
    ask(grid, initial)
    assert len(grid.sums[0].members) == 12
    del inner.find_context(VICTIM).state["secure-identity"]
    again = SecureGrid(inner, SecureTerms(group_size=12, clip_norm=CLIP))
    ask(again, initial, 2)
    assert again.sums[0].members == ()
    assert f"got others for 1 of its group, the first node {VICTIM}" in again.sums[0].refused[FIRST_NODE]


def test_a_node_that_shows_anothers_key_is_turned_away(task, initial):
    grid, inner = place(task)
    ask(grid, initial, nodes=[FIRST_NODE + k for k in range(6)])
    inner.find_context(VICTIM + 4).state["secure-identity"] = inner.find_context(VICTIM).state["secure-identity"]
    replies = ask(grid, initial, 2)
    assert VICTIM + 4 not in {node for group in grid.sums for node in group.invited}
    assert [reply.error.reason for reply in replies if reply.has_error()] == [
        "identity: expected a key of its own, got another node's"
    ]


def test_registered_keys_take_the_place_of_trust_on_first_use(task, initial, tmp_path):
    terms = SecureTerms(group_size=12, clip_norm=CLIP)
    grid, inner = place(task, terms, mode="sequential")
    keys = {node: Ed25519PrivateKey.generate() for node in inner.get_node_ids()}
    public = {str(node): key.public_key().public_bytes_raw().hex() for node, key in keys.items()}
    (tmp_path / "directory.json").write_text(json.dumps(public))
    for node, key in keys.items():
        (tmp_path / f"{node}.key").write_text(key.private_bytes_raw().hex() + "\n")
        inner.find_context(node).node_config |= {
            "secure-identity": str(tmp_path / f"{node}.key"),
            "secure-directory": str(tmp_path / "directory.json"),
        }
    ask(grid, initial)
    assert len(grid.sums[0].members) == 12
    assert "secure-peers" not in inner.find_context(VICTIM).state
    # a stranger under the victim's number is found out at its first message
    (tmp_path / f"{VICTIM}.key").write_text(Ed25519PrivateKey.generate().private_bytes_raw().hex())
    again = SecureGrid(inner, terms)
    ask(again, initial, 2)
    assert again.sums[0].members == ()
    assert all(f"the first node {VICTIM}" in why for why in again.sums[0].refused.values())
    (tmp_path / "directory.json").write_text("[]")
    ask(again, initial, 3)
    assert "secure-directory: expected a JSON object" in again.sums[0].refused[FIRST_NODE]


def test_a_grid_refuses_what_it_cannot_add(task, initial):
    grid, _ = place(task)
    with pytest.raises(RoundFailedError, match="at least 4 devices for groups of about 6, got 3"):
        ask(grid, initial, nodes=[FIRST_NODE, FIRST_NODE + 1, FIRST_NODE + 2])
    with pytest.raises(SpecificationError, match="one training message a node"):
        ask(grid, initial, nodes=[FIRST_NODE] * 6)


@pytest.mark.parametrize("group_size", [3, 4, 5, 7, 20])
def test_groups_are_even_and_never_below_what_devices_accept(group_size):
    terms = SecureTerms(group_size=group_size, clip_norm=1.0)
    for n_devices in range(terms.fewest, 150):
        groups = terms.split(range(n_devices), 0, 1)
        sizes = [len(group) for group in groups]
        assert sorted(node for group in groups for node in group) == list(range(n_devices))
        assert max(sizes) - min(sizes) <= 1
        assert 3 <= terms.fewest <= min(sizes) <= max(sizes) <= terms.most
        assert all(size >= terms.find_threshold(size) > size / 2 for size in sizes)


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"group_size": 2}, "group_size: expected at least 3"),
        ({"threshold_share": 0.5}, "threshold_share: expected above 0.5"),
        ({"clip_norm": 0.0}, "clip_norm: expected a number above 0"),
        ({"noise_multiplier": 1.0}, "noise: expected a source"),
        ({"noise": np.zeros}, "noise: expected a source"),
        ({"most_colluding": 14}, "most_colluding: expected 0 to 13"),
        ({"fraction_bits": 40}, "fraction_bits"),
    ],
)
def test_terms_that_cannot_work_are_refused(choices, reason):
    with pytest.raises(SpecificationError, match=reason):
        SecureTerms(**{"clip_norm": 1.0, **choices})


def test_the_hash_of_a_model_tells_values_names_shapes_and_settings_apart(initial):
    def record(state, **settings):
        return RecordDict({"arrays": pack_state(state), "config": ConfigRecord({"server-round": 1, **settings})})

    moved = {name: value + 1e-6 * (name == "bias_1") for name, value in initial.items()}
    renamed = {name.replace("bias_1", "bias_2"): value for name, value in initial.items()}
    turned = {name: value.mT if name == "weight_0" else value for name, value in initial.items()}
    backwards = dict(reversed(initial.items()))
    hashes = [hash_content(record(state)) for state in (initial, moved, renamed, turned)]
    hashes.append(hash_content(record(initial, **{"proximal-mu": 0.0})))
    assert len(set(hashes)) == 5
    assert hash_content(record(backwards)) == hashes[0]


@pytest.mark.parametrize(
    ("choices", "neighbour"),
    [
        ({"strategy": "fedmedian"}, "choose strategy fedavg"),
        ({"strategy": "krum"}, "choose strategy fedavg"),
        ({"replies": "sum"}, "choose replies each"),
        ({"weighting": "claimed"}, "choose weighting uniform"),
    ],
)
def test_a_federation_refuses_what_secure_sums_exclude(task, initial, choices, neighbour):
    with pytest.raises(IncompatibleChoicesError, match=neighbour):
        train_federated(task, TRAINING, FederatedSettings(**choices), initial=initial, secure=TERMS)


def test_a_federation_needs_three_devices_and_makes_large_groups_smaller(task, initial):
    with pytest.raises(SpecificationError, match="at least 3 devices a round, got 2"):
        train_federated(task, TRAINING, FederatedSettings(clients_per_round=2), initial=initial, secure=TERMS)
    large = SecureTerms(group_size=50, clip_norm=CLIP)
    found = train_federated(task, TRAINING, FederatedSettings(n_rounds=1), initial=initial, secure=large)
    assert found.rounds[0].n_replied == 12


def test_reports_count_members_refusals_and_the_bytes_of_all_phases(task, initial):
    seen = []
    faults = FaultPlan(planted=(PlantedFault("nan", (3,)), PlantedFault("drop", (7,))), seed=2)
    assert faults.draw_phase(1, 7, 5) <= 2
    found = train_federated(
        task, TRAINING, FederatedSettings(n_rounds=1), initial=initial, secure=TERMS, faults=faults,
        on_message=lambda *told: seen.append(told),
    )  # fmt: skip
    (report,) = found.rounds
    assert (report.n_sampled, report.n_replied, report.mean_loss) == (12, 10, None)
    assert [node for node, _ in report.refused] == [FIRST_NODE + 3]
    assert "values: expected all finite" in report.refused[0][1]
    down = sum(n_bytes for sender, _, _, n_bytes, _ in seen if sender == "server")
    up = sum(n_bytes for sender, _, _, n_bytes, _ in seen if sender == "device")
    assert (report.bytes_down, report.bytes_up) == (down, up)
    assert up > 12 * 4 * 65
    kinds = [kind for sender, _, kind, _, _ in seen if sender == "server"]
    assert list(dict.fromkeys(kinds)) == ["query.identity", *PHASE_TYPES.values()]


def test_a_round_in_which_no_sum_opens_stops_the_run(task, initial):
    found = train_federated(
        task, TRAINING, FederatedSettings(), initial=initial, secure=TERMS, faults=FaultPlan(drop_probability=0.9)
    )
    assert found.rounds == ()
    assert "usable replies of at least 1 devices, got 0" in found.stopped_because


def test_a_private_sum_works_on_top(task, initial):
    private = PrivateSum(CLIP / 2, 0.0, 12, noise=lambda shape: np.zeros(shape), charge=lambda number: None)
    settings = FederatedSettings(n_rounds=3)
    plain = train_federated(task, TRAINING, settings, initial=initial, private=private)
    secure = train_federated(task, TRAINING, settings, initial=initial, private=private, secure=TERMS)
    assert max(float((plain.state[name] - secure.state[name]).abs().max()) for name in initial) < 1e-6


def test_personal_parameters_stay_on_devices(task, initial):
    policy = DevicePolicy(personal=("weight_1", "bias_1"))
    seen = []
    found = train_federated(
        task, TRAINING, FederatedSettings(n_rounds=2), initial=initial, policy=policy, secure=TERMS,
        on_message=lambda sender, receiver, kind, n_bytes, payload: seen.append(payload.get("masked")),
    )  # fmt: skip
    assert set(found.state) == {"weight_0", "bias_0"}
    assert {masked.size for masked in seen if masked is not None} == {6 * 8 + 8}
    assert float(found.personal["weight_1"].std(0).min()) > 1e-3


def test_a_run_goes_on_from_its_checkpoint(task, initial, tmp_path):
    def run(n_rounds, **options):
        settings = FederatedSettings(n_rounds=n_rounds, clients_per_round=10)
        return train_federated(task, TRAINING, settings, initial=initial, secure=TERMS, **options)

    whole = run(3)
    run(2, checkpoint=tmp_path / "rounds")
    resumed = run(3, checkpoint=tmp_path / "rounds")
    assert len(resumed.rounds) == 3
    assert all(torch.equal(whole.state[name], resumed.state[name]) for name in initial)


def test_a_device_that_fails_in_training_fails_alone_or_loudly(task, initial):
    class Broken:
        fleet, n_devices = task.fleet, task.n_devices

        def load(self, devices):
            if 5 in devices:
                raise ValueError("secret reading 123.4")
            return task.load(devices)

    with pytest.raises(ValueError, match="secret"):
        ask(place(Broken())[0], initial)
    grid, _ = place(Broken(), strict=False)
    ask(grid, initial)
    told = {node: why for group in grid.sums for node, why in group.refused.items()}
    assert told == {FIRST_NODE + 5: "mask: it failed"}
    assert sum(len(group.members) for group in grid.sums) == 11
