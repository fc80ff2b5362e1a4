"""The part of the twin that everybody shares: the backbone and where a personal head starts. This part is released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from twinlab.errors import DataContractError
from twinlab.experiment import BayesianTwin
from twinlab.fleet import Fleet, State, TrainingSettings
from twinlab.learn_choice import CentralLearning, FederatedLearning
from twinlab.roles import CohortView, Progress, report_nothing
from twinlab.twins.feature import (
    FeatureTable,
    choose_targets,
    count_level,
    count_short,
    require_signals,
)
from twinlab.twins.head import HeadPrior
from twinlab.twins.response import choose_response_targets, count_response, response_prior, tabulate_response

#: Each band of horizons has a head of its own; it learns from readings this many hours ahead, and answers up to ...
ANCHORS = (1, 2, 6, 14, 36)
#: ... this horizon.
BAND_ENDS = (1, 3, 9, 24, 48)
#: Prior variance of a head's weights in units of the noise variance: constants of the project.
FORECAST_PRIOR_VARIANCE = 0.01
#: A forecast's level features follow a change by themselves, so its head may drift this much slower than a response
#: head.
FORECAST_DRIFT = 0.05
_RIDGE = 10.0
_ROWS_PER_EPOCH = 120_000
_BATCH_ROWS = 1024
_PEOPLE_AT_ONCE = 16
_PEOPLE_FOR_PRIOR = 500


@dataclass(frozen=True)
class Population:
    """What training on a cohort releases.

    Attributes:
      twin: the choices it was made with; public.
      learn: how it was trained; public.
      signals: what the cohort measures, in the order of the inputs.
      targets: signals that are forecast.
      backbone: parameters of a fleet of one, short features to features.
      forecast_mean: (band, target, feature): pooled weights w0, where heads start.
      forecast_covariance: (1 or target, feature, feature): prior covariance in units of the noise variance.
      response_mean: (response target, feature).
      response_covariance: (1 or response target, feature, feature).
    """

    twin: BayesianTwin
    learn: CentralLearning | FederatedLearning
    signals: tuple[str, ...]
    targets: tuple[str, ...]
    backbone: State = field(repr=False)
    forecast_mean: Tensor = field(repr=False)
    forecast_covariance: Tensor = field(repr=False)
    response_mean: Tensor = field(repr=False)
    response_covariance: Tensor = field(repr=False)

    @property
    def fleet(self) -> Fleet:
        """The shape of the backbone, as a fleet of one."""
        return make_backbone(self.twin, self.signals, self.targets, n_models=1)

    @property
    def response_targets(self) -> tuple[str, ...]:
        """Signals that answer a person's activity."""
        return choose_response_targets(self.signals, self.targets)

    @property
    def anchors(self) -> tuple[int, ...]:
        """The horizon that each band's head learns from."""
        return ANCHORS[: self.band_of(self.twin.max_horizon_hours) + 1]

    def band_of(self, horizon: int) -> int:
        """Which head answers this horizon."""
        return next(band for band, end in enumerate(BAND_ENDS) if horizon <= end)

    def forecast_features(self, table: FeatureTable, horizon: int) -> Tensor:
        """float32 (person, hour, feature) by origin hour: the backbone's, the level's, the clock's, and one."""
        short = torch.from_numpy(table.short(horizon))
        shape = short.shape[:2]
        shared = self.fleet.features(self.backbone, short.flatten(0, 1))[0].view(*shape, -1)
        clock = torch.from_numpy(table.clock_ahead(horizon)).expand(*shape, -1)
        return torch.cat([shared, torch.from_numpy(table.level(horizon)), clock, torch.ones(*shape, 1)], dim=-1)

    def forecast_prior(self, group_of_target: Tensor) -> HeadPrior:
        """Where forecast heads start, for targets grouped by `head.group_targets`."""
        noise = torch.full((self.forecast_mean.shape[-1],), self.twin.process_noise * FORECAST_DRIFT)
        return _make_prior(self.forecast_mean, self.forecast_covariance, group_of_target, noise)

    def response_prior(self, group_of_target: Tensor) -> HeadPrior:
        """Where response heads start."""
        noise = response_prior(self.signals, self.twin.process_noise)[1]
        return _make_prior(self.response_mean[None], self.response_covariance, group_of_target, noise)

    def state(self) -> dict[str, Tensor]:
        """Everything that was learned from people, by name: what a release of this population contains."""
        learned = {f"backbone.{name}": value for name, value in self.backbone.items()}
        learned |= {"forecast_mean": self.forecast_mean, "response_mean": self.response_mean}
        if self.twin.prior == "empirical_bayes":
            learned |= {
                "forecast_covariance": self.forecast_covariance,
                "response_covariance": self.response_covariance,
            }
        return learned


