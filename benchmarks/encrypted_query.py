"""Encrypted queries beside TenSEAL's tutorial way and beside plaintext, on the same models and rows.

The tutorial way is one ciphertext per question and `CKKSVector.dot` or `mm`, with parameters under which its answers
are right (those of its first tutorial are not: see the error in their row). Ours are the plans that `plan` offers.
Times of ratios are the server's computing alone, per question, processor time, medians of turns taken in one process;
loading, writing and the key holder's side are in the table beside them.

The network is 40-64-1 with a square between, tutorial-wise `mm`, `square_`, `dot`, which is faster than `mm` twice.

Run: python benchmarks/encrypted_query.py [--full]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

from twinlab.protection.homomorphic import (
    EncryptedHead,
    EncryptionPlan,
    LogisticModel,
    SquareNetwork,
    ask,
    plan,
    set_up,
)

try:
    import tenseal as ts
except ImportError:
    ts = None

N_FEATURES, N_HIDDEN = 40, 64
BULK = 4096
#: Ring degree, primes, scale.
TUTORIAL_LOGISTIC = (8192, [60, 40, 60], 40)
TUTORIAL_NETWORK = (8192, [50, 35, 35, 35, 50], 35)
FIRST_TUTORIAL = (4096, [40, 20, 40], 20)


class Ours:
    """One plan, set up, with a question that is ready to be computed on."""

    def __init__(self, model, calibration: np.ndarray, rows: np.ndarray, batch: int, **choices: object) -> None:
        self.model, self.rows = model, rows
        self.plan: EncryptionPlan = plan(model, calibration, batch=batch, **choices)  # type: ignore[arg-type]
        limit = self.plan.find_column_bound()
        self.rows = np.clip(rows, -limit, limit)
        self.key_holder, self.server, self.set_up_steps = set_up(self.plan, model)
        self.n_asked = min(len(rows), self.plan.layout.capacity)
        self.question = self.server.read(self.key_holder.encrypt(self.rows[: self.n_asked]))

    def compute(self) -> None:
        """What the ratios are of."""
        self.server.compute(self.question)

    def measure(self) -> tuple[float, float, int]:
        """Milliseconds of all sides per question, largest error, bytes per question both ways; of all rows."""
        begin = time.process_time()
        answer = ask(self.plan, self.key_holder, self.server, self.rows, plain_model=self.model)
        seconds = time.process_time() - begin
        assert answer.error is not None
        return 1000 * seconds / len(self.rows), answer.error, answer.n_bytes // len(self.rows)


class Tutorial:
    """TenSEAL's way: a ciphertext per question."""

    def __init__(self, model, rows: np.ndarray, parameters: tuple[int, list[int], int]) -> None:
        ring_degree, prime_bits, scale_bits = parameters
        self.model, self.rows = model, rows
        self.context = ts.context(ts.SCHEME_TYPE.CKKS, ring_degree, coeff_mod_bit_sizes=prime_bits, n_threads=1)
        self.context.global_scale = 2.0**scale_bits
        self.context.generate_galois_keys()
        self.question = ts.ckks_vector(self.context, rows[0].tolist())
        if isinstance(model, LogisticModel):
            self.layers = [(model.weight[0].tolist(), float(model.bias[0]))]
        else:
            (weight, bias), (readout, last) = model.list_plain_layers()
            self.layers = [(weight.tolist(), bias.tolist()), (readout[:, 0].tolist(), float(last[0]))]

    def answer(self, question):
        """One question."""
        *hidden, (readout, last) = self.layers
        for weight, bias in hidden:
            question = question.mm(weight) + bias
            question.square_()
        return question.dot(readout) + last

    def compute(self) -> None:
        """What the ratios are of."""
        self.answer(self.question)

    def measure(self, n_rows: int) -> tuple[float, float, int]:
        """As for ours."""
        n_bytes, answers = 0, []
        public = ts.context_from(self.context.serialize(), n_threads=1)
        begin = time.process_time()
        for row in self.rows[:n_rows]:
            question = ts.ckks_vector(self.context, row.tolist()).serialize()
            reply = self.answer(ts.ckks_vector_from(public, question)).serialize()
            answers.append(ts.ckks_vector_from(self.context, reply).decrypt()[0])
            n_bytes += len(question) + len(reply)
        seconds = time.process_time() - begin
        error = float(np.abs(np.array(answers) - self.model.answer_plain(self.rows[:n_rows])[:, 0]).max())
        return 1000 * seconds / n_rows, error, n_bytes // n_rows


