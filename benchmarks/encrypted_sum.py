"""Encrypted sums beside CKKS tensor by tensor, as frameworks for federated learning do it, and beside masks.

100 000 numbers of 10 devices, once as one flat vector and once as the tensors of a network. Ours is what `plan_sum`
offers: BFV, several rounded numbers in a slot. Theirs is TenSEAL's `ckks_vector` for each tensor, ring degree 8192 with
primes of 60, 40 and 40 bits and scale 2^40. Masks are twinlab's own secure sums. A model of 4737 numbers in 6 tensors
stands for small ones, where ciphertexts are never full.

Times are processor time, medians of turns taken in one process: encrypting and writing for one device; reading, adding
and writing on the server for all; reading and decrypting on the key holder's side. Masks and trustees are timed as a
whole, everybody's work one after the other.

Run: python benchmarks/encrypted_sum.py [--full]
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from twinlab.protection.federated.secure_sum import add_securely
from twinlab.protection.homomorphic.encrypted_sum import (
    SumDevice,
    SumKeyHolder,
    SumServer,
    add_encrypted,
    plan_sum,
)

try:
    import tenseal as ts
except ImportError:
    ts = None

N_DEVICES, BOUND = 10, 1.0
LARGE = ((64, 256), (256,), (256, 256), (256,), (256, 68), (68,), (92,))
SMALL = ((40, 64), (64,), (64, 32), (32,), (32, 1), (1,))
CKKS = (8192, [60, 40, 40], 40)


def count_numbers(shapes: Sequence[tuple[int, ...]]) -> int:
    """In all tensors."""
    return sum(int(np.prod(shape)) for shape in shapes)


class Ours:
    """Packed BFV."""

    def __init__(self, n_parameters: int, **choices: object) -> None:
        self.plan = plan_sum(n_parameters, bound=BOUND, n_devices=N_DEVICES, **choices)  # type: ignore[arg-type]
        self.key_holder = SumKeyHolder(self.plan)
        public = self.key_holder.public_bytes()
        self.device, self.server = SumDevice.from_bytes(public, self.plan), SumServer(self.plan, public)
        self.how = f"BFV {self.plan.ring_degree} {list(self.plan.prime_bits)}, {self.plan.values_per_slot} a slot"

    def encrypt(self, update: np.ndarray) -> bytes:
        """A device's message."""
        return self.device.encrypt(update)

    def add(self, messages: Sequence[bytes]) -> bytes:
        """The server's."""
        return self.server.add(messages)

    def read(self, total: bytes) -> np.ndarray:
        """The sum."""
        return self.key_holder.read(total).values


class Theirs:
    """TenSEAL's `ckks_vector`, one for each tensor."""

    def __init__(self, sizes: Sequence[int]) -> None:
        ring_degree, prime_bits, scale_bits = CKKS
        self.context = ts.context(ts.SCHEME_TYPE.CKKS, ring_degree, coeff_mod_bit_sizes=prime_bits, n_threads=1)
        self.context.global_scale = 2.0**scale_bits
        self.public = ts.context_from(self.context.serialize(), n_threads=1)
        # cut where TenSEAL would cut by itself, which it warns of
        slots = ring_degree // 2
        self.ends = np.cumsum([min(slots, size - at) for size in sizes for at in range(0, size, slots)])[:-1]
        self.how = f"CKKS {ring_degree} {prime_bits}, {len(sizes)} vectors"

    def encrypt(self, update: np.ndarray) -> list[bytes]:
        """A device's message."""
        return [ts.ckks_vector(self.public, part.tolist()).serialize() for part in np.split(update, self.ends)]

    def add(self, messages: Sequence[list[bytes]]) -> list[bytes]:
        """The server's."""
        totals = []
        for parts in zip(*messages, strict=True):
            total = ts.ckks_vector_from(self.public, parts[0])
            for part in parts[1:]:
                total += ts.ckks_vector_from(self.public, part)
            totals.append(total.serialize())
        return totals

    def read(self, totals: list[bytes]) -> np.ndarray:
        """The sum."""
        return np.concatenate([ts.ckks_vector_from(self.context, total).decrypt() for total in totals])


