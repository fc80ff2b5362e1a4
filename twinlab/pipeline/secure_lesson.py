"""What a reader tries with secure sums: updates of devices of people who do not exist, and what a server reads in them.

Everything here is compared with the truth, and a difference from the truth is itself a release of it. So a lesson makes
its own people, and takes nobody else's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from twinlab.attacks.gradient_inversion import invert_update
from twinlab.attacks.single_record import invert_single
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import DataContractError, SpecificationError
from twinlab.experiment import BayesianTwin, SimulatedCohort
from twinlab.fleet import Fleet, State
from twinlab.learn_choice import CentralLearning
from twinlab.pipeline.reconstruction import UpdateSetting, train_openly
from twinlab.protection.differential_privacy.accounting import compute_gaussian_epsilon
from twinlab.signals import get_signal
from twinlab.twins.feature import count_level, unscale
from twinlab.twins.pooled import assume_constants, list_training_rows

N_UNITS = 64
#: What the level features of a twin are, in their order, for a reader.
LEVELS = ("a day before", "usual at this hour", "usual on such days", "mean of the last day", "mean of the last week")
_LEAST_ROWS = 24
#: No noise is drawn beyond so many standard deviations.
_LONGEST_NOISE = 7.0


@dataclass(frozen=True)
class RecoveredRecord:
    """A record as a server reads it, beside the truth of somebody who does not exist.

    Attributes:
      table: signal, label, unit, what, true, read: the part of the record that has units.
      hour: when it is about, in words: truth and what was read.
      error: distance of all numbers of the record from what was read, as a share of the record's length.
      sentence: that in words.
    """

    table: pd.DataFrame = field(repr=False)
    hour: tuple[str, str] = field(repr=False)
    error: float
    sentence: str

    def __repr__(self) -> str:
        return self.sentence


class SecureLesson:
    """Devices of people who do not exist. Each trained the same model in one step on one hour of its person.

    Attributes:
      n_devices: how many; public.
      clip_norm: bound on the length of an update, and so on each number of it; public.
      updates: float32 (device, parameter): what each device would send in the open, clipped; private.
    """

    def __init__(self, n_devices: int = 20, clip_norm: float = 0.1, n_days: int = 21, seed: int = 0) -> None:
        """Make people, and let their devices train.

        Args:
          n_devices, clip_norm, n_days: public.
          seed: of people, hours and the model; public.

        Raises:
          SpecificationError: if there are fewer than two devices, or the bound is not positive.
        """
        if n_devices < 2:
            raise SpecificationError(f"n_devices: expected at least 2, got {n_devices}; a sum of one hides nobody")
        if not 0 < clip_norm < math.inf:
            raise SpecificationError(f"clip_norm: expected a number above 0, got {clip_norm}")
        self.n_devices, self.clip_norm, self._seed = n_devices, clip_norm, seed
        self._draw_records(n_days)
        self._fleet = Fleet(1, (self._records.shape[1], N_UNITS, 1), "relu", "logistic")
        self._model = self._fleet.init([seed])
        self.updates = np.stack([self._train(device) for device in range(n_devices)])

    def _draw_records(self, n_days: int) -> None:
        """One hour with a known answer of each person, as its twin's forecast would train on it."""
        # Some people have too few known hours.
        choice = SimulatedCohort(n_people=self.n_devices + max(4, self.n_devices // 5), n_days=n_days, seed=self._seed)
        cohort = simulate_cohort(choice).cohort
        population = assume_constants(BayesianTwin(), CentralLearning(), cohort.signals)
        draw = torch.Generator().manual_seed(self._seed)
        records: list[Tensor] = []
        answers: list[Tensor] = []
        for bands in list_training_rows(population, cohort):
            for features, wanted in zip(*bands[0], strict=True):
                usable = torch.isfinite(wanted[:, 0]).nonzero()[:, 0]
                # In the first week a person has hardly a routine to read.
                usable = usable[usable >= min(7, n_days // 2) * 24]
                if len(usable) >= _LEAST_ROWS and len(records) < self.n_devices:
                    chosen = usable[torch.randint(len(usable), (1,), generator=draw)]
                    records.append(features[chosen[0]])
                    answers.append(wanted[chosen[0], 0])
        if len(records) < self.n_devices:
            raise SpecificationError(
                f"n_days: expected so many that {self.n_devices} people have {_LEAST_ROWS} known hours, got {n_days}"
            )
        self._records, self._targets = torch.stack(records), (torch.stack(answers) > 0).float()
        self._signals = population.targets
        self._first_level = population.twin.n_features

    def _train(self, device: int, noise_multiplier: float = 0.0) -> np.ndarray:
        """One device's update as a vector."""
        setting = UpdateSetting("one", n_rows=1, clip_norm=self.clip_norm, noise_multiplier=noise_multiplier)
        inputs, targets = self._records[device].view(1, 1, -1), self._targets[device].view(1, 1, 1)
        update = train_openly(self._fleet, self._model, inputs, targets, setting)
        return torch.cat([value.flatten() for value in update.values()]).numpy()

    def share_noise(self, noise_multiplier: float, n_noisy: int) -> tuple[np.ndarray, float]:
        """What devices send in a new round: their updates, each with its part of the noise that a sum shall have.

        Args:
          noise_multiplier: least noise in a sum of at least `n_noisy` updates, in multiples of the clip norm; none
            when 0; public.
          n_noisy: how many updates are in every sum that opens, such as the threshold; public.

        Returns:
          (device, parameter), and a bound on each number of it. Noise is the operating system's, and fresh in every
          round.

        Raises:
          SpecificationError: if the noise is below 0, or nobody adds it.
        """
        if not 0 <= noise_multiplier < math.inf or n_noisy < 1:
            raise SpecificationError(
                f"noise: expected a multiplier of at least 0 and at least one device, got {noise_multiplier} and "
                f"{n_noisy}"
            )
        part = noise_multiplier / math.sqrt(n_noisy)
        noisy = np.stack([self._train(device, part) for device in range(self.n_devices)])
        return noisy, self.clip_norm * (1 + _LONGEST_NOISE * part)

    def read_record(self, vector: np.ndarray, device: int) -> RecoveredRecord:
        """What a server reads about one device's record in a vector that it holds.

        It tries each unit by itself and all units together. Whichever comes nearest counts, which flatters it: a real
        server does not know which that is.

        Args:
          vector: (parameter,), an update or a sum or difference of some; what the server holds.
          device: whose record it is compared with; public.

        Raises:
          DataContractError: if the vector is no update of these devices.
        """
        if vector.shape != (self.updates.shape[1],) or not np.isfinite(vector).all():
            raise DataContractError(
                f"vector: expected {self.updates.shape[1]} finite numbers, as an update has, got {vector.shape}"
            )
        if not 0 <= device < self.n_devices:
            raise SpecificationError(f"device: expected 0 to {self.n_devices - 1}, got {device}")
        record = self._records[device].double()
        read, error = _read_nearest(self._unflatten(vector), record)
        hours = (self._name_hour(record), self._name_hour(read))
        place = f"The record is about {hours[0]}; the server reads {hours[1]}"
        sentence = f"{place}, and is off by {error:.2g} of the record's length."
        return RecoveredRecord(self._tabulate(record, read), hours, error, sentence)

    def trace_noise(
        self,
        noise_multipliers: Sequence[float] = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0),
        delta: float = 1e-5,
    ) -> pd.DataFrame:
        """How near a server comes to a record under noise, and what epsilon that noise is worth.

        Each device sends one update alone, with noise of its own. Noise is the operating system's.

        Args:
          noise_multipliers: of the noise, in multiples of the clip norm; public.
          delta: public.

        Returns:
          A row each: noise_multiplier; median, low and high (quartiles over devices) of the error as a share of the
          record's length; exact, the share of records read to a hundredth; guess, the median error of claiming the mean
          of the others' records; epsilon of one such update with a person as unit.
        """
        flat = self._records.double()
        others = (flat.sum(0) - flat) / (self.n_devices - 1)
        guess = float(((others - flat).norm(dim=1) / flat.norm(dim=1)).median())
        rows = []
        for multiplier in noise_multipliers:
            noisy = [self._unflatten(self._train(device, multiplier)) for device in range(self.n_devices)]
            errors = [_read_nearest(update, record)[1] for update, record in zip(noisy, flat, strict=True)]
            low, middle, high = np.quantile(errors, (0.25, 0.5, 0.75))
            rows.append(
                {
                    "noise_multiplier": float(multiplier),
                    "median": float(middle),
                    "low": float(low),
                    "high": float(high),
                    "exact": float(np.mean(np.array(errors) <= 0.01)),
                    "guess": guess,
                    "epsilon": compute_gaussian_epsilon(1 / multiplier, delta),
                }
            )
        return pd.DataFrame(rows)

    def _unflatten(self, vector: np.ndarray) -> State:
        """A vector as an update of the model."""
        sizes = [value.numel() for value in self._model.values()]
        parts = torch.from_numpy(np.ascontiguousarray(vector)).split(sizes)
        return {name: part.view_as(value) for (name, value), part in zip(self._model.items(), parts, strict=True)}

    def _tabulate(self, record: Tensor, read: Tensor) -> pd.DataFrame:
        """The level features of a record in physical units."""
        n_signals = len(self._signals)
        part = slice(self._first_level, self._first_level + count_level(self._signals))
        pairs = torch.stack([record[part], read[part]]).numpy().reshape(2, len(LEVELS), n_signals)
        rows = []
        for place, name in enumerate(self._signals):
            known = get_signal(name)
            true, found = (unscale(each[:, place], name) for each in pairs)
            rows += [
                {"signal": name, "label": known.label, "unit": known.unit, "what": what, "true": t, "read": r}
                for what, t, r in zip(LEVELS, true.tolist(), found.tolist(), strict=True)
            ]
        return pd.DataFrame(rows)

    def _name_hour(self, record: Tensor) -> str:
        """The hour that a record is about, from its clock features."""
        first = self._first_level + count_level(self._signals)
        sine, cosine, is_weekend = (float(record[first + place]) for place in (0, 1, 8))
        hour = round(math.atan2(sine, cosine) / (2 * math.pi) * 24) % 24
        return f"{hour:02d}:00 on a {'weekend' if is_weekend > 0.5 else 'weekday'}"

    def __repr__(self) -> str:
        return f"SecureLesson({self.n_devices} devices of people who do not exist, {self.updates.shape[1]} parameters)"


def _read_nearest(update: State, record: Tensor) -> tuple[Tensor, float]:
    """The candidate nearest to the record, and how far it is off; nothing read is off by the whole record."""
    candidates = torch.cat([invert_single(update), invert_update(update)])
    candidates = candidates[torch.isfinite(candidates).all(1)]
    if not len(candidates):
        return torch.zeros_like(record), 1.0
    apart = (candidates - record).norm(dim=1) / record.norm()
    nearest = int(apart.argmin())
    return candidates[nearest], float(apart[nearest])