def _make_prior(mean: Tensor, covariance: Tensor, group_of_target: Tensor, process_noise: Tensor) -> HeadPrior:
    """Targets measured together share a covariance as long as they share its prior."""
    if len(covariance) > 1:
        return HeadPrior(mean, covariance, torch.arange(len(covariance)), process_noise)
    n_groups = int(group_of_target.max()) + 1 if len(group_of_target) else 0
    return HeadPrior(mean, covariance.expand(n_groups, -1, -1), group_of_target, process_noise)


def make_backbone(twin: BayesianTwin, signals: tuple[str, ...], targets: tuple[str, ...], n_models: int) -> Fleet:
    """The shape of the shared network: short features, two hidden layers, one output per target."""
    widths = (count_short(signals), twin.hidden_width, twin.n_features, len(targets))
    return Fleet(n_models, widths, activation=twin.activation)


def first_test_hours(cohort: CohortView, train_fraction: float) -> np.ndarray:
    """int (person,): the hour at which each person's own test time begins.

    Hours in which anything was measured are counted; the first share of them trains.
    """
    measured = ~np.isnan(cohort.values).all(axis=2)
    so_far = measured.cumsum(axis=1)
    return (so_far <= np.ceil(train_fraction * so_far[:, -1:])).sum(axis=1)


def train_population(
    cohort: CohortView,
    twin: BayesianTwin | None = None,
    learn: CentralLearning | None = None,
    seed: int = 0,
    progress: Progress = report_nothing,
    people: Sequence[str] | None = None,
) -> Population:
    """Train what everybody shares, on the first part of each person's time.

    Args:
      cohort: whose readings train; private. Its signals are public.
      twin: choices of the model; defaults when None.
      learn: how to train; defaults when None. Only hours before `train_fraction` of a person's own time are used.
      seed: initial weights and order of rows; public.
      progress: called once an epoch.
      people: ids of those who train; all when None.

    Returns:
      The population. With prior "public" it holds averages over people (backbone and pooled weights) and constants.
      With "empirical_bayes" it also holds how training people differ from each other, which says more about each of
      them.

    Raises:
      SpecificationError: if a target is not in the cohort.
      DataContractError: if nobody has two measured hours in a row to learn from.
    """
    twin, learn = twin or BayesianTwin(), learn or CentralLearning()
    trainers = cohort if people is None else cohort.select(people=people)
    targets = choose_targets(cohort.signals, twin.targets)
    rows = list(_training_rows(trainers, twin, learn, targets, seed))
    inputs, outputs = (torch.cat([part[column] for part in rows]) for column in (0, 1))
    if not len(inputs):
        raise DataContractError(
            f"cohort {cohort.name!r}: expected at least one measured hour after another in the training time, got none"
        )
    backbone = train_backbones(twin, learn, cohort.signals, targets, inputs, outputs, [seed], progress)
    untrained = assemble_population(twin, learn, cohort.signals, targets, backbone)
    return fit_prior(untrained, trainers)


