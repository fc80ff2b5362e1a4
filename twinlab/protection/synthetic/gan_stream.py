"""A private GAN for days of hourly readings: 24 hours of every signal at once, by convolution along the hours.

In each hour a signal is missing, at its lower end (no steps at night), or has a value; which of the three is drawn, so
that silence looks like silence. Days are made one by one: nothing here says which days are one person's, so what takes
several days to show, such as a person's own level, is not in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from twinlab.budget import Event
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.synthetic.domain import CategoricalAttribute
from twinlab.protection.synthetic.gan import (
    Conditions,
    Examples,
    GanSettings,
    GanSource,
    GanTrainer,
    Keeping,
    OpenStepper,
    draw_choice,
    start_weights,
)
from twinlab.roles import CohortView, Progress, report_nothing
from twinlab.signals import get_signal

HOURS: Final = 24
#: What a day may be made by without asking anybody: the calendar.
WEEKEND: Final = CategoricalAttribute("is_weekend", (False, True))
#: Of each signal in an hour: the value, and whether there is one, the lower end, or nothing.
_N_CHANNELS = 4
_VALUE, _LOWER, _MISSING = range(3)
#: Kernel of convolutions along the hours, and hours of a made-up day before it is unfolded twice.
_KERNEL, _COARSE = 5, 6


@dataclass(frozen=True)
class StreamGan:
    """Trains a GAN on days of hourly readings, with noise for a person with all of their days.

    Attributes:
      signals: from `twinlab.signals`; public.
      settings: of the training; public.
      most_days_per_person: later days of a person are left out; public.
      condition: what days are made by: `WEEKEND`, or a column of the people's attributes with a public list of words.
        Days are asked for by its words; how often each occurs among the people is never counted.

    Raises:
      SpecificationError: if a signal is not known or there is none, or no day is allowed.
    """

    signals: tuple[str, ...]
    settings: GanSettings
    most_days_per_person: int = 28
    condition: CategoricalAttribute | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", tuple(self.signals))
        if not self.signals or len({get_signal(name).name for name in self.signals}) < len(self.signals):
            raise SpecificationError(f"signals: expected one or more different ones, got {', '.join(self.signals)}")
        if self.most_days_per_person < 1:
            raise SpecificationError(f"most_days_per_person: expected 1 or more, got {self.most_days_per_person}")

    @property
    def method(self) -> str:
        """In words."""
        return "stream GAN" + (f" given {self.condition.name}" if self.condition else "")

    def plan(self, n_done: int = 0) -> Event:
        """What a training costs a person, known before it begins.

        Args:
          n_done: steps that a checkpoint holds, which were paid for when they were taken.
        """
        return self.settings.plan(1, n_done)

    def name_training(self, seed: int) -> str:
        """Sixteen hex digits that name all that must be the same for a stopped training to go on."""
        return hashlib.sha256(repr((self, seed)).encode()).hexdigest()[:16]

    def train(
        self,
        people: CohortView,
        open_stepper: OpenStepper,
        noise: GanSource,
        seed: int = 0,
        keeping: Keeping | None = None,
        look: Callable[[int, TrainedStreamGan], None] | None = None,
        progress: Progress = report_nothing,
    ) -> TrainedStreamGan:
        """Train once; each call costs `plan()` anew.

        Args:
          people: private. When their readings begin, and so what a weekend is, is taken as public.
          open_stepper: how the critic steps privately.
          noise: randomness that protects.
          seed: of first weights and of what the generator draws for itself; public, it hides nothing.
          keeping: where a checkpoint is written, and how often.
          look: called then as look(step, what is trained so far); what it shows costs nothing more.
          progress: called once a step.

        Raises:
          DataContractError: if the people have no whole day, no such signal or attribute, or the checkpoint is another
            training's.
        """
        keeping = replace(keeping or Keeping(), fingerprint=self.name_training(seed))
        n_cells = self.condition.n_codes if self.condition else 1
        codes = torch.eye(n_cells) if self.condition else torch.zeros(1, 0)
        conditions = Conditions(codes, torch.full((n_cells,), 1 / n_cells))
        source = torch.Generator().manual_seed(seed)
        n_channels = _N_CHANNELS * len(self.signals)
        generator = start_weights(_Generator(n_channels, codes.shape[1], self.settings), source)
        critic = start_weights(
            StreamCritic(n_channels, codes.shape[1], self.settings.n_hidden), source, self.settings.weight_bound
        )
        trainer = GanTrainer(generator, critic, _spread, conditions, self.settings)
        if look is not None:
            keeping = replace(keeping, look=lambda step, so_far: look(step, TrainedStreamGan(self, so_far, conditions)))
        trained = trainer.train(self.list_examples(people), open_stepper, noise, seed, keeping, progress)
        return TrainedStreamGan(self, trained, conditions)

    def list_examples(self, people: CohortView) -> Examples:
        """Every person's days as one example; private."""
        absent = [name for name in self.signals if name not in people.signals]
        first = -people.start.hour % HOURS
        n_days = min((people.n_hours - first) // HOURS, self.most_days_per_person)
        if absent or n_days < 1:
            raise DataContractError(
                f"people: expected whole days of {', '.join(self.signals)}, got {max(n_days, 0)} days and no "
                f"{', '.join(absent) or 'others'}"
            )
        columns = [people.signals.index(name) for name in self.signals]
        hours = people.values[:, first : first + n_days * HOURS, columns]
        days = hours.reshape(people.n_people, n_days, HOURS, len(columns))
        is_day = np.isfinite(days).any((2, 3))
        weights = is_day / np.maximum(is_day.sum(1, keepdims=True), 1)
        channels = scale_readings(days, self.signals)
        cells = self._find_cells(people, people.start + pd.Timedelta(hours=first), n_days)
        return Examples(torch.from_numpy(channels), torch.from_numpy(cells), torch.from_numpy(weights).float())

    def _find_cells(self, people: CohortView, start: pd.Timestamp, n_days: int) -> np.ndarray:
        """(person, day) number of each day's condition."""
        if self.condition is None:
            return np.zeros((people.n_people, n_days), dtype=np.int64)
        if self.condition == WEEKEND:
            days = pd.date_range(start, periods=n_days, freq="D")
            return np.tile((days.day_of_week >= 5).astype(np.int64), (people.n_people, 1))
        if self.condition.name not in people.attributes:
            raise DataContractError(f"people: expected an attribute {self.condition.name!r}, got none of that name")
        own = self.condition.encode(people.attributes[self.condition.name])
        return np.repeat(own[:, None], n_days, axis=1)


@dataclass(frozen=True, repr=False)
class TrainedStreamGan:
    """A generator of days; all of it may be published.

    Attributes:
      gan: how it was trained.
      generator: from conditions to days.
      conditions: all alike.
    """

    gan: StreamGan
    generator: nn.Module = field(repr=False)
    conditions: Conditions

    def draw(self, n_days: int, seed: int = 0, words: Sequence[Any] | None = None) -> np.ndarray:
        """Days; it costs nobody anything.

        Args:
          n_days: public.
          seed: of the days; public, it hides nothing.
          words: (day,) the condition of each day; all of its words in turn when None.

        Returns:
          Readings float32 (day, hour, signal), NaN where missing.

        Raises:
          SpecificationError: if there is no day, or words are not the condition's.
        """
        known = self.gan.condition.categories if self.gan.condition else (None,)
        asked = [known[day % len(known)] for day in range(n_days)] if words is None else list(words)
        if n_days < 1 or len(asked) != n_days or not set(asked) <= set(known):
            raise SpecificationError(
                f"draw: expected 1 day or more and a word of {', '.join(map(str, known))} for each, got {n_days} days "
                f"and {len(asked)} words"
            )
        cells = torch.tensor([known.index(word) for word in asked])
        with torch.no_grad():
            made = self.generator(self.conditions.codes[cells], torch.Generator().manual_seed(seed))
        return unscale_readings(made.numpy(), self.gan.signals)


def scale_readings(days: np.ndarray, signals: tuple[str, ...]) -> np.ndarray:
    """Readings as the critic sees them.

    Args:
      days: (..., hour, signal), NaN where missing.
      signals: of the last axis.

    Returns:
      float32 (..., signal x 4 x hour): of each signal a value from -1 to 1, 0 where there is none, and whether it is a
      value, the lower end, or missing, as 0 and 1.
    """
    parts = []
    for place, name in enumerate(signals):
        known, own = get_signal(name), days[..., place]
        is_missing = ~np.isfinite(own)
        is_lower = own == known.lower
        low, high = (np.arcsinh((each - known.center) / known.spread) for each in (known.lower, known.upper))
        bent = np.arcsinh((np.where(is_missing, known.lower, own) - known.center) / known.spread)
        is_value = ~(is_missing | is_lower)
        value = np.where(is_value, 2 * (bent - low) / (high - low) - 1, 0.0)
        parts += [value, is_value, is_lower, is_missing]
    return np.concatenate([np.asarray(each, dtype=np.float32) for each in parts], axis=-1)


def unscale_readings(made: np.ndarray, signals: tuple[str, ...]) -> np.ndarray:
    """The reverse: (day, signal x 4 x hour) to readings (day, hour, signal), within public bounds."""
    channels = made.reshape(len(made), len(signals), _N_CHANNELS, HOURS)
    readings = np.empty((len(made), HOURS, len(signals)), dtype=np.float32)
    for place, name in enumerate(signals):
        known, own = get_signal(name), channels[:, place]
        low, high = (np.arcsinh((each - known.center) / known.spread) for each in (known.lower, known.upper))
        bent = low + (own[:, 0] + 1) / 2 * (high - low)
        value = np.clip(known.center + known.spread * np.sinh(bent), known.lower, known.upper)
        kind = own[:, 1:].argmax(1)
        readings[..., place] = np.where(kind == _MISSING, np.nan, np.where(kind == _LOWER, known.lower, value))
    return readings


def _spread(values: Tensor) -> Tensor:
    """Days are kept as the critic sees them."""
    return values


class _Generator(nn.Module):
    """Days from conditions and chance: a coarse day, unfolded twice."""

    def __init__(self, n_channels: int, n_conditions: int, settings: GanSettings) -> None:
        super().__init__()
        self._n_noise, self._width, self._n_signals = settings.n_noise, settings.n_hidden, n_channels // _N_CHANNELS
        self.first = nn.Linear(settings.n_noise + n_conditions, self._width * _COARSE)
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv1d(self._width, self._width, _KERNEL, padding="same"),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv1d(self._width, n_channels, _KERNEL, padding="same"),
        )
        # What each hour is like on its own: without it, hours are alike but for the edges of the day.
        self.hours = nn.Parameter(torch.zeros(n_channels, HOURS))

    def forward(self, conditions: Tensor, source: torch.Generator) -> Tensor:
        chance = torch.randn(len(conditions), self._n_noise, generator=source)
        coarse = self.first(torch.cat([chance, conditions], 1)).view(-1, self._width, _COARSE)
        logits = (self.layers(coarse) + self.hours).unflatten(1, (self._n_signals, _N_CHANNELS))
        kind = draw_choice(logits[:, :, 1:].transpose(2, 3), source).transpose(2, 3)
        value = torch.tanh(logits[:, :, :1]) * kind[:, :, :1]
        return torch.cat([value, kind], 2).flatten(1)


