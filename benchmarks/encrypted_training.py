"""Encrypted training beside TenSEAL's tutorial way and beside plaintext: a logistic regression, epoch by epoch.

The training set is a simulated clinical table of 780 records with 9 correlated features, drawn from a logistic truth.
The tutorial way is one ciphertext per record, `dot`, `polyval` and a sum, with that tutorial's parameters. An epoch of
it takes a minute, so it is timed on two dozen records and counted up to all of them; encrypting, refreshing and
decrypting weights, which do not depend on records, are not. Both hold the same key on the side of the records, both
refresh the weights every epoch.

An epoch is all of it, both sides: encrypting weights, computing, writing, decrypting. Processor time, medians of turns
taken in one process. Accuracy is on held-out rows, beside the same arithmetic in the clear and the exact sigmoid.

Run: python benchmarks/encrypted_training.py [--full]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from twinlab.protection.homomorphic.encrypted_training import (
    TrainingKeyHolder,
    TrainingServer,
    plan_training,
    train_encrypted,
    train_plainly,
)

try:
    import tenseal as ts
except ImportError:
    ts = None

N_RECORDS, N_FEATURES, N_HELD_OUT = 780, 9, 20_000
#: Ring degree, primes, scale.
TUTORIAL = (8192, [40, 21, 21, 21, 21, 21, 21, 40], 21)
TUTORIAL_RECORDS = 24
SIGMOID = [0.5, 0.197, 0, -0.004]

Times = dict[str, list[float]]


def draw_table(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows and labels to train on, and to test on: standardised by the former, clipped at 6."""
    draw = np.random.default_rng(seed)
    mixing = np.eye(N_FEATURES) + 0.5 * draw.normal(size=(N_FEATURES, N_FEATURES)) / np.sqrt(N_FEATURES)
    truth = 0.4 * draw.normal(size=N_FEATURES)
    rows = draw.normal(size=(N_RECORDS + N_HELD_OUT, N_FEATURES)) @ mixing
    labels = (draw.uniform(size=len(rows)) < 1 / (1 + np.exp(-rows @ truth - 0.2))).astype(float)
    known = rows[:N_RECORDS]
    rows = np.clip((rows - known.mean(0)) / known.std(0), -6, 6)
    return rows[:N_RECORDS], labels[:N_RECORDS], rows[N_RECORDS:], labels[N_RECORDS:]


