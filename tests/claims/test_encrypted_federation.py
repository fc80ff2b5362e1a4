"""Claim: devices are added under encryption: the model is that of plain sums, and the server reads no update."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from twinlab.errors import EncryptionError
from twinlab.fleet import Fleet
from twinlab.learn_choice import EncryptedSum
from twinlab.pipeline.encrypted_parties import make_addition, plan_addition, read_opening
from twinlab.protection.federated.device import DeviceProgram, make_client_app
from twinlab.protection.federated.encrypted_grid import OPENING, TOTAL
from twinlab.protection.federated.encrypted_terms import EncryptedTerms
from twinlab.protection.federated.fault import FaultPlan, PlantedFault
from twinlab.protection.federated.federation import FederatedSettings, train_federated
from twinlab.protection.federated.flower import ConfigRecord, Message, RecordDict, open_task, pack_state, unpack_arrays
from twinlab.protection.federated.grid import FIRST_NODE, EmbeddedGrid
from twinlab.protection.federated.private_sum import PrivateSum
from twinlab.protection.federated.task import DevicePolicy, DeviceRows, LocalTraining, RowsTask
from twinlab.protection.homomorphic.encrypted_sum import SumKeyHolder, SumServer, combine_openings

#: Of each look at numbers below; a run of this file takes about twenty.
FALSE_ALARM_RATE = 1e-8
N_DEVICES, CLIP = 20, 0.5
TERMS = EncryptedTerms(clip_norm=CLIP)
POLICY = DevicePolicy(clip_norm=CLIP, reports=())
FLOAT32 = 1.2e-7


def make_task():
    draw = torch.Generator().manual_seed(0)
    rule = torch.randn(40, 1, generator=draw)
    inputs = torch.randn(N_DEVICES, 32, 40, generator=draw) + 0.5 * torch.randn(N_DEVICES, 1, 40, generator=draw)
    targets = (inputs @ rule + 0.3 * torch.randn(N_DEVICES, 32, 1, generator=draw) > 0).float()
    return RowsTask(Fleet(1, (40, 24, 1), loss="logistic"), DeviceRows(inputs, targets))


TASK = make_task()
INITIAL = TASK.fleet.init([0])
N_PARAMETERS = sum(value.numel() for value in INITIAL.values())


class Recorder:
    """Keeps all that crosses."""

    def __init__(self):
        self.messages = []

    def __call__(self, *message):
        self.messages.append(message)

    def list_payloads(self, sender, receiver, kind=None):
        return [each[4] for each in self.messages if each[:2] == (sender, receiver) and kind in (None, each[2])]


class Keeper:
    """What a party was made from, for a test that plays this party's rival."""

    def __init__(self, terms=TERMS, **choice):
        self.choice, self.terms = EncryptedSum(**choice), terms
        self.plan = plan_addition(self.choice, terms, N_PARAMETERS, N_DEVICES)
        self.heard = Recorder()
        self.addition = make_addition(self.choice, terms, self.plan, N_DEVICES, self.heard)


def train(keeper=None, n_rounds=3, heard=None, **options):
    settings = FederatedSettings(n_rounds=n_rounds, seed=7, strict=False, **options.pop("settings", {}))
    return train_federated(
        TASK,
        LocalTraining(),
        settings,
        initial=INITIAL,
        policy=POLICY,
        encrypted=keeper and keeper.addition,
        on_message=heard or (keeper and keeper.heard),
        **options,
    )


def flatten(arrays, start):
    return np.concatenate([(arrays[name].astype(float) - start[name]).ravel() for name in sorted(arrays)])


def train_plainly():
    """Each device's update of the first round by node, as a plain server gets it."""
    program = DeviceProgram(TASK, LocalTraining(), POLICY)
    content = RecordDict({"arrays": pack_state(INITIAL), "config": ConfigRecord({"server-round": 1})})
    start = {name: value[0].numpy() for name, value in INITIAL.items()}
    with open_task():
        grid = EmbeddedGrid(make_client_app(TASK, LocalTraining(), POLICY), N_DEVICES, program=program)
        sent = [Message(content, dst_node_id=node, message_type="train") for node in grid.get_node_ids()]
        replies = grid.send_and_receive(sent)
    return {reply.metadata.src_node_id: flatten(unpack_arrays(reply.content["arrays"]), start) for reply in replies}


UPDATES = train_plainly()


def shorten(update, longest):
    return update * min(1.0, longest / np.linalg.norm(update))


def read_sums(keeper):
    """What the server read, from the record alone."""
    return [
        read_opening(payload["opening"].tobytes(), N_PARAMETERS)
        for payload in keeper.heard.list_payloads(keeper.addition.openers[0].name, "server", OPENING)
    ]