class StreamCritic(nn.Module):
    """A critic of days: (person, day, channel x hour and condition) to scores (person, day).

    The convolution runs along the hours of each day; days stand on an axis of their own, so that a person stays one
    example for whoever bounds gradients.
    """

    def __init__(self, n_channels: int, n_conditions: int, n_hidden: int) -> None:
        """Hold three layers of weights."""
        super().__init__()
        self._n_channels = n_channels
        kernel, stride, padding = (1, _KERNEL), (1, 2), (0, _KERNEL // 2)
        self.first = nn.Conv2d(n_channels + n_conditions, n_hidden, kernel, stride, padding)
        self.second = nn.Conv2d(n_hidden, n_hidden, kernel, stride, padding)
        self.last = nn.Linear(n_hidden * HOURS // 4, 1)
        self.bend = nn.LeakyReLU(0.2)

    def forward(self, days: Tensor) -> Tensor:  # noqa: D102
        hours = days[..., : self._n_channels * HOURS].unflatten(2, (self._n_channels, HOURS))
        conditions = days[..., self._n_channels * HOURS :, None].expand(-1, -1, -1, HOURS)
        seen = torch.cat([hours, conditions], 2).transpose(1, 2)
        folded = self.bend(self.second(self.bend(self.first(seen))))
        scores: Tensor = self.last(folded.transpose(1, 2).flatten(2)).squeeze(2)
        return scores
