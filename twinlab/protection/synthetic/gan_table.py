"""A private GAN for tables: rows by conditions, every attribute as a choice among its public codes.

Numbers are chosen by bin, as words are by name, and zero and missing are codes like others. A critic then sees a bin as
one of its inputs, which takes far fewer private steps than learning bins from a number: fewer steps, less noise.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from twinlab.budget import Event
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.synthetic.domain import Attribute, CategoricalAttribute, Domain
from twinlab.protection.synthetic.gan import (
    COUNT_NOISE,
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
from twinlab.protection.synthetic.grid_noise import GRID_STEPS, add_gaussian
from twinlab.protection.synthetic.marginal import name_marginal, weigh_table
from twinlab.protection.synthetic.synthetic_table import SyntheticTable, label_rows
from twinlab.roles import Progress, report_nothing

_MOST_CELLS = 1024
_TINY = 1e-9
#: How much louder than a single code a critic sees the place of a number.
_LOUD = 2.0


@dataclass(frozen=True)
class TableGan:
    """Trains a GAN on a table, with noise for the domain's unit.

    Attributes:
      domain: what a table may hold, and whose presence is hidden; public.
      settings: of the training; public.
      conditions: attributes of words that rows are made by rather than made: how often each occurs is counted once with
        noise, and rows can be asked for by them.

    Raises:
      SpecificationError: if a condition is no attribute of words, or nothing is left to be made.
    """

    domain: Domain
    settings: GanSettings
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditions", tuple(self.conditions))
        known = {each.name for each in self.domain.attributes if isinstance(each, CategoricalAttribute)}
        wrong = [name for name in self.conditions if name not in known]
        if wrong or len(set(self.conditions)) < len(self.conditions) or self.n_cells > _MOST_CELLS or not self._made:
            raise SpecificationError(
                f"conditions: expected different attributes of words with up to {_MOST_CELLS} combinations, and one "
                f"attribute left to be made, got {', '.join(self.conditions)}"
            )

    @property
    def method(self) -> str:
        """In words."""
        return "GAN" + (f" given {', '.join(self.conditions)}" if self.conditions else "")

    @property
    def _given(self) -> tuple[int, ...]:
        return tuple(self.domain.find_place(name) for name in sorted(self.conditions, key=self.domain.find_place))

    @property
    def _made(self) -> tuple[int, ...]:
        return tuple(place for place, name in enumerate(self.domain.names) if name not in self.conditions)

    @property
    def n_cells(self) -> int:
        """Combinations of conditions."""
        return math.prod(self.domain.sizes[self.domain.find_place(name)] for name in self.conditions)

    @property
    def made_sizes(self) -> tuple[int, ...]:
        """Codes of each attribute that is made."""
        return tuple(self.domain.sizes[place] for place in self._made)

    def plan(self, n_done: int = 0) -> Event:
        """What a training costs, known before it begins.

        Args:
          n_done: steps that a checkpoint holds, which were paid for when they were taken.
        """
        return self.settings.plan(self.n_cells, n_done)

    def name_training(self, seed: int) -> str:
        """Sixteen hex digits that name all that must be the same for a stopped training to go on."""
        return hashlib.sha256(repr((self.domain, self.settings, self.conditions, seed)).encode()).hexdigest()[:16]

    def train(
        self,
        table: pd.DataFrame,
        open_stepper: OpenStepper,
        noise: GanSource,
        seed: int = 0,
        keeping: Keeping | None = None,
        look: Callable[[int, TrainedTableGan], None] | None = None,
        progress: Progress = report_nothing,
    ) -> TrainedTableGan:
        """Train once; each call costs `plan()` anew.

        Args:
          table: a row a record; private.
          open_stepper: how the critic steps privately.
          noise: randomness that protects.
          seed: of first weights and of what the generator draws for itself; public, it hides nothing.
          keeping: where a checkpoint is written, and how often.
          look: called then as look(step, what is trained so far); what it shows costs nothing more.
          progress: called once a step.

        Raises:
          DataContractError: if the table is not of this domain, or the checkpoint not of this training.
        """
        keeping = replace(keeping or Keeping(), fingerprint=self.name_training(seed))
        examples = self._list_examples(table)
        kept = keeping.load()
        shares = self._count_conditions(table, noise) if kept is None else kept.shares
        conditions = Conditions(self._list_cells(), shares)
        source = torch.Generator().manual_seed(seed)
        n_conditions = conditions.codes.shape[1]
        generator = start_weights(_Generator(self.made_sizes, n_conditions, self.settings), source)
        sight = make_sight([self.domain.attributes[place] for place in (*self._made, *self._given)])
        critic = start_weights(TableCritic(sight, self.settings.n_hidden), source, self.settings.weight_bound)
        trainer = GanTrainer(generator, critic, self._encode, conditions, self.settings)
        if look is not None:
            keeping = replace(keeping, look=lambda step, so_far: look(step, TrainedTableGan(self, so_far, conditions)))
        trained = trainer.train(examples, open_stepper, noise, seed, keeping, progress)
        return TrainedTableGan(self, trained, conditions)

    def _list_examples(self, table: pd.DataFrame) -> Examples:
        """Every unit's rows as one example; private."""
        codes, column = self.domain.encode(table), self.domain.person_column
        weigh_table(table, self.domain)  # refuses a row that is nobody's
        people: np.ndarray
        place: np.ndarray
        if column is None or self.domain.most_rows_per_person is None:
            people, place = np.arange(len(table)), np.zeros(len(table), dtype=np.int64)
        else:
            people = pd.factorize(table[column])[0]
            place = pd.Series(people).groupby(people).cumcount().to_numpy()
            is_kept = place < self.domain.most_rows_per_person
            codes, people, place = codes[:, is_kept], people[is_kept], place[is_kept]
        shape = (int(people.max()) + 1, int(place.max()) + 1)
        values = np.zeros((*shape, len(self._made)), dtype=np.uint8)
        values[people, place] = codes[list(self._made)].T
        cells = np.zeros(shape, dtype=np.int64)
        cells[people, place] = self._find_cells(codes)
        weights = np.zeros(shape, dtype=np.float32)
        weights[people, place] = 1 / np.bincount(people)[people]
        return Examples(*(torch.from_numpy(each) for each in (values, cells, weights)))

    def _encode(self, values: Tensor) -> Tensor:
        """Codes (unit, row, attribute) as 0 and 1 (unit, row, code)."""
        sizes = torch.tensor(self.made_sizes)
        places = values.long() + (sizes.cumsum(0) - sizes)
        return torch.zeros(*values.shape[:2], int(sizes.sum())).scatter_(2, places, 1.0)

    def _find_cells(self, codes: np.ndarray) -> np.ndarray:
        cells = np.zeros(codes.shape[1], dtype=np.int64)
        for place in self._given:
            cells = cells * self.domain.sizes[place] + codes[place]
        return cells

    def list_combinations(self) -> np.ndarray:
        """(cell, condition) codes, the conditions in the domain's order."""
        sizes = [range(self.domain.sizes[place]) for place in self._given]
        return np.array(list(product(*sizes)), dtype=np.int64).reshape(self.n_cells, len(sizes))

    def _list_cells(self) -> Tensor:
        """(cell, code) 0 and 1."""
        parts = [
            nn.functional.one_hot(torch.from_numpy(codes), self.domain.sizes[place]).float()
            for place, codes in zip(self._given, self.list_combinations().T, strict=True)
        ]
        return torch.cat(parts, 1) if parts else torch.zeros(1, 0)

    def _count_conditions(self, table: pd.DataFrame, noise: GanSource) -> Tensor:
        """Shares of conditions, counted with noise where there is more than one."""
        if not self._given:
            return torch.ones(1)
        counts = weigh_table(table, self.domain).count(self._given).ravel()
        if self.settings.noise_multiplier:
            noisy = add_gaussian(counts, COUNT_NOISE * self.settings.noise_multiplier, noise)
        else:
            noisy = counts / GRID_STEPS
        likely = np.maximum(noisy, 0.0) + _TINY
        return torch.from_numpy(likely / likely.sum()).float()