@pytest.mark.parametrize("dropout", [0.0, 0.25])
def test_the_model_is_that_of_plain_averaging_to_the_stated_rounding(dropout):
    faults = FaultPlan(dropout, seed=3)
    keeper = Keeper()
    plain, found = train(faults=faults), train(keeper, faults=faults)
    per_round = keeper.plan.find_worst_error(1) + FLOAT32
    lost = CLIP - TERMS.find_longest(keeper.plan.step, N_PARAMETERS)
    assert lost < 1e-3 * CLIP
    off = max(float((plain.state[name] - found.state[name]).abs().max()) for name in INITIAL)
    # errors of early rounds are carried through later ones, which train from there
    assert off < 2 * 3 * (per_round + lost)
    assert [report.n_replied for report in plain.rounds] == [report.n_replied for report in found.rounds]
    assert max(float((found.state[name] - INITIAL[name]).abs().max()) for name in INITIAL) > 1e-2


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_the_sum_is_exact_bit_for_bit_in_steps_of_the_plan(bits):
    keeper = Keeper(bits=bits)
    plan = keeper.plan
    train(keeper, n_rounds=1, faults=FaultPlan(planted=(PlantedFault("drop", (1, 5)),)))
    (found,) = read_sums(keeper)
    longest = TERMS.find_longest(plan.step, N_PARAMETERS)
    members = [node for node in UPDATES if node - FIRST_NODE not in (1, 5)]
    wanted = sum(plan.round_to_integers(shorten(UPDATES[node], longest)) for node in members)
    assert found.n_devices == 18
    assert np.array_equal(np.rint(found.values / plan.step).astype(np.int64), wanted)
    assert np.abs(wanted).max() > 10


def find_alike(payloads, updates):
    """Strongest correlation of what devices sent, read as bytes, with an update; the reader knows all updates."""
    best = 0.0
    for data in payloads:
        sent = np.frombuffer(data, dtype=np.uint8)
        for width in (1, 2, 4, 8):
            words = sent[len(sent) % width :].view(f"<u{width}").astype(float)
            for begin in range(0, min(len(words) - N_PARAMETERS, 4000), 7):
                part = words[begin : begin + N_PARAMETERS]
                best = max(best, *(abs(np.corrcoef(part, update)[0, 1]) for update in updates[:2]))
    return best


def test_the_server_reads_no_update_and_has_no_key_that_opens_one():
    """From the record alone: all that it got of a device is ciphertext, under a key of which it has nothing."""
    keeper = Keeper()
    train(keeper, n_rounds=2)
    plan, heard = keeper.plan, keeper.heard
    seen = Counter((sender, kind) for sender, receiver, kind, *_ in heard.messages if receiver == "server")
    assert seen == {("device", "train"): 2 * N_DEVICES, ("key holder", OPENING): 2}
    payloads = heard.list_payloads("device", "server")
    assert all(set(payload) == {"node", "encrypted"} for payload in payloads)
    sent = [payload["encrypted"].tobytes() for payload in payloads]
    assert len(set(sent)) == len(sent)
    # a key of one's own opens nothing, and the server's side of the protocol has none
    server = SumServer(plan)
    for data in sent[:3]:
        with pytest.raises(EncryptionError):
            SumKeyHolder(plan).read(server.add([data]), fewest=1)
    assert not hasattr(keeper.addition.adder, "read")
    assert heard.list_payloads("key holder", "server", "keys.shared") == []
    longest = TERMS.find_longest(plan.step, N_PARAMETERS)
    updates = [shorten(update, longest) for update in UPDATES.values()]
    chance = 8 / np.sqrt(N_PARAMETERS)  # of about 10^4 looks, false alarm below 10^-9
    assert find_alike(sent[:1], updates) < chance
    # the same look finds an update that was packed and not encrypted
    packed = plan.round_to_integers(updates[0]).astype("<i8") + plan.largest_integer
    assert find_alike([b"\x00" * 56 + packed.tobytes() + b"\x00" * 64], updates) > 0.99


def test_the_key_holder_gets_one_total_a_round_and_reads_sums_alone():
    keeper = Keeper()
    found = train(keeper, faults=FaultPlan(0.2, seed=5))
    got = Counter((sender, kind) for sender, receiver, kind, *_ in keeper.heard.messages if receiver == "key holder")
    assert got == {("server", TOTAL): 3}
    assert [each.n_devices for each in read_sums(keeper)] == [report.n_replied for report in found.rounds]
    assert min(report.n_replied for report in found.rounds) < N_DEVICES


