"""Finished rounds on disk, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from twinlab.errors import DataContractError, SpecificationError


@dataclass(frozen=True)
class RoundReport:
    """What one round did; for the server, since who was refused tells of devices.

    Attributes:
      round: counted from 1.
      n_sampled: devices that were asked.
      n_replied: devices whose replies were admitted.
      refused: (node, reason) of the other replies; devices that never answered are in none of the counts but the
        first.
      mean_loss: mean training loss over the admitted devices, where they declared it; None otherwise, and always in
        private runs, which release the noisy model only.
      bytes_down, bytes_up: sent to devices, and received from them.
      seconds: from choosing devices to the new model.
    """

    round: int
    n_sampled: int
    n_replied: int
    refused: tuple[tuple[int, str], ...]
    mean_loss: float | None
    bytes_down: int
    bytes_up: int
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """What is kept after a round.

    Attributes:
      fingerprint: of everything that must be the same for the run to go on.
      rounds: reports of the finished rounds.
      arrays: the model after the last of them.
      momentum: the strategy's memory, empty where it has none.
    """

    fingerprint: str
    rounds: tuple[RoundReport, ...]
    arrays: dict[str, np.ndarray] = field(repr=False)
    momentum: tuple[np.ndarray, ...] = field(default=(), repr=False)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a crash leaves the old one or the new one, never half of one."""
    about = {"fingerprint": checkpoint.fingerprint, "rounds": [asdict(each) for each in checkpoint.rounds]}
    parts: dict[str, Any] = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
    parts |= {f"array {name}": value for name, value in checkpoint.arrays.items()}
    parts |= {f"momentum {k:06d}": value for k, value in enumerate(checkpoint.momentum)}
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    try:
        with half.open("wb") as file:
            np.savez(file, **parts)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def load_checkpoint(path: Path, fingerprint: str, shapes: Mapping[str, tuple[int, ...]]) -> Checkpoint | None:
    """Read a checkpoint; None where there is none yet.

    Raises:
      SpecificationError: if it belongs to a run with other choices.
      DataContractError: if the file is no checkpoint, or of another model.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            parts = {name: stored[name] for name in stored.files}
        about = json.loads(parts.pop("about").tobytes())
        rounds = tuple(
            RoundReport(**{**each, "refused": tuple((node, why) for node, why in each["refused"])})
            for each in about["rounds"]
        )
        arrays = {name.removeprefix("array "): value for name, value in parts.items() if name.startswith("array ")}
        momentum = tuple(parts[name] for name in sorted(parts) if name.startswith("momentum "))
        found = Checkpoint(about["fingerprint"], rounds, arrays, momentum)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataContractError(
            f"checkpoint: expected a file that a federated run wrote, got one that cannot be read "
            f"({type(error).__name__}); remove it to start anew"
        ) from None
    if found.fingerprint != fingerprint:
        raise SpecificationError(
            "checkpoint: expected one of a run with the same choices, got one of a run with others; choose another "
            "file, or remove it to start anew"
        )
    if {name: value.shape for name, value in arrays.items()} != dict(shapes):
        raise DataContractError("checkpoint: expected the arrays of this model, got others; remove it to start anew")
    return found
