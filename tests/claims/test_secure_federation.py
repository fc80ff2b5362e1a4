"""Claim: devices are added over Flower messages so that the server gets the plain mean, and no update to read."""

import time

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from twinlab.fleet import Fleet
from twinlab.protection.federated.device import DeviceProgram, make_client_app
from twinlab.protection.federated.fault import FaultPlan, PlantedFault
from twinlab.protection.federated.federation import FederatedSettings, train_federated
from twinlab.protection.federated.flower import (
    ConfigRecord,
    Message,
    RecordDict,
    open_task,
    pack_state,
    unpack_arrays,
)
from twinlab.protection.federated.grid import FIRST_NODE, EmbeddedGrid
from twinlab.protection.federated.private_sum import PrivateSum
from twinlab.protection.federated.secure_device import SecureProgram, make_secure_app
from twinlab.protection.federated.secure_grid import SecureGrid
from twinlab.protection.federated.secure_terms import SecureTerms
from twinlab.protection.federated.task import DevicePolicy, DeviceRows, LocalTraining, RowsTask

#: Of each look at numbers below; a run of this file takes about thirty.
FALSE_ALARM_RATE = 1e-8
N_DEVICES, CLIP = 60, 0.5
TERMS = SecureTerms(clip_norm=CLIP)
POLICY = DevicePolicy(clip_norm=CLIP, reports=())
#: Rounding of one float32 number of the size of these weights.
FLOAT32 = 1.2e-7


def make_task(n_devices=N_DEVICES, width=24):
    draw = torch.Generator().manual_seed(0)
    rule = torch.randn(40, 1, generator=draw)
    inputs = torch.randn(n_devices, 32, 40, generator=draw) + 0.5 * torch.randn(n_devices, 1, 40, generator=draw)
    targets = (inputs @ rule + 0.3 * torch.randn(n_devices, 32, 1, generator=draw) > 0).float()
    return RowsTask(Fleet(1, (40, width, 1), loss="logistic"), DeviceRows(inputs, targets))


TASK = make_task()
INITIAL = TASK.fleet.init([0])
N_PARAMETERS = sum(value.numel() for value in INITIAL.values())


def train(n_rounds=5, **options):
    settings = FederatedSettings(n_rounds=n_rounds, seed=7, **options.pop("settings", {}))
    return train_federated(TASK, LocalTraining(), settings, initial=INITIAL, policy=POLICY, **options)


def differ(one, other):
    return max(float((one.state[name] - other.state[name]).abs().max()) for name in INITIAL)


def write(grid, round_number=1):
    settings = ConfigRecord({"server-round": round_number})
    content = RecordDict({"arrays": pack_state(INITIAL), "config": settings})
    return [Message(content, dst_node_id=node, message_type="train") for node in grid.get_node_ids()]


def flatten(record):
    arrays = unpack_arrays(record)
    return np.concatenate([(arrays[name] - INITIAL[name][0].numpy().astype(float)).ravel() for name in sorted(arrays)])


def train_plainly(round_number=1, **options):
    """Each device's update by node, as a plain server gets it."""
    program = DeviceProgram(TASK, LocalTraining(), POLICY)
    with open_task():
        grid = EmbeddedGrid(make_client_app(TASK, LocalTraining(), POLICY), TASK.n_devices, program=program, **options)
        replies = grid.send_and_receive(write(grid, round_number))
    return {reply.metadata.src_node_id: flatten(reply.content["arrays"]) for reply in replies}


UPDATES = train_plainly()


def add_once(terms=TERMS, faults=None, round_number=1, **options):
    """One secure round: each group's sum by its members, and what the server saw from devices."""
    seen = []
    program = SecureProgram(DeviceProgram(TASK, LocalTraining(), POLICY), terms, faults)
    with open_task():
        inner = EmbeddedGrid(
            make_secure_app(program),
            TASK.n_devices,
            program=program,
            faults=faults,
            on_message=lambda sender, receiver, kind, n_bytes, payload: seen.append((sender, kind, payload)),
            **options,
        )
        grid = SecureGrid(inner, terms)
        replies = [reply for reply in grid.send_and_receive(write(grid, round_number)) if reply.has_content()]
    opened = [group.members for group in grid.sums if group.members]
    sums = {
        members: len(members) * flatten(reply.content["arrays"]) for members, reply in zip(opened, replies, strict=True)
    }
    return sums, [(kind, payload) for sender, kind, payload in seen if sender == "device"]