@pytest.mark.parametrize("key_holder", ["third_party", "devices"])
def test_one_device_with_the_server_opens_updates_only_where_all_devices_hold_the_key(key_holder):
    """What the guarantee of a key for all says: any device reads what the server was sent of another."""
    keeper = Keeper(key_holder=key_holder)
    train(keeper, n_rounds=1)
    plan = keeper.plan
    data = keeper.heard.list_payloads("device", "server", "train")[4]["encrypted"].tobytes()
    alone = SumServer(plan).add([data])
    held = [each for each in keeper.addition.openers if each.name == "device"]
    if key_holder == "third_party":
        assert held == []  # a device has the public key and nothing that reads
        assert not hasattr(keeper.addition.encrypter, "open")
        return
    opened = held[0]._holder.read(alone, fewest=1)
    wanted = shorten(UPDATES[FIRST_NODE + 4], TERMS.find_longest(plan.step, N_PARAMETERS))
    assert np.abs(opened.values - wanted).max() <= plan.find_worst_error(1)


def test_trustees_open_together_or_not_at_all():
    keeper = Keeper(threshold=True, n_trustees=3)
    found = train(keeper, n_rounds=1)
    assert found.is_complete
    total = keeper.heard.list_payloads("server", "trustee 1", TOTAL)[0]["total"].tobytes()
    openings = [
        keeper.heard.list_payloads(f"trustee {k}", "server", OPENING)[0]["opening"].tobytes() for k in (1, 2, 3)
    ]
    assert combine_openings(keeper.plan, total, openings).n_devices == N_DEVICES
    for left_out in range(3):
        with pytest.raises(EncryptionError, match="all are needed"):
            combine_openings(keeper.plan, total, openings[:left_out] + openings[left_out + 1 :])


NOISE_MULTIPLIER, FEWEST = 1.0, 8


def draw_noise(shape):
    return np.random.default_rng().standard_normal(shape)


def make_noisy_keeper(multiplier=NOISE_MULTIPLIER):
    return Keeper(EncryptedTerms(clip_norm=CLIP, fewest=FEWEST, noise=draw_noise, noise_multiplier=multiplier))


@pytest.mark.parametrize("n_lost", [0, N_DEVICES - FEWEST])
def test_noise_of_devices_suffices_in_any_sum_that_the_key_holder_reads(n_lost):
    keeper = make_noisy_keeper()
    lost = tuple(range(n_lost))
    train(keeper, n_rounds=1, faults=FaultPlan(planted=(PlantedFault("drop", lost),) if lost else ()))
    (found,) = read_sums(keeper)
    assert found.n_devices == N_DEVICES - n_lost
    longest = keeper.terms.find_longest(keeper.plan.step, N_PARAMETERS)
    exact = sum(shorten(update, longest) for node, update in UPDATES.items() if node - FIRST_NODE >= n_lost)
    stated = NOISE_MULTIPLIER * CLIP * np.sqrt(found.n_devices / FEWEST)
    assert stated >= NOISE_MULTIPLIER * CLIP
    statistic = float(np.square((found.values - exact) / stated).sum())
    assert FALSE_ALARM_RATE / 2 < chi2.cdf(statistic, N_PARAMETERS) < 1 - FALSE_ALARM_RATE / 2
    # enough numbers to count: the same test refuses four fifths of the stated size
    assert chi2.sf(statistic / 0.8**2, N_PARAMETERS) < 1e-8


def test_with_one_device_fewer_there_would_be_too_little_noise_and_nobody_reads():
    keeper = make_noisy_keeper()
    lost = tuple(range(N_DEVICES - FEWEST + 1))
    found = train(keeper, n_rounds=1, faults=FaultPlan(planted=(PlantedFault("drop", lost),)))
    assert not found.is_complete
    assert keeper.heard.list_payloads("server", "key holder") == []
    assert keeper.heard.list_payloads("key holder", "server") == []


def test_a_private_run_with_noise_at_devices_adds_none_at_the_server_and_refuses_no_long_sum():
    keeper = make_noisy_keeper()
    paid = []
    private = PrivateSum(CLIP, NOISE_MULTIPLIER, N_DEVICES, None, paid.append, is_noisy_already=True)
    found = train(keeper, n_rounds=1, private=private, settings={"max_update_norm": CLIP})
    assert paid == [1]
    assert found.is_complete
    moved = np.concatenate([(found.state[name] - INITIAL[name]).double().numpy().ravel() for name in sorted(INITIAL)])
    (told,) = read_sums(keeper)
    assert np.abs(N_DEVICES * moved - told.values).max() < N_DEVICES * FLOAT32 * 10