class Ours:
    """One plan, set up, records stored."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray, *, quantum_safe: bool) -> None:
        self.rows, self.labels = rows, labels
        self.plan = plan_training(*rows.shape, quantum_safe=quantum_safe)
        begin = time.process_time()
        self.key_holder = TrainingKeyHolder(self.plan)
        keys = self.key_holder.public_bytes()
        self.server = TrainingServer.from_bytes(keys, plan=self.plan, secret=self.key_holder.secret)
        self.set_up_ms, self.set_up_bytes = 1000 * (time.process_time() - begin), len(keys)
        begin = time.process_time()
        records = self.key_holder.encrypt_records(rows, labels)
        self.encrypt_ms, self.data_bytes = 1000 * (time.process_time() - begin), len(records)
        self.server.store_records(records)
        self.weights = np.linspace(-0.3, 0.3, N_FEATURES + 1)
        self.epoch_bytes = 0
        self.times: Times = {"epoch": [], "server": [], "key holder": []}

    def run_epoch(self) -> None:
        """Weights there, gradient back."""
        begin = time.process_time()
        sent = self.key_holder.encrypt_weights(self.weights)
        encrypted = time.process_time()
        reply = self.server.answer(sent)
        answered = time.process_time()
        self.gradient = self.key_holder.decrypt_gradient(reply)
        end = time.process_time()
        self.epoch_bytes = len(sent) + len(reply)
        self.times["epoch"].append(end - begin)
        self.times["server"].append(answered - encrypted)
        self.times["key holder"].append(end - answered + encrypted - begin)

    def find_error(self) -> float:
        """Of the mean gradient."""
        return find_gradient_error(self.rows, self.labels, self.weights, self.gradient)


class Tutorial:
    """TenSEAL's way: a ciphertext per record, a few of them."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray) -> None:
        ring_degree, prime_bits, scale_bits = TUTORIAL
        self.rows, self.labels = rows[:TUTORIAL_RECORDS], labels[:TUTORIAL_RECORDS]
        begin = time.process_time()
        self.context = ts.context(ts.SCHEME_TYPE.CKKS, ring_degree, coeff_mod_bit_sizes=prime_bits, n_threads=1)
        self.context.global_scale = 2.0**scale_bits
        self.context.generate_galois_keys()
        self.set_up_ms = 1000 * (time.process_time() - begin)
        self.set_up_bytes = len(self.context.serialize())
        begin = time.process_time()
        self.records = [ts.ckks_vector(self.context, row.tolist()) for row in self.rows]
        self.marks = [ts.ckks_vector(self.context, [label]) for label in self.labels.tolist()]
        self.encrypt_ms = 1000 * (time.process_time() - begin) * N_RECORDS / TUTORIAL_RECORDS
        n_bytes = sum(len(each.serialize()) for each in (*self.records, *self.marks))
        self.data_bytes = n_bytes * N_RECORDS // TUTORIAL_RECORDS
        self.weights = np.linspace(-0.3, 0.3, N_FEATURES + 1)
        self.epoch_bytes = 0
        self.times: Times = {"epoch": [], "server": [], "key holder": []}

    def run_epoch(self) -> None:
        """The part that depends on records is counted up to all of them."""
        begin = time.process_time()
        weight = ts.ckks_vector(self.context, self.weights[:-1].tolist())
        bias = ts.ckks_vector(self.context, self.weights[-1:].tolist())
        encrypted = time.process_time()
        total_weight: Any = 0
        total_bias: Any = 0
        for record, mark in zip(self.records, self.marks, strict=True):
            residual = (record.dot(weight) + bias).polyval(SIGMOID) - mark
            total_weight = record * residual + total_weight
            total_bias = residual + total_bias
        answered = time.process_time()
        gradient = np.array([*total_weight.decrypt(), *total_bias.decrypt()])
        end = time.process_time()
        self.gradient = gradient / len(self.rows)
        self.epoch_bytes = sum(len(each.serialize()) for each in (weight, bias, total_weight, total_bias))
        on_server = (answered - encrypted) * N_RECORDS / TUTORIAL_RECORDS
        on_holder = end - answered + encrypted - begin
        self.times["epoch"].append(on_server + on_holder)
        self.times["server"].append(on_server)
        self.times["key holder"].append(on_holder)

    def find_error(self) -> float:
        """Of the mean gradient of its records."""
        return find_gradient_error(self.rows, self.labels, self.weights, self.gradient)


def find_gradient_error(rows: np.ndarray, labels: np.ndarray, weights: np.ndarray, gradient: np.ndarray) -> float:
    """Largest difference to the same arithmetic in the clear."""
    padded = np.column_stack([rows, np.ones(len(rows))])
    logits = padded @ weights
    plain = padded.T @ (SIGMOID[0] + SIGMOID[1] * logits + SIGMOID[3] * logits**3 - labels) / len(rows)
    return float(np.abs(gradient - plain).max())