@dataclass(frozen=True, repr=False)
class TrainedTableGan:
    """A generator of rows; all of it may be published.

    Attributes:
      gan: how it was trained.
      generator: from conditions to rows.
      conditions: with their noisy shares.
    """

    gan: TableGan
    generator: nn.Module = field(repr=False)
    conditions: Conditions

    def draw(self, n_rows: int, seed: int = 0, given: Mapping[str, Any] | None = None) -> SyntheticTable:
        """Rows; it costs nobody anything.

        Args:
          n_rows: public.
          seed: of the rows; public, it hides nothing.
          given: a word for some of the conditions, such as {"site": "a"}; the others as often as they were counted.

        Raises:
          SpecificationError: if there is no row, or something is no condition or no such word.
        """
        if n_rows < 1:
            raise SpecificationError(f"n_rows: expected 1 or more, got {n_rows}")
        gan, source = self.gan, torch.Generator().manual_seed(seed)
        shares = self.conditions.shares * torch.from_numpy(self._match(given or {}))
        cells = Conditions(self.conditions.codes, shares / shares.sum()).draw(n_rows, source)
        with torch.no_grad():
            made = self.generator(self.conditions.codes[cells], source)
        codes = np.zeros((len(gan.domain.names), n_rows), dtype=np.int64)
        codes[list(gan._made)] = np.stack([each.argmax(1).numpy() for each in made.split(gan.made_sizes, 1)])
        codes[list(gan._given)] = gan.list_combinations()[cells.numpy()].T
        rows = label_rows(codes, gan.domain, gan.method, np.random.default_rng(seed))
        model = {f"generator {name}": each.numpy() for name, each in self.generator.state_dict().items()}
        measured = {}
        if gan._given:
            name = name_marginal(gan.domain, gan._given)
            model[name] = self.conditions.shares.numpy()
            measured[name] = COUNT_NOISE * gan.settings.noise_multiplier
        return SyntheticTable(rows, model, measured, gan.method, gan.domain, gan.plan())

    def _match(self, given: Mapping[str, Any]) -> np.ndarray:
        """(cell,) 1 where all that is given holds."""
        domain, fits = self.gan.domain, np.ones(self.gan.n_cells, dtype=np.float32)
        for name, word in given.items():
            if name not in self.gan.conditions:
                raise SpecificationError(
                    f"given: expected conditions of the training ({', '.join(self.gan.conditions) or 'none'}), "
                    f"got {name!r}"
                )
            place = domain.find_place(name)
            try:
                code = domain.attributes[place].encode(pd.Series([word]))[0]
            except DataContractError as error:
                raise SpecificationError(f"given: {error}") from None
            fits *= self.gan.list_combinations()[:, self.gan._given.index(place)] == code
        return fits


