"""What a reader tries with encrypted training: days of people who do not exist, and a model trained on them unread.

Given one day of a person, will the heart rate of the coming night be above the usual of everybody? Some people are held
out, to see what the model is worth. Everything is compared with training in the clear, which takes the records; so a
lesson makes its own people, and takes nobody else's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twinlab.cohorts.cohort import HOURS_PER_DAY
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import SpecificationError
from twinlab.experiment import SimulatedCohort
from twinlab.protection.homomorphic.encrypted_training import (
    EncryptedTraining,
    TrainingEpoch,
    TrainingPlan,
    plan_training,
    train_encrypted,
    train_plainly,
)
from twinlab.protection.homomorphic.encrypted_training.plain_training import (
    TRUSTED_LOGIT,
    Sigmoid,
    find_cubic_sigmoid,
    find_probabilities,
    find_sigmoid,
)
from twinlab.roles import Progress, report_nothing

#: Name, signal, and the hours of a day whose mean it is.
_AVERAGES = (
    ("heart rate at night", "heart_rate_bpm", slice(0, 6)),
    ("heart rate by day", "heart_rate_bpm", slice(8, 20)),
    ("heart rate in the evening", "heart_rate_bpm", slice(20, 24)),
    ("steps in the morning", "steps", slice(6, 12)),
    ("steps in the afternoon", "steps", slice(12, 18)),
    ("steps in the evening", "steps", slice(18, 24)),
    ("energy by day", "calories_kcal", slice(6, 22)),
    ("intensity by day", "intensity", slice(6, 22)),
    ("sleep at night", "sleep_min", slice(0, 8)),
)
FEATURES = tuple(name for name, _, _ in _AVERAGES)
_NIGHT = slice(0, 6)
_BOUND = 6.0
_HELD_OUT_SHARE = 0.3
_LEAST_PEOPLE = 10
_SAME, _EXACT = "in the clear, same sigmoid", "in the clear, exact sigmoid"
_USUAL = "always the same answer"


@dataclass(frozen=True, repr=False)
class ComparedTraining:
    """One training in three ways, on people who do not exist.

    Attributes:
      training: the encrypted one.
      table: way, accuracy, log_loss, seconds, bytes, weight_difference: a row per way, and one for always saying the
        same. Accuracy and loss are of the people held out; the difference is to the same arithmetic in the clear.
      path: epoch, feature, encrypted, plain: weights as the key holder saw them, and as they would be in the clear.
      sentence: the main numbers in words.
    """

    training: EncryptedTraining = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    path: pd.DataFrame = field(repr=False)
    sentence: str

    def __repr__(self) -> str:
        return self.sentence


class EncryptedTrainingLesson:
    """Days of people who do not exist, standardised, and a question about each.

    Attributes:
      rows: (day, feature) to train on; `FEATURES` names them.
      labels: (day,), 0 or 1.
      held_out_rows, held_out_labels: the same of other people.
    """

    def __init__(self, n_people: int = 40, n_days: int = 28, seed: int = 0) -> None:
        """Make people, and take some of them to train on.

        Args:
          n_people, n_days: public.
          seed: of the people; public. Keys and the noise of encryption are the operating system's.

        Raises:
          SpecificationError: if there are too few people to hold any out.
        """
        if n_people < _LEAST_PEOPLE:
            raise SpecificationError(
                f"n_people: expected at least {_LEAST_PEOPLE}, got {n_people}; some are held out to test on"
            )
        cohort = simulate_cohort(SimulatedCohort(n_people=n_people, n_days=n_days, seed=seed)).cohort
        by_day = {
            name: cohort.signal(name).astype(np.float64).reshape(n_people, -1, HOURS_PER_DAY)
            for name in {signal for _, signal, _ in _AVERAGES}
        }
        days = np.stack([_average(by_day[signal][:, :, hours]) for _, signal, hours in _AVERAGES], axis=2)[:, :-1]
        nights = _average(by_day["heart_rate_bpm"][:, 1:, _NIGHT])
        usable = np.isfinite(nights) & np.isfinite(days).all(2)
        is_held_out = np.arange(n_people) >= round(n_people * (1 - _HELD_OUT_SHARE))
        known, other = usable & ~is_held_out[:, None], usable & is_held_out[:, None]
        center, spread = days[known].mean(0), days[known].std(0)
        usual = np.median(nights[known])
        self.rows, self.held_out_rows = (
            np.clip((days[chosen] - center) / spread, -_BOUND, _BOUND) for chosen in (known, other)
        )
        self.labels, self.held_out_labels = ((nights[chosen] > usual).astype(float) for chosen in (known, other))

    def plan(
        self, *, n_epochs: int = 5, learning_rate: float = 1.0, l2: float = 0.05, quantum_safe: bool = False
    ) -> TrainingPlan:
        """A plan for these days; see `plan_training`."""
        return plan_training(
            *self.rows.shape,
            n_epochs=n_epochs,
            learning_rate=learning_rate,
            l2=l2,
            bound=_BOUND,
            quantum_safe=quantum_safe,
        )

    def train(
        self,
        plan: TrainingPlan | None = None,
        *,
        progress: Progress = report_nothing,
        on_epoch: Callable[[TrainingEpoch], None] | None = None,
    ) -> ComparedTraining:
        """Train encrypted and in the clear, and compare.

        Args:
          plan: from `plan`; by default the one without arguments.
          progress, on_epoch: as for `train_encrypted`.

        Raises:
          EncryptionError: if weights run off, as they do with steps too long for the sigmoid's polynomial.
        """
        chosen = self.plan() if plan is None else plan
        found = train_encrypted(self.rows, self.labels, chosen, progress=progress, on_epoch=on_epoch)
        weights = {"encrypted": np.append(found.weights, found.bias)}
        seconds, path = {"encrypted": found.seconds}, np.empty(0)
        sigmoids: dict[str, Sigmoid] = {_SAME: "cubic", _EXACT: "exact"}
        for way, sigmoid in sigmoids.items():
            begin = time.perf_counter()
            plain = train_plainly(self.rows, self.labels, chosen, sigmoid=sigmoid)
            seconds[way] = time.perf_counter() - begin
            weights[way] = plain.path[-1]
            path = plain.path if way == _SAME else path
        same = weights[_SAME]
        table = pd.DataFrame(
            [
                {
                    "way": way,
                    **self._score(find_probabilities(each[:-1], float(each[-1]), self.held_out_rows)),
                    "seconds": seconds[way],
                    "bytes": found.n_bytes if way == "encrypted" else 0,
                    "weight_difference": float(np.abs(each - same).max()),
                }
                for way, each in weights.items()
            ]
        )
        usual = {"way": _USUAL, **self._score(np.full(len(self.held_out_rows), self.labels.mean()))}
        table = pd.concat([table, pd.DataFrame([usual])], ignore_index=True)
        return ComparedTraining(found, table, _tabulate_path(found, path), self._describe(found, table))

    def tabulate_sigmoid(self, largest: float = 9.0, n_points: int = 181) -> pd.DataFrame:
        """The sigmoid and the polynomial that stands for it: logit, exact, cubic, is_trusted.

        Args:
          largest: logits from minus this to this.
          n_points: so many of them.
        """
        logits = np.linspace(-largest, largest, n_points)
        return pd.DataFrame(
            {
                "logit": logits,
                "exact": find_sigmoid(logits),
                "cubic": find_cubic_sigmoid(logits),
                "is_trusted": np.abs(logits) <= TRUSTED_LOGIT,
            }
        )

    def list_views(self) -> pd.DataFrame:
        """Who sees what: what, key_holder, server, whoever_gets_the_weights."""
        hidden, seen = "encrypted", "in the clear"
        return pd.DataFrame(
            [
                ("records and labels", "in the clear, to encrypt them once", hidden, "what weights tell of them"),
                ("weights of every epoch", seen, hidden, "the last ones, in the clear"),
                ("gradient of every epoch", seen, hidden, "not at all"),
                ("records, features, epochs, step, penalty", seen, seen, seen),
                ("sizes and times of messages", seen, seen, "not at all"),
            ],
            columns=["what", "key_holder", "server", "whoever_gets_the_weights"],
        )

    def _score(self, probabilities: np.ndarray) -> dict[str, float]:
        """Accuracy and mean log loss on the people held out."""
        truth = self.held_out_labels
        kept = np.clip(probabilities, 1e-12, 1 - 1e-12)
        loss = -np.mean(truth * np.log(kept) + (1 - truth) * np.log(1 - kept))
        return {"accuracy": float(((probabilities > 0.5) == truth).mean()), "log_loss": float(loss)}

    def _describe(self, found: EncryptedTraining, table: pd.DataFrame) -> str:
        by_way = table.set_index("way")
        encrypted, plain = by_way.loc["encrypted"], by_way.loc[_EXACT]
        return (
            f"Trained on {found.plan.n_records} encrypted days in {encrypted.seconds:.1f} s and {found.n_bytes:,} "
            f"bytes, in the clear in {1000 * plain.seconds:.1f} ms: {encrypted.accuracy:.1%} against "
            f"{plain.accuracy:.1%} right on {len(self.held_out_rows)} days of other people, "
            f"{by_way.loc[_USUAL].accuracy:.1%} by always saying the same. Weights differ from those of the same "
            f"arithmetic in the clear by at most {encrypted.weight_difference:.1e}; the key holder saw the weights of "
            f"all {len(found.epochs)} epochs, the server none."
        )


def _average(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what was measured; NaN where nothing was."""
    n_known = np.isfinite(values).sum(-1)
    return np.where(n_known > 0, np.nansum(values, axis=-1) / np.maximum(n_known, 1), np.nan)


def _tabulate_path(found: EncryptedTraining, path: np.ndarray) -> pd.DataFrame:
    """Weights by epoch and feature, both ways."""
    names = (*FEATURES, "bias")
    return pd.DataFrame(
        [
            {"epoch": epoch.number, "feature": name, "encrypted": epoch.weights[k], "plain": path[epoch.number - 1, k]}
            for epoch in found.epochs
            for k, name in enumerate(names)
        ]
    )