class Plain:
    """An epoch of numpy: a training of many, divided."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray, sigmoid: Any) -> None:
        self.rows, self.labels, self.sigmoid = rows, labels, sigmoid
        self.plan = plan_training(*rows.shape, n_epochs=200)
        self.encrypt_ms = self.set_up_ms = 0.0
        self.data_bytes = self.epoch_bytes = self.set_up_bytes = 0
        self.times: Times = {"epoch": [], "server": [], "key holder": []}

    def run_epoch(self) -> None:
        """Whoever has the records does it all."""
        begin = time.process_time()
        train_plainly(self.rows, self.labels, self.plan, sigmoid=self.sigmoid)
        seconds = (time.process_time() - begin) / self.plan.n_epochs
        self.times["epoch"].append(seconds)
        self.times["server"].append(0.0)
        self.times["key holder"].append(seconds)

    def find_error(self) -> float:
        """None to speak of."""
        return 0.0


Way = Ours | Tutorial | Plain


def measure_row(name: str, way: Way) -> dict[str, Any]:
    """One row of the table, milliseconds and bytes."""
    middle = {part: 1000 * statistics.median(values) for part, values in way.times.items()}
    return {
        "way": name,
        "encrypt_data_ms": way.encrypt_ms,
        "epoch_ms": middle["epoch"],
        "server_ms": middle["server"],
        "key_holder_ms": middle["key holder"],
        "data_bytes": way.data_bytes,
        "epoch_bytes": way.epoch_bytes,
        "set_up_bytes": way.set_up_bytes,
        "set_up_ms": way.set_up_ms,
        "gradient_error": way.find_error(),
    }


def find_accuracies(
    rows: np.ndarray, labels: np.ndarray, held_out: np.ndarray, truth: np.ndarray
) -> tuple[dict[str, float], float, float]:
    """By way of training, on held-out rows; largest difference of a weight, and what was stated."""
    plan = plan_training(*rows.shape)
    encrypted = train_encrypted(rows, labels, plan)
    plain = {sigmoid: train_plainly(rows, labels, plan, sigmoid=sigmoid) for sigmoid in ("cubic", "exact")}
    found = {"encrypted": encrypted.find_probabilities(held_out)}
    found |= {f"plain, {sigmoid} sigmoid": each.find_probabilities(held_out) for sigmoid, each in plain.items()}
    away = float(np.abs(np.append(encrypted.weights, encrypted.bias) - plain["cubic"].path[-1]).max())
    return (
        {name: float(((probability > 0.5) == truth).mean()) for name, probability in found.items()},
        away,
        plan.weight_error,
    )


def show(table: list[dict[str, Any]]) -> None:
    """The table, for people."""
    print(
        f"{'':34}{'encrypt ms':>11}{'epoch ms':>11}{'server ms':>11}{'holder ms':>11}{'data bytes':>13}"
        f"{'epoch bytes':>13}{'set-up bytes':>14}{'error':>9}"
    )
    for row in table:
        print(
            f"{row['way']:34}{row['encrypt_data_ms']:11.1f}{row['epoch_ms']:11.3f}{row['server_ms']:11.1f}"
            f"{row['key_holder_ms']:11.3f}{row['data_bytes']:13,}{row['epoch_bytes']:13,}{row['set_up_bytes']:14,}"
            f"{row['gradient_error']:9.1e}"
        )


def main() -> None:
    """Measure and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 rounds (the default)")
    parser.add_argument("--full", action="store_true", help="25 rounds")
    n_rounds = 25 if parser.parse_args().full else 5
    rows, labels, held_out, truth = draw_table()
    ways: dict[str, Way] = {
        "ours": Ours(rows, labels, quantum_safe=False),
        "ours, quantum-safe": Ours(rows, labels, quantum_safe=True),
        "plain numpy, cubic sigmoid": Plain(rows, labels, "cubic"),
        "plain numpy, exact sigmoid": Plain(rows, labels, "exact"),
    }
    if ts is not None:
        ways["tutorial, counted up"] = Tutorial(rows, labels)
    turns: list[Callable[[], None]] = [way.run_epoch for way in ways.values()]
    for _ in range(n_rounds):
        for turn in turns:
            turn()
    table = [measure_row(name, way) for name, way in ways.items()]
    show(table)
    accuracies, away, stated = find_accuracies(rows, labels, held_out, truth)
    by_way = {row["way"]: row for row in table}
    values: dict[str, float | None] = {
        "ratio_epoch": None,
        "accuracy_difference": round(abs(accuracies["encrypted"] - accuracies["plain, cubic sigmoid"]), 6),
    }
    context: dict[str, Any] = {
        "records": N_RECORDS,
        "features": N_FEATURES,
        "held_out": N_HELD_OUT,
        "rounds": n_rounds,
        "threads": 1,
        "time": "process time of an epoch, both sides, median",
        "accuracy": accuracies,
        "weight_difference": away,
        "weight_error_stated": stated,
        "table": table,
        "python": platform.python_version(),
    }
    if ts is None:
        context["tenseal"] = "not installed"
    else:
        theirs, mine = by_way["tutorial, counted up"], by_way["ours"]
        values["ratio_epoch"] = round(theirs["epoch_ms"] / mine["epoch_ms"], 1)
        context |= {
            "tenseal": ts.__version__,
            "tutorial": f"timed on {TUTORIAL_RECORDS} records, counted up to {N_RECORDS}; error is of those records",
            "ratio_server": round(theirs["server_ms"] / mine["server_ms"], 1),
            "ratio_epoch_quantum_safe": round(theirs["epoch_ms"] / by_way["ours, quantum-safe"]["epoch_ms"], 1),
            "ratio_encrypt_data": round(theirs["encrypt_data_ms"] / mine["encrypt_data_ms"], 1),
            "ratio_data_bytes": round(theirs["data_bytes"] / mine["data_bytes"], 1),
        }
    print(json.dumps({"benchmark": "encrypted_training", "values": values, "context": context}))


if __name__ == "__main__":
    main()