def train_backbones(
    twin: BayesianTwin,
    learn: CentralLearning,
    signals: tuple[str, ...],
    targets: tuple[str, ...],
    inputs: Tensor,
    outputs: Tensor,
    seeds: Sequence[int],
    progress: Progress = report_nothing,
    learning_rates: Sequence[float] | None = None,
) -> State:
    """Train backbones with several seeds or learning rates at once.

    Args:
      twin, learn, signals, targets: public choices.
      inputs: (row, short feature); private.
      outputs: (row, target), scaled, NaN where not measured; private.
      seeds: one per backbone.
      progress: called once an epoch.
      learning_rates: one per backbone; that of `learn` when None.

    Returns:
      Stacked parameters; `Fleet.model` takes one out.
    """
    fleet = make_backbone(twin, signals, targets, n_models=len(seeds))
    settings = TrainingSettings(
        n_epochs=learn.n_epochs,
        batch_rows=_BATCH_ROWS,
        learning_rate=learn.learning_rate if learning_rates is None else learning_rates,
        schedule="one_cycle",
        order_seed=seeds[0],
    )
    known = ~torch.isnan(outputs)
    return fleet.train(
        fleet.init(seeds), inputs, torch.nan_to_num(outputs), known.to(inputs.dtype), settings, progress
    ).state


def fit_prior(population: Population, cohort: CohortView) -> Population:
    """The same backbone with pooled weights w0 for every head, by ridge regression on sums over people.

    Only sums of products over people enter, so the same can be computed by secure aggregation. With "empirical_bayes",
    the prior covariance is fitted to these people too; with "public" it stays the project's constant.

    Args:
      population: whose backbone to use.
      cohort: training people; private.
    """
    require_signals(cohort, population.signals)
    is_fitted = population.twin.prior == "empirical_bayes"
    statistics = [_Statistics(keeps_people=is_fitted) for _ in (*population.anchors, "response")]
    for chunk in _chunks(cohort):
        table = FeatureTable(chunk, population.targets, population.twin.max_horizon_hours)
        cut = first_test_hours(chunk, population.learn.train_fraction)
        for band, anchor in enumerate(population.anchors):
            answers = list_answers(table, anchor, cut)
            statistics[band].add(population.forecast_features(table, anchor), torch.from_numpy(answers))
        features, answers = tabulate_response(chunk, population.response_targets)
        late = np.arange(chunk.n_hours)[None, :] >= cut[:, None]
        statistics[-1].add(torch.from_numpy(features), torch.from_numpy(np.where(late[..., None], np.nan, answers)))
    fitted = replace(
        population,
        forecast_mean=torch.stack([each.solve() for each in statistics[:-1]]),
        response_mean=statistics[-1].solve(),
    )
    if not is_fitted:
        return fitted
    covariances = [each.fit_covariance(FORECAST_PRIOR_VARIANCE) for each in statistics[:-1]]
    return replace(
        fitted,
        forecast_covariance=torch.stack(covariances).mean(dim=0),
        response_covariance=statistics[-1].fit_covariance(0.1),
    )


def assemble_population(
    twin: BayesianTwin,
    learn: CentralLearning | FederatedLearning,
    signals: tuple[str, ...],
    targets: tuple[str, ...],
    backbone: State,
) -> Population:
    """A population whose heads start at zero with the public prior."""
    n_features = twin.n_features + count_level(targets) + 13 + 1
    n_response = count_response(signals)
    population = Population(
        twin=twin,
        learn=learn,
        signals=signals,
        targets=targets,
        backbone=backbone,
        forecast_mean=torch.zeros(0),
        forecast_covariance=FORECAST_PRIOR_VARIANCE * torch.eye(n_features)[None],
        response_mean=torch.zeros(0),
        response_covariance=response_prior(signals, twin.process_noise)[0][None],
    )
    return replace(
        population,
        forecast_mean=torch.zeros(len(population.anchors), len(targets), n_features),
        response_mean=torch.zeros(len(population.response_targets), n_response),
    )


def list_answers(table: FeatureTable, horizon: int, cut: np.ndarray) -> np.ndarray:
    """float32 (person, hour, target) by origin hour: the reading `horizon` later, NaN if missing or in the test
    time."""
    answers = np.full_like(table.values, np.nan)
    answers[:, : table.n_hours - horizon] = table.values[:, horizon:]
    late = np.arange(table.n_hours)[None, :] + horizon >= cut[:, None]
    answers[late] = np.nan
    return answers


