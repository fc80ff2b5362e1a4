"""What we rely on in Flower. The last test runs the others in the newest Flower that is supported."""

import importlib.metadata
import logging
import os
import pickle
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from twinlab.fleet import Fleet
from twinlab.protection.federated import flower
from twinlab.protection.federated.federation import FederatedSettings, run_strategy, train_federated
from twinlab.protection.federated.flower import (
    Array,
    ArrayRecord,
    ClientApp,
    ConfigRecord,
    FedAvg,
    Message,
    MetricRecord,
    ReadOnlyArray,
    RecordDict,
    count_bytes,
    number_message,
    open_task,
    pack_state,
    run_quietly,
    unpack_state,
)
from twinlab.protection.federated.grid import EmbeddedGrid
from twinlab.protection.federated.task import DeviceRows, LocalTraining, RowsTask

HIGHEST = "1.42.0"


def test_telemetry_and_update_checks_are_off_unless_somebody_wants_them():
    code = (
        "import os; os.environ['FLWR_DISABLE_UPDATE_CHECK'] = 'mine'\n"
        "import twinlab.protection.federated.flower\n"
        "print(os.environ['FLWR_TELEMETRY_ENABLED'], os.environ['FLWR_DISABLE_UPDATE_CHECK'], "
        "os.environ['RAY_USAGE_STATS_ENABLED'])"
    )
    names = ("FLWR_TELEMETRY_ENABLED", "FLWR_DISABLE_UPDATE_CHECK", "RAY_USAGE_STATS_ENABLED")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["0", "mine", "0"]


def test_a_message_can_be_made_inside_a_task_and_not_outside():
    with open_task():
        message = Message(RecordDict(), dst_node_id=7, message_type="train")
        number_message(message, "m1")
        reply = Message(RecordDict(), reply_to=message)
    assert reply.metadata.reply_to_message_id == "m1"
    assert reply.metadata.src_node_id == 7
    with pytest.raises(RuntimeError, match="not set"):
        Message(RecordDict(), dst_node_id=7, message_type="train")


def test_a_task_gives_back_the_identity_that_was_there():
    with open_task(run_id=3):
        with pytest.raises(ZeroDivisionError), open_task(run_id=5):
            _ = Message(RecordDict(), dst_node_id=7, message_type="train").metadata.run_id / 0
        with open_task(run_id=5):
            assert Message(RecordDict(), dst_node_id=7, message_type="train").metadata.run_id == 5
        assert Message(RecordDict(), dst_node_id=7, message_type="train").metadata.run_id == 3


def test_a_second_run_in_another_thread_waits():
    order = []

    def run():
        with open_task(run_id=2):
            order.append("second")

    with open_task(run_id=1):
        other = threading.Thread(target=run)
        other.start()
        other.join(0.05)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_the_log_level_and_the_global_generator_are_given_back():
    logger = logging.getLogger("flwr")
    level, state = logger.level, random.getstate()
    with run_quietly():
        assert not logger.isEnabledFor(logging.ERROR)
    with pytest.raises(ZeroDivisionError), run_quietly():
        _ = random.random() / 0
    assert logger.level == level
    assert random.getstate() == state


def test_a_read_only_array_is_a_flower_array_in_all_but_haste():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    ours, theirs = ReadOnlyArray(values), Array(values)
    assert (ours.dtype, ours.shape, ours.stype, ours.data) == (theirs.dtype, theirs.shape, theirs.stype, theirs.data)
    assert ours.deflate() == theirs.deflate(), "a SuperLink must be able to read it back"
    assert type(pickle.loads(pickle.dumps(ours))) is Array
    assert np.array_equal(pickle.loads(pickle.dumps(ours)).numpy(), values)
    assert np.array_equal(ArrayRecord({"a": ours}).to_numpy_ndarrays()[0], values)
    assert ours.numpy() is ours.numpy()
    with pytest.raises(ValueError, match="read-only"):
        ours.numpy()[0] = 1
    with pytest.raises(TypeError, match="make a new Array"):
        ours.data = b""
    assert values.flags.writeable, "the caller's own array stays as it was"


def test_a_state_survives_the_way_through_a_record_and_bytes():
    state = Fleet(1, (3, 4, 1)).init([0])
    record = pack_state(state)
    through_bytes = ArrayRecord({name: Array(values.dtype, values.shape, values.stype, values.data)
                                 for name, values in record.items()})  # fmt: skip
    for found in (unpack_state(record), unpack_state(through_bytes)):
        assert all(torch.equal(found[name], state[name]) for name in state)
        assert list(found) == list(state)


def test_bytes_are_counted_without_framing():
    content = RecordDict({
        "arrays": ArrayRecord({"a": ReadOnlyArray(np.zeros((5, 3), dtype=np.float32))}),
        "metrics": MetricRecord({"x": 1.5, "many": [1, 2, 3]}),
        "config": ConfigRecord({"text": "four", "raw": b"12"}),
    })  # fmt: skip
    assert count_bytes(content) == 60 + 8 + 24 + 4 + 2


def test_an_unguarded_strategy_of_flower_runs_on_the_embedded_grid():
    app = ClientApp()

    @app.train()
    def train(message, context):
        added = {name: values.numpy() + 1 for name, values in message.content["arrays"].items()}
        return Message(
            RecordDict({
                "arrays": ArrayRecord({name: Array(values) for name, values in added.items()}),
                "metrics": MetricRecord({"num-examples": 1}),
            }),
            reply_to=message,
        )  # fmt: skip

    with run_quietly():
        strategy = FedAvg(fraction_evaluate=0.0)
    initial = Fleet(1, (3, 4, 1)).init([0])
    found = unpack_state(run_strategy(strategy, EmbeddedGrid(app, 5), initial, 3).arrays)
    for name, value in initial.items():
        torch.testing.assert_close(found[name], value + 3)


@pytest.mark.parametrize(
    "strategy", ["fedavg", "fedavgm", "fedprox", "fedmedian", "fedtrimmedavg", "krum", "multikrum"]
)
def test_each_strategy_learns_through_the_door(strategy):
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(9, 32, 4, generator=draw)
    task = RowsTask(Fleet(1, (4, 6, 1)), DeviceRows(inputs, inputs[..., :1].clone()))
    settings = FederatedSettings(
        n_rounds=8, strategy=strategy, n_malicious=1, server_momentum=0.3, proximal=0.1, trim_share=0.2
    )
    found = train_federated(task, LocalTraining(n_epochs=2), settings, initial=task.fleet.init([0]))
    assert found.rounds[-1].mean_loss < 0.7 * found.rounds[0].mean_loss


def test_the_door_names_what_it_offers():
    assert sorted(flower.__all__) == sorted(set(flower.__all__))
    assert all(hasattr(flower, name) for name in flower.__all__)


@pytest.mark.thorough
def test_all_of_this_holds_in_the_highest_supported_flower(tmp_path):
    here = importlib.metadata.version("flwr")
    if here == HIGHEST:
        pytest.skip(f"flwr {HIGHEST} is what the other tests just ran on")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path), f"flwr=={HIGHEST}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"flwr {HIGHEST} cannot be had here: {done.stderr.strip().splitlines()[-1]}")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    version = [sys.executable, "-c", "import importlib.metadata as m; print(m.version('flwr'))"]
    asked = subprocess.run(version, capture_output=True, text=True, env=environment, check=True)
    assert asked.stdout.strip() == HIGHEST
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout
