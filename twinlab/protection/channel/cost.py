"""What quantum safety costs in bytes and time: measured here and now, in rows."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twinlab.protection.channel.envelope import Context, open_envelope, seal_envelope
from twinlab.protection.channel.identity import RunKey, draw_run_id, make_identity, read_announcement
from twinlab.protection.channel.suite import make_primitives


def measure_primitives(n_repeats: int = 20) -> list[dict[str, Any]]:
    """Building blocks one by one, the classical beside the quantum-safe: a row each.

    Args:
      n_repeats: times are the median of so many; public.

    Returns:
      Rows with primitive, use, is_quantum_safe, public_key_bytes, sent_bytes, and microseconds to make a key, to
      encapsulate or sign, and to decapsulate or verify.
    """
    rows = []
    for each in make_primitives(secrets.token_bytes(64)):
        sent = each.apply()
        rows.append(
            {
                "primitive": each.name,
                "use": each.use,
                "is_quantum_safe": each.is_quantum_safe,
                "public_key_bytes": each.public_bytes,
                "sent_bytes": len(sent),
                "make_us": _time(each.make, n_repeats),
                "apply_us": _time(each.apply, n_repeats),
                "undo_us": _time(partial(each.undo, sent), n_repeats),
            }
        )
    return rows


def measure_envelopes(
    message_bytes: Sequence[int] = (0, 1_000, 40_000, 1_000_000), n_repeats: int = 20
) -> list[dict[str, Any]]:
    """What a run needs: an identity, a signed key, and an envelope for each length of message.

    Args:
      message_bytes: lengths of messages; public.
      n_repeats: times are the median of so many; public.

    Returns:
      Rows with what, message_bytes, sent_bytes, added_bytes, and microseconds to make and to read it.
    """
    sender, receiver = make_identity(), make_identity()
    key, run_id = RunKey(receiver, draw_run_id()), draw_run_id()
    announced = RunKey(sender, run_id).announcement
    rows = [
        _make_row("identity", 0, len(sender.public.data), _time(make_identity, n_repeats), None),
        _make_row(
            "run key, signed",
            0,
            len(announced),
            _time(partial(RunKey, sender, run_id), n_repeats),
            _time(partial(read_announcement, announced, sender.public, run_id), n_repeats),
        ),
    ]
    context = Context(1, "update", 0)
    for n_bytes in message_bytes:
        message = secrets.token_bytes(n_bytes)
        envelope = seal_envelope(message, sender, key.address, context)
        make_us = _time(partial(seal_envelope, message, sender, key.address, context), n_repeats)
        read_us = _time(partial(open_envelope, envelope, sender.public, key, context), n_repeats)
        rows.append(_make_row("envelope", n_bytes, len(envelope), make_us, read_us))
    return rows


def _make_row(what: str, message_bytes: int, sent_bytes: int, make_us: float, read_us: float | None) -> dict[str, Any]:
    """A row of `measure_envelopes`."""
    return {
        "what": what,
        "message_bytes": message_bytes,
        "sent_bytes": sent_bytes,
        "added_bytes": sent_bytes - message_bytes,
        "make_us": make_us,
        "read_us": read_us,
    }


def _time(call: Callable[[], object], n_repeats: int) -> float:
    """Median of its times in microseconds."""
    times = []
    for _ in range(n_repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1e6, 1)