def _chunks(cohort: CohortView) -> Iterator[CohortView]:
    """Some people at a time, so that memory does not grow with the cohort."""
    for first in range(0, cohort.n_people, _PEOPLE_AT_ONCE):
        yield cohort.select(people=cohort.person_ids[first : first + _PEOPLE_AT_ONCE])


def _training_rows(
    cohort: CohortView, twin: BayesianTwin, learn: CentralLearning, targets: tuple[str, ...], seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and answers of the backbone for each chunk of people, thinned when there are very many."""
    anchors = [anchor for anchor, end in zip(ANCHORS, (0, *BAND_ENDS), strict=False) if end < twin.max_horizon_hours]
    n_possible = max(1, int(cohort.n_people * cohort.n_hours * learn.train_fraction * len(anchors)))
    share = min(1.0, _ROWS_PER_EPOCH / n_possible)
    draw = np.random.default_rng(seed)
    for chunk in _chunks(cohort):
        table = FeatureTable(chunk, targets, twin.max_horizon_hours)
        cut = first_test_hours(chunk, learn.train_fraction)
        for anchor in anchors:
            answers = list_answers(table, anchor, cut)
            kept = ~np.isnan(answers).all(axis=2)
            if share < 1:
                kept &= draw.random(kept.shape) < share
            yield torch.from_numpy(table.short(anchor)[kept]), torch.from_numpy(answers[kept])


class _Statistics:
    """Sums of products over people for ridge regression, and per person, if asked, for the first few hundred."""

    def __init__(self, keeps_people: bool) -> None:
        self._keeps_people = keeps_people
        self._products: list[Tensor] = []
        self._total: Tensor | None = None

    def add(self, features: Tensor, answers: Tensor) -> None:
        """Take in (person, hour, feature) and (person, hour, target), NaN where unknown."""
        known = (~torch.isnan(answers)).to(features.dtype)
        answers = torch.nan_to_num(answers)
        per_target = []
        for target in range(answers.shape[-1]):
            weighted = torch.cat([features, answers[..., target : target + 1]], dim=-1) * known[..., target, None]
            per_target.append(torch.bmm(weighted.transpose(1, 2), weighted).double())
        width = features.shape[-1] + 1
        products = (
            torch.stack(per_target, dim=1) if per_target else torch.zeros(len(features), 0, width, width).double()
        )
        self._total = products.sum(0) if self._total is None else self._total + products.sum(0)
        if self._keeps_people and sum(len(each) for each in self._products) < _PEOPLE_FOR_PRIOR:
            self._products.append(products)

    def solve(self) -> Tensor:
        """(target, feature): pooled ridge weights."""
        assert self._total is not None
        gram, right = self._total[:, :-1, :-1], self._total[:, :-1, -1]
        return torch.linalg.solve(gram + _RIDGE * torch.eye(gram.shape[-1]).double(), right).float()

    def fit_covariance(self, start: float) -> Tensor:
        """(target, feature, feature): covariance of people's weights in units of the noise, by EM."""
        products = torch.cat(self._products)
        weights = self.solve().double()
        eye = torch.eye(weights.shape[-1]).double()
        fitted = []
        for target in range(weights.shape[0]):
            gram, right = products[:, target, :-1, :-1], products[:, target, :-1, -1]
            square = products[:, target, -1, -1]
            residual = right - gram @ weights[target]
            energy = square - 2 * right @ weights[target] + (gram @ weights[target]) @ weights[target]
            count = gram[:, -1, -1].sum()
            noise, covariance = energy.sum() / count, start * eye
            for _ in range(10):
                posterior = torch.linalg.inv(gram / noise + torch.linalg.inv(noise * covariance))
                mean = (posterior @ (residual / noise)[..., None])[..., 0]
                second = posterior + mean[:, :, None] * mean[:, None, :]
                left = energy.sum() - 2 * (mean * residual).sum() + (gram * second).sum()
                noise = left / count
                covariance = second.mean(0) / noise + 1e-6 * eye
            fitted.append(covariance.float())
        return torch.stack(fitted)