@pytest.fixture(scope="module")
def plain():
    return train()


def test_the_model_is_that_of_plain_averaging_to_the_rings_rounding(plain):
    secure = train(secure=TERMS)
    per_round = TERMS.ring.worst_error + FLOAT32
    assert per_round < 2e-7
    # errors of early rounds are carried through later ones, which train from there
    assert differ(plain, secure) < 2 * 5 * per_round
    assert [report.n_replied for report in secure.rounds] == [N_DEVICES] * 5
    assert max(float((secure.state[name] - INITIAL[name]).abs().max()) for name in INITIAL) > 1e-2


def test_devices_one_by_one_and_as_a_cohort_give_the_same():
    faults = FaultPlan(drop_probability=0.1, seed=3)
    cohort = train(secure=TERMS, faults=faults, n_rounds=3)
    single = train(secure=TERMS, faults=faults, n_rounds=3, settings={"mode": "sequential"})
    assert differ(cohort, single) < 1e-6
    assert [report.n_replied for report in cohort.rounds] == [report.n_replied for report in single.rounds]


def test_under_dropouts_at_all_phases_each_sum_is_that_of_its_survivors():
    fates, n_lost = set(), 0
    for round_number in range(1, 6):
        faults = FaultPlan(drop_probability=0.25, seed=1)
        dropped = set(faults.find(round_number, range(N_DEVICES)))
        fates |= {faults.draw_phase(round_number, device, 5) for device in dropped}
        sums, _ = add_once(faults=faults, round_number=round_number)
        n_lost += N_DEVICES - sum(map(len, sums))
        updates = train_plainly(round_number)
        gone = {FIRST_NODE + k for k in dropped if faults.draw_phase(round_number, k, 5) <= 2}
        for members, total in sums.items():
            assert not gone & set(members)
            exact = np.sum([updates[node] for node in members], axis=0)
            assert np.abs(total - exact).max() <= len(members) * (TERMS.ring.worst_error + 2 * FLOAT32)
    assert fates == {0, 1, 2, 3, 4}
    assert n_lost > 20


def test_a_model_trained_under_dropouts_stays_near_the_plain_one(plain):
    secure = train(secure=TERMS, faults=FaultPlan(drop_probability=0.1, seed=1))
    assert all(0 < report.n_replied < N_DEVICES for report in secure.rounds)
    assert 1e-6 < differ(plain, secure) < 2e-2


def find_chi_square(words):
    """How far bytes are from uniform: the worst of the four bytes of each number, as a tail probability."""
    worst = 1.0
    for place in range(4):
        counts = np.bincount((words >> np.uint32(8 * place)).astype(np.uint8), minlength=256)
        expected = len(words) / 256
        worst = min(worst, float(chi2.sf(((counts - expected) ** 2 / expected).sum(), 255)))
    return worst


def test_what_the_server_sees_of_an_update_is_uniform():
    _, seen = add_once()
    masked = [payload["masked"] for _, payload in seen if "masked" in payload]
    assert len(masked) == N_DEVICES
    assert all(each.dtype == np.uint32 and each.shape == (N_PARAMETERS,) for each in masked)
    assert find_chi_square(np.concatenate(masked)) > FALSE_ALARM_RATE
    # positive control: the same numbers without masks
    bare = TERMS.ring.encode(np.stack(list(UPDATES.values())))
    assert find_chi_square(bare.ravel()) < 1e-300


def find_alike(seen):
    """The largest correlation of anything that came from a device with that device's update."""
    worst = 0.0
    for _, payload in seen:
        truth = UPDATES[payload["node"]]
        arrays = [value for name, value in payload.items() if isinstance(value, np.ndarray)]
        if isinstance(payload.get("arrays"), dict):
            start = {name: value[0].numpy().astype(float) for name, value in INITIAL.items()}
            parts = [(payload["arrays"][name] - start[name]).ravel() for name in sorted(start)]
            arrays.append(np.concatenate(parts))
        for values in arrays:
            numbers = TERMS.ring.decode(values) if values.dtype == np.uint32 else values
            worst = max(worst, abs(float(np.corrcoef(numbers, truth)[0, 1])))
    return worst