def take_turns(works: dict[str, Callable[[], None]], n_rounds: int) -> dict[str, float]:
    """Median processor time of each in milliseconds, one after the other in every round."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(n_rounds):
        for name, work in works.items():
            begin = time.process_time()
            work()
            times[name].append(time.process_time() - begin)
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def count_galois_bytes(ours: Ours) -> tuple[int, int]:
    """Rotation keys of a plan, and those that TenSEAL would make in the same ring."""
    ring = ours.plan.ring
    context = ts.context(
        ts.SCHEME_TYPE.CKKS, ring.ring_degree, coeff_mod_bit_sizes=[*ring.data_bits, ring.special_bits], n_threads=1
    )
    without = len(context.serialize(save_galois_keys=False))
    context.generate_galois_keys()
    return len(ours.key_holder.public_bytes()), len(context.serialize(save_galois_keys=True)) - without


def time_twin_query(n_rounds: int) -> tuple[float, float, dict[str, float]]:
    """The twin's readout, end to end: 66 public features, an encrypted head for 4 signals; wall time in ms."""
    draw = np.random.default_rng(5)
    head = 0.3 * draw.normal(size=(4, 66))
    questions = np.clip(draw.normal(size=(100, 66)), -6, 6)
    model = EncryptedHead(head)
    found = plan(model, questions)
    key_holder, server, _ = set_up(found, model)
    answers = [ask(found, key_holder, server, question, head=head) for question in questions[:n_rounds]]
    steps = {
        step.what: 1000 * statistics.median(answer.steps[place].seconds for answer in answers)
        for place, step in enumerate(answers[0].steps)
    }
    milliseconds = 1000 * statistics.median(answer.seconds for answer in answers)
    return milliseconds, max(answer.error or 0.0 for answer in answers), steps


def draw_work() -> tuple[LogisticModel, SquareNetwork, np.ndarray, np.ndarray]:
    """Both models, calibration rows and rows to ask about."""
    draw = np.random.default_rng(1)
    logistic = LogisticModel(0.4 * draw.normal(size=(1, N_FEATURES)), np.array([0.3]))
    network = SquareNetwork(
        (
            draw.normal(size=(N_FEATURES, N_HIDDEN)) / np.sqrt(N_FEATURES),
            draw.normal(size=(N_HIDDEN, 1)) / np.sqrt(N_HIDDEN),
        ),
        (0.1 * draw.normal(size=N_HIDDEN), np.array([0.1])),
        activation="plain_square",
    )
    return logistic, network, draw.normal(size=(500, N_FEATURES)), draw.normal(size=(BULK, N_FEATURES))