def measure(ways: dict[str, Ours | Theirs], updates: np.ndarray, n_rounds: int) -> list[dict]:
    """A row for each way: bytes per number, error, and medians of three times, taken in turns."""
    times: dict[str, list[list[float]]] = {name: [[], [], []] for name in ways}
    rows: dict[str, dict] = {}
    for _ in range(n_rounds):
        for name, way in ways.items():
            begin = time.process_time()
            message = way.encrypt(updates[0])
            times[name][0].append(time.process_time() - begin)
            messages = [message, *(way.encrypt(update) for update in updates[1:])]
            begin = time.process_time()
            total = way.add(messages)  # type: ignore[arg-type]
            times[name][1].append(time.process_time() - begin)
            begin = time.process_time()
            values = way.read(total)  # type: ignore[arg-type]
            times[name][2].append(time.process_time() - begin)
            n_bytes = len(message) if isinstance(message, bytes) else sum(map(len, message))
            error = float(np.abs(values - updates.sum(0)).max())
            rows[name] = {
                "way": name,
                "bytes_per_parameter": n_bytes / updates.shape[1],
                "error": error,
                "how": way.how,
            }
    for name, (encrypting, adding, reading) in times.items():
        rows[name]["device_ms"], rows[name]["server_ms"], rows[name]["reader_ms"] = (
            1000 * statistics.median(each) for each in (encrypting, adding, reading)
        )
    return list(rows.values())


def time_whole(work: Callable[[], object], n_rounds: int) -> float:
    """Median processor time of everybody together, in milliseconds."""
    taken = []
    for _ in range(n_rounds):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return 1000 * statistics.median(taken)


def measure_wholes(updates: np.ndarray, n_rounds: int) -> list[dict]:
    """Trustees, masks and plain numpy, which are timed as a whole."""
    n_devices, n_parameters = updates.shape
    trusted = add_encrypted(updates, bound=BOUND, threshold=True)
    masked = add_securely(updates, bound=BOUND)
    sent = next(message for message in trusted.messages if message.kind == "encrypted update")
    opened = next(message for message in trusted.messages if message.kind == "opening")
    plan = trusted.plan
    wholes = {
        "3 trustees, experimental": (
            sent.n_bytes,
            trusted.values,
            lambda: add_encrypted(updates, bound=BOUND, threshold=True),
            f"BFV {plan.ring_degree} {list(plan.prime_bits)}; each opening "
            f"{opened.n_bytes / opened.n_messages / n_parameters:.1f} bytes a number",
        ),
        "masks": (
            sum(masked.bytes_up.values()),
            masked.total,
            lambda: add_securely(updates, bound=BOUND),
            "secure sum of protection.federated",
        ),
        "plain": (4 * n_devices * n_parameters, updates.sum(0), lambda: updates.sum(0), "numpy, float32 on the wire"),
    }
    return [
        {
            "way": name,
            "bytes_per_parameter": n_bytes / n_devices / n_parameters,
            "error": float(np.abs(values - updates.sum(0)).max()),
            "all_ms": time_whole(work, n_rounds),
            "how": how,
        }
        for name, (n_bytes, values, work, how) in wholes.items()
    ]


def find_exactness(updates: np.ndarray) -> int:
    """1 if opened integers are numpy's sums of the same integers, at several precisions and by trustees too."""
    choices: list[dict] = [{"bits": 8}, {}, {"bits": 24}, {"bits": 32}, {"quantum_safe": True}, {"threshold": True}]
    at_ends = np.concatenate((updates, np.full((1, updates.shape[1]), BOUND), np.full((1, updates.shape[1]), -BOUND)))
    for choice in choices:
        found = add_encrypted(at_ends, bound=BOUND, **choice)
        if not (found.integers == sum(found.plan.round_to_integers(update) for update in at_ends)).all():
            return 0
    return 1