def test_nothing_that_the_server_saw_contains_an_update():
    _, seen = add_once()
    kinds = {kind for kind, _ in seen}
    assert kinds == {
        *("query.identity", "query.advertise", "query.share_keys", "train.mask"),
        *("query.confirm", "query.unmask"),
    }
    for kind, payload in seen:
        assert set(payload) == {"node", "masked" if kind == "train.mask" else "secure"}
        assert kind == "train.mask" or all(isinstance(each, int) for each in payload["secure"].values())
    # a masked vector is independent of the update: correlations are about 1 / sqrt(1009)
    assert find_alike(seen) < 0.25
    # positive control: the same scan on a plain round
    plain_seen = []
    train_plainly(on_message=lambda sender, _, kind, n_bytes, payload: plain_seen.append((sender, kind, payload)))
    assert find_alike([(kind, payload) for sender, kind, payload in plain_seen if sender == "device"]) > 0.9999


NOISE_MULTIPLIER = 1.0


def draw_noise(shape):
    return np.random.default_rng().standard_normal(shape)


@pytest.mark.parametrize("drop_probability", [0.0, 0.2])
def test_noise_of_devices_has_the_stated_size_in_each_sum(drop_probability):
    terms = SecureTerms(clip_norm=CLIP, noise=draw_noise, noise_multiplier=NOISE_MULTIPLIER)
    sums, _ = add_once(terms, FaultPlan(drop_probability, seed=1))
    assert len(sums) == 3
    least = NOISE_MULTIPLIER * CLIP
    for members, total in sums.items():
        noise = total - np.sum([UPDATES[node] for node in members], axis=0)
        stated = least * np.sqrt(len(members) / terms.find_threshold(20))
        assert stated >= least
        statistic = float(np.square(noise / stated).sum())
        assert FALSE_ALARM_RATE / 2 < chi2.cdf(statistic, N_PARAMETERS) < 1 - FALSE_ALARM_RATE / 2
        # enough noise to count: the same test refuses four fifths of the stated size
        assert chi2.sf(statistic / 0.8**2, N_PARAMETERS) < 1e-8


def test_noise_is_enough_when_only_the_threshold_stays():
    terms = SecureTerms(group_size=60, clip_norm=CLIP, noise=draw_noise, noise_multiplier=NOISE_MULTIPLIER)
    early = [device for device in range(N_DEVICES) if FaultPlan().draw_phase(1, device, 5) <= 2]
    lost = tuple(early[: N_DEVICES - terms.find_threshold(N_DEVICES)])
    sums, _ = add_once(terms, FaultPlan(planted=(PlantedFault("drop", lost),)))
    ((members, total),) = sums.items()
    assert len(members) == terms.find_threshold(N_DEVICES) == 40
    noise = total - np.sum([UPDATES[node] for node in members], axis=0)
    statistic = float(np.square(noise / (NOISE_MULTIPLIER * CLIP)).sum())
    assert FALSE_ALARM_RATE / 2 < chi2.cdf(statistic, N_PARAMETERS) < 1 - FALSE_ALARM_RATE / 2


def test_colluding_devices_that_know_their_noise_leave_enough():
    terms = SecureTerms(clip_norm=CLIP, noise=draw_noise, noise_multiplier=2.0, most_colluding=4)
    for n_devices in (15, 20, 40):
        n_honest = terms.find_threshold(n_devices) - 4
        assert terms.find_noise_scale(n_devices) * np.sqrt(n_honest) == pytest.approx(2.0 * CLIP)


def test_a_private_run_with_noise_at_devices_adds_none_at_the_server_and_refuses_no_long_sum():
    terms = SecureTerms(clip_norm=CLIP, noise=draw_noise, noise_multiplier=NOISE_MULTIPLIER)
    paid = []
    private = PrivateSum(CLIP, NOISE_MULTIPLIER, N_DEVICES, None, paid.append, is_noisy_already=True)
    found = train(n_rounds=1, secure=terms, private=private, settings={"max_update_norm": CLIP})
    assert paid == [1]
    moved = [(found.state[name] - INITIAL[name]).double().numpy().ravel() for name in sorted(INITIAL)]
    noise = N_DEVICES * np.concatenate(moved) - np.sum(list(UPDATES.values()), axis=0)
    stated = NOISE_MULTIPLIER * CLIP * np.sqrt(N_DEVICES / terms.find_threshold(20))
    statistic = float(np.square(noise / stated).sum())
    assert FALSE_ALARM_RATE / 2 < chi2.cdf(statistic, N_PARAMETERS) < 1 - FALSE_ALARM_RATE / 2


def test_a_group_of_20_takes_well_under_half_a_second():
    add_once()
    begin = time.process_time()
    sums, _ = add_once()
    assert len(sums) == 3
    assert (time.process_time() - begin) / len(sums) < 0.5