def main() -> None:
    """Measure and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 rounds (the default)")
    parser.add_argument("--full", action="store_true", help="25 rounds")
    n_rounds = 25 if parser.parse_args().full else 5
    logistic, network, calibration, rows = draw_work()
    ours = {
        "logistic, single": Ours(logistic, calibration, rows[:1], 1),
        "logistic, tens": Ours(logistic, calibration, rows[:32], 32),
        "logistic, bulk": Ours(logistic, calibration, rows, BULK),
        "logistic, single, quantum-safe": Ours(logistic, calibration, rows[:1], 1, quantum_safe=True),
        "logistic, bulk, shared": Ours(logistic, calibration, rows, BULK, share_results=True),
        "network, single": Ours(network, calibration, rows[:1], 1),
        "network, single, quantum-safe": Ours(network, calibration, rows[:1], 1, quantum_safe=True),
        "network, tens": Ours(network, calibration, rows[:64], 64),
        "network, bulk": Ours(network, calibration, rows, BULK),
    }
    theirs: dict[str, Tutorial] = {}
    if ts is not None:
        theirs = {
            "tutorial logistic": Tutorial(logistic, rows, TUTORIAL_LOGISTIC),
            "tutorial logistic, first": Tutorial(logistic, rows, FIRST_TUTORIAL),
            "tutorial network": Tutorial(network, rows, TUTORIAL_NETWORK),
        }
    ways: dict[str, Ours | Tutorial] = {**ours, **theirs}
    works: dict[str, Callable[[], None]] = {name: each.compute for name, each in ways.items()}
    works["plain logistic"] = lambda: void(logistic.answer_plain(rows))
    works["plain network"] = lambda: void(network.answer_plain(rows))
    found = take_turns(works, n_rounds)
    table = [measure_row(name, each, found[name]) for name, each in ways.items()]
    table += [
        {"way": name, "compute_us": 1000 * found[name] / BULK, "all_us": None, "error": 0.0, "bytes": 0, "how": "numpy"}
        for name in ("plain logistic", "plain network")
    ]
    show(table)
    values, context = collect(table, ours, n_rounds)
    print(json.dumps({"benchmark": "encrypted_query", "values": values, "context": context}))


def measure_row(name: str, way: Ours | Tutorial, milliseconds: float) -> dict[str, object]:
    """One row of the table."""
    if isinstance(way, Ours):
        whole, error, n_bytes = way.measure()
        how = f"{way.plan.layout.name}, {way.plan.ring.ring_degree} {list(way.plan.ring.prime_bits)}"
        per_question = milliseconds / way.n_asked
    else:
        whole, error, n_bytes = way.measure(10 if "network" in name else 60)
        how, per_question = "one ciphertext per question", milliseconds
    return {
        "way": name,
        "compute_us": 1000 * per_question,
        "all_us": 1000 * whole,
        "error": error,
        "bytes": n_bytes,
        "how": how,
    }


def show(table: list[dict]) -> None:
    """The table, for people."""
    print(f"{'':32}{'server us':>12}{'all sides us':>14}{'bytes':>10}{'error':>10}  how (per question)")
    for row in table:
        whole = "" if row["all_us"] is None else f"{row['all_us']:.1f}"
        print(
            f"{row['way']:32}{row['compute_us']:12.3f}{whole:>14}{row['bytes']:10,}{row['error']:10.1e}  {row['how']}",
            flush=True,
        )


def collect(table: list[dict], ours: dict[str, Ours], n_rounds: int) -> tuple[dict, dict]:
    """Values and context of the line of JSON."""
    by_way = {row["way"]: row for row in table}
    twin_ms, twin_error, twin_steps = time_twin_query(max(10, 2 * n_rounds))
    errors = [row["error"] for name, row in by_way.items() if name in ours]
    values: dict[str, float | None] = {
        "ratio_bulk_logistic": None,
        "ratio_single_network": None,
        "ratio_bulk_network": None,
        "galois_bytes_ratio": None,
        "twin_query_ms": round(twin_ms, 2),
        "max_error": max(*errors, twin_error),
    }
    context: dict[str, object] = {
        "twin_steps_ms": {what: round(value, 3) for what, value in twin_steps.items()},
        "rounds": n_rounds,
        "threads": 1,
        "time": "process time of the server's computing, median; twin query: wall time, median",
        "table": table,
        "python": platform.python_version(),
    }
    if ts is None:
        context["tenseal"] = "not installed"
        return values, context

    def divide(theirs: str, mine: str) -> float:
        return round(by_way[theirs]["compute_us"] / by_way[mine]["compute_us"], 1)

    values["ratio_bulk_logistic"] = divide("tutorial logistic", "logistic, bulk")
    values["ratio_single_network"] = divide("tutorial network", "network, single")
    values["ratio_bulk_network"] = divide("tutorial network", "network, bulk")
    galois = {name: count_galois_bytes(ours[name]) for name in ("logistic, single", "network, single")}
    values["galois_bytes_ratio"] = round(galois["logistic, single"][0] / galois["logistic, single"][1], 4)
    context |= {
        "tenseal": ts.__version__,
        "galois_bytes": {name: {"ours": mine, "tenseal": theirs} for name, (mine, theirs) in galois.items()},
        "galois_note": "ours of the network are with the relinearization key",
        "ratio_single_logistic": divide("tutorial logistic", "logistic, single"),
        "ratio_all_sides_bulk_logistic": round(
            by_way["tutorial logistic"]["all_us"] / by_way["logistic, bulk"]["all_us"], 1
        ),
        "ratio_all_sides_bulk_network": round(
            by_way["tutorial network"]["all_us"] / by_way["network, bulk"]["all_us"], 1
        ),
        "first_tutorial_error": by_way["tutorial logistic, first"]["error"],
    }
    return values, context


def void(_: object) -> None:
    """Throw a result away."""


if __name__ == "__main__":
    main()