def show(title: str, table: list[dict]) -> None:
    """The table, for people."""
    print(
        f"\n{title:34}{'bytes':>8}{'device ms':>11}{'server ms':>11}{'reader ms':>11}{'all ms':>10}{'error':>10}  how"
    )
    for row in table:
        cells = [
            f"{row[name]:.1f}" if name in row else "" for name in ("device_ms", "server_ms", "reader_ms", "all_ms")
        ]
        widths = (11, 11, 11, 10)
        numbers = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        print(
            f"{row['way']:34}{row['bytes_per_parameter']:8.2f}{numbers}{row['error']:10.1e}  {row['how']}", flush=True
        )


def main() -> None:
    """Measure and print tables and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds (the default)")
    parser.add_argument("--full", action="store_true", help="15 rounds")
    n_rounds = 15 if parser.parse_args().full else 3
    draw = np.random.default_rng(1)
    tables = {}
    for name, shapes in (("100 000 numbers", LARGE), ("4737 numbers", SMALL)):
        n_parameters = count_numbers(shapes)
        updates = np.clip(0.05 * draw.normal(size=(N_DEVICES, n_parameters)), -BOUND, BOUND)
        ways: dict[str, Ours | Theirs] = {
            "ours": Ours(n_parameters),
            "ours, 24 bits": Ours(n_parameters, bits=24),
            "ours, 8 bits": Ours(n_parameters, bits=8),
        }
        if ts is not None:
            sizes = [int(np.prod(shape)) for shape in shapes]
            ways |= {"CKKS, tensor by tensor": Theirs(sizes), "CKKS, one flat vector": Theirs([n_parameters])}
        tables[name] = measure(ways, updates, n_rounds) + measure_wholes(updates, min(n_rounds, 3))
        show(name, tables[name])
    exact = find_exactness(np.clip(0.5 * draw.normal(size=(N_DEVICES, 20_000)), -BOUND, BOUND))
    values, context = collect(tables, exact, n_rounds)
    print(json.dumps({"benchmark": "encrypted_sum", "values": values, "context": context}))


def collect(tables: dict[str, list[dict]], exact: int, n_rounds: int) -> tuple[dict, dict]:
    """Values and context of the line of JSON."""
    large, small = ({row["way"]: row for row in table} for table in tables.values())
    plan = plan_sum(count_numbers(LARGE), bound=BOUND, n_devices=N_DEVICES)
    values: dict[str, float | None] = {
        "bytes_per_parameter": round(large["ours"]["bytes_per_parameter"], 3),
        "ratio_bytes_to_per_tensor_ckks": None,
        "exact": exact,
    }
    context: dict[str, object] = {
        "rounds": n_rounds,
        "devices": N_DEVICES,
        "threads": 1,
        "security_bits": {"classical": plan.security_bits, "quantum": plan.quantum_security_bits},
        "time": "process time, medians; device: one, server: all messages, reader: the total",
        "tables": tables,
        "python": platform.python_version(),
    }
    if ts is None:
        context["tenseal"] = "not installed"
        return values, context

    def divide(rows: dict[str, dict], theirs: str, what: str) -> float:
        return round(rows[theirs][what] / rows["ours"][what], 2)

    by_tensor, flat = "CKKS, tensor by tensor", "CKKS, one flat vector"
    values["ratio_bytes_to_per_tensor_ckks"] = divide(large, by_tensor, "bytes_per_parameter")
    context |= {
        "tenseal": ts.__version__,
        "ratio_bytes_to_flat_ckks": divide(large, flat, "bytes_per_parameter"),
        "ratio_device_time_to_per_tensor_ckks": divide(large, by_tensor, "device_ms"),
        "ratio_device_time_to_flat_ckks": divide(large, flat, "device_ms"),
        "ratio_bytes_to_per_tensor_ckks_small_model": divide(small, by_tensor, "bytes_per_parameter"),
    }
    return values, context


if __name__ == "__main__":
    main()
