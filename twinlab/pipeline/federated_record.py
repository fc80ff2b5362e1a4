"""What a federated run starts from, by public choices alone, and the files that it leaves behind."""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twinlab.cohorts.simulator import SIMULATED_SIGNALS
from twinlab.errors import DataContractError, RoundFailedError, SpecificationError
from twinlab.experiment import Experiment
from twinlab.fleet import State
from twinlab.pipeline.band_task import put_weights, read_weights
from twinlab.pipeline.federating import describe_weights, read_federated
from twinlab.pipeline.start import prepare_start
from twinlab.protection.federated.checkpoint import RoundReport
from twinlab.twins.population import Population


@dataclass(frozen=True)
class AppStart:
    """What server and devices both compute, from public choices alone.

    Attributes:
      population: saw nobody's readings.
      geometry: (feature, feature) in which devices descend.
    """

    population: Population
    geometry: torch.Tensor = field(repr=False)

    @classmethod
    def of(cls, experiment: Experiment) -> AppStart:
        """The start that an experiment chooses."""
        learn = read_federated(experiment)
        return cls(*prepare_start(learn.start, experiment.twin, learn, SIMULATED_SIGNALS))

    @property
    def state(self) -> State:
        """The model that everybody starts from."""
        return read_weights(self.population, self.geometry)


class AppRecord:
    """Writes weights and reports after each round, so that a run that breaks off keeps its finished ones."""

    def __init__(
        self,
        experiment: Experiment,
        weights: Path,
        reports: Path,
        n_devices: int,
        tell: Callable[[str], object],
    ) -> None:
        """Write nothing yet.

        Args:
          experiment: public.
          weights, reports: the files.
          n_devices: that were there at the start.
          tell: called with a sentence after each round.

        Raises:
          SpecificationError: if something else than a file is in a file's place.
        """
        for name, path in (("final-weights", weights), ("round-reports", reports)):
            if path.exists() and not path.is_file():
                raise SpecificationError(f"{name}: expected a file or none, got {path}, which is no file")
        self._weights, self._reports, self._tell = weights, reports, tell
        self._n_rounds = read_federated(experiment).n_rounds
        self._about: dict[str, Any] = {
            "experiment": experiment.fingerprint,
            "guarantee": str(describe_weights(experiment)),
            "n_devices": n_devices,
            "is_complete": False,
            "stopped_because": None,
            "rounds": [],
        }

    def note(self, report: RoundReport, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep a finished round."""
        self._about["rounds"].append(asdict(report))
        named: dict[str, Any] = dict(arrays)
        _write_whole(self._weights, lambda file: np.savez(file, **named))
        self._write()
        loss = "" if report.mean_loss is None else f", mean loss {report.mean_loss:.4f}"
        self._tell(
            f"round {report.round} of {self._n_rounds}: {report.n_replied} of {report.n_sampled} devices{loss}, "
            f"{report.seconds:.1f} s"
        )

    def close(self, stopped_because: str | None) -> None:
        """Say how the run ended.

        Raises:
          RoundFailedError: if it ended early, so that Flower calls the run failed; the finished rounds are kept.
        """
        self._about |= {"is_complete": stopped_because is None, "stopped_because": stopped_because}
        self._write()
        if stopped_because is not None:
            raise RoundFailedError(
                f"federation: expected {self._n_rounds} rounds, got {len(self._about['rounds'])}: {stopped_because}"
            )

    def _write(self) -> None:
        text = json.dumps(self._about, indent=2)
        _write_whole(self._reports, lambda file: file.write(text.encode()))


def _write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file so that a reader finds the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}.half")
    try:
        with half.open("wb") as file:
            write(file)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def load_final_weights(experiment: Experiment, path: str | Path) -> Population:
    """The population that a run of the app has trained.

    Args:
      experiment: of the run; public.
      path: its `final-weights`.

    Raises:
      DataContractError: if the file cannot be read, or holds another model.
    """
    start = AppStart.of(experiment)
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: torch.from_numpy(stored[name])[None] for name in stored.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataContractError(
            f"final weights: expected a file that a federated run wrote, got one that cannot be read "
            f"({type(error).__name__})"
        ) from None
    wanted = {name: tuple(value.shape) for name, value in start.state.items()}
    got = {name: tuple(value.shape) for name, value in state.items()}
    if got != wanted or not all(math.isfinite(float(value.sum())) for value in state.values()):
        raise DataContractError(f"final weights: expected finite parameters {wanted}, got {got}; name its experiment")
    return put_weights(start.population, start.geometry, state)
