"""A GAN in the middle of its training, on disk: nothing of people but what left the critic's private steps."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from twinlab.errors import DataContractError


@dataclass(frozen=True)
class GanCheckpoint:
    """What is kept.

    Attributes:
      n_done: steps of the critic that were taken.
      shares: (cell,) of conditions, as they were counted with noise.
      states: of generator, critic and their optimizers, by name.
    """

    n_done: int
    shares: Tensor = field(repr=False)
    states: Mapping[str, Any] = field(repr=False)


def save_checkpoint(path: Path, fingerprint: str, checkpoint: GanCheckpoint) -> None:
    """Write a checkpoint so that a crash leaves the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    kept = {"fingerprint": fingerprint, "n_done": checkpoint.n_done, "shares": checkpoint.shares}
    try:
        with half.open("wb") as file:
            torch.save({**kept, "states": dict(checkpoint.states)}, file)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def load_checkpoint(path: Path, fingerprint: str) -> GanCheckpoint | None:
    """Read a checkpoint; None where there is none yet. Only numbers are read: a file cannot bring code.

    Raises:
      DataContractError: if it is another training's, or no checkpoint.
    """
    if not path.exists():
        return None
    try:
        if not zipfile.is_zipfile(path):
            raise KeyError("fingerprint")
        kept = torch.load(path, weights_only=True)
        checkpoint = GanCheckpoint(kept["n_done"], kept["shares"], kept["states"])
        found = kept["fingerprint"]
    except (RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise DataContractError("checkpoint: expected a file that a GAN wrote, got another; remove it") from error
    if found != fingerprint:
        raise DataContractError(
            "checkpoint: expected one of this training, got one with other settings, columns or seed; remove it, or "
            "choose another file"
        )
    return checkpoint