class _Generator(nn.Module):
    """Rows from conditions and chance."""

    def __init__(self, sizes: tuple[int, ...], n_conditions: int, settings: GanSettings) -> None:
        super().__init__()
        self._sizes, self._n_noise, width = sizes, settings.n_noise, settings.n_hidden
        self.layers = nn.Sequential(
            nn.Linear(settings.n_noise + n_conditions, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, sum(sizes)),
        )

    def forward(self, conditions: Tensor, source: torch.Generator) -> Tensor:
        chance = torch.randn(len(conditions), self._n_noise, generator=source)
        logits = self.layers(torch.cat([chance, conditions], 1))
        return torch.cat([draw_choice(each, source) for each in logits.split(self._sizes, 1)], 1)


class TableCritic(nn.Module):
    """A critic of rows: (unit, row, code) to scores (unit, row).

    Beside single codes it sees where numbers lie, loudly: its weights are small and noisy, and from bins alone it would
    learn what goes with what too late.

    Args:
      sight: (code, sight) what it sees of each code; public.
      n_hidden: width of hidden layers.
    """

    sight: Tensor

    def __init__(self, sight: Tensor, n_hidden: int) -> None:
        """Hold what is seen, and three layers of weights."""
        super().__init__()
        self.register_buffer("sight", sight)
        self.layers = nn.Sequential(
            nn.Linear(sight.shape[1], n_hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(n_hidden, n_hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(n_hidden, 1),
            nn.Flatten(1),
        )

    def forward(self, rows: Tensor) -> Tensor:  # noqa: D102
        scores: Tensor = self.layers(rows @ self.sight)
        return scores


def make_sight(attributes: Sequence[Attribute]) -> Tensor:
    """What a critic sees of each code: the code itself, and the place of its bin, or of a word the word again."""
    blocks = []
    for each in attributes:
        if each.n_ordered:
            place = torch.zeros(each.n_codes, 1)
            place[: each.n_ordered, 0] = torch.linspace(-_LOUD, _LOUD, each.n_ordered)
        else:
            place = _LOUD * torch.eye(each.n_codes)
        blocks.append(place)
    loud = torch.block_diag(*blocks)
    return torch.cat([torch.eye(len(loud)), loud], 1)
