"""What crossed in a federation, a row per round, sender, receiver and kind, with what is promised of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from twinlab.protection.federated.encrypted_grid import TOTAL
from twinlab.protection.federated.grid import DEVICE, SERVER
from twinlab.release import Guarantee, Message, NoGuarantee, Transcript

KEYS_AND_LISTS = NoGuarantee("keys, lists and sealed shares, which hold nothing of a reading")
#: So much of what receivers saw is kept whole; of more, the first rounds.
_KEPT_BYTES = 64e6
#: What is promised of which messages, where it is not said of their kind.
MODEL, UPDATE = "model", "update"


class Book:
    """Keeps what crossed between devices, server and whoever opens sums."""

    def __init__(self, guarantees: Mapping[str, Guarantee], words: Mapping[str, str] | None = None) -> None:
        """Start empty.

        Args:
          guarantees: of `MODEL`, which the server sends to devices while they train, of `UPDATE`, which comes back, and
            of other messages by their kind; of the rest it is that of keys and lists.
          words: other names of messages, by the usual name or, where there is none, by kind.
        """
        self._guarantees, self._words = dict(guarantees), dict(words or {})
        self._when, self._kept, self._noted_at = "", 0, time.perf_counter()
        self._rows: dict[tuple[str, str, str, str], dict[str, Any]] = {}

    def note(self, sender: str, receiver: str, kind: str, n_bytes: int, payload: dict[str, Any]) -> None:
        """Take in one message; see `EmbeddedGrid`. What passed since the one before it was the time to make it."""
        seconds = time.perf_counter() - self._noted_at
        if sender == SERVER and (number := payload.get("config", {}).get("server-round")):
            self._when = f"round {number}"
        row = self._rows.setdefault(
            (self._when, sender, receiver, kind), {"bytes": 0, "messages": 0, "seconds": 0.0, "payloads": []}
        )
        row["bytes"] += n_bytes
        row["messages"] += 1
        row["seconds"] += seconds
        is_same = sender != DEVICE and row["payloads"]  # all devices are sent the same
        if not is_same and self._kept < _KEPT_BYTES:
            self._kept += n_bytes
            row["payloads"].append(payload)
        self._noted_at = time.perf_counter()

    def finish(self, arrays: Mapping[str, Any], n_devices: int) -> None:
        """Take in that every device is sent the finished model.

        Args:
          arrays: of the model, by name.
          n_devices: who are sent it.
        """
        self._when, n_bytes = "finished", sum(array.nbytes for array in arrays.values())
        for _ in range(n_devices):
            self.note(SERVER, DEVICE, "train", n_bytes, {"arrays": dict(arrays)})

    def write(self, transcript: Transcript) -> None:
        """Records in the order of rounds."""
        for (when, sender, receiver, kind), row in self._rows.items():
            usual = _WORDS.get((sender, kind), kind)
            name = self._words.get(usual, usual)
            words = f"{name}, {when}" if when else name
            guarantee = self._describe(receiver, kind)
            transcript.record(
                Message(
                    *(sender, receiver, words, row["bytes"], row["seconds"], row["payloads"], guarantee),
                    n_messages=row["messages"],
                )
            )

    def _describe(self, receiver: str, kind: str) -> Guarantee:
        if kind in self._guarantees:
            return self._guarantees[kind]
        if not kind.startswith("train"):
            return KEYS_AND_LISTS
        return self._guarantees[UPDATE if receiver == SERVER else MODEL]


_WORDS = {
    (SERVER, "train"): "model",
    (DEVICE, "train"): "update",
    (SERVER, "train.mask"): "model and sealed shares",
    (DEVICE, "train.mask"): "masked update",
    (SERVER, "query.identity"): "question who is there",
    (DEVICE, "query.identity"): "identity key",
    (SERVER, "query.advertise"): "invitation",
    (DEVICE, "query.advertise"): "keys of the round",
    (SERVER, "query.share_keys"): "list of keys",
    (DEVICE, "query.share_keys"): "sealed shares",
    (SERVER, "query.confirm"): "list of survivors",
    (DEVICE, "query.confirm"): "signed list of survivors",
    (SERVER, "query.unmask"): "confirmations",
    (DEVICE, "query.unmask"): "shares that open the sum",
    (SERVER, TOTAL): "encrypted sum",
}
