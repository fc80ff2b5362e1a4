"""Private ridge regression: the pooled weights where everybody's head starts, by descent on people's own products.

For a linear model all that a person's rows say is a matrix of products. So the exact gradient over all rows costs one
small product per person and step, however many rows there are, and private descent on it needs noise in as many
dimensions as there are weights. Noise on the products themselves (Wang, "Revisiting differentially private linear
regression", UAI 2018) is needed in the square of that, which a few hundred people cannot cover.

A public start and a public geometry, such as those of simulated people, cost nothing. The geometry matters: features
that move together make descent slow, and slow descent cannot be bought with steps, since every step needs noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from twinlab.budget import ComposedEvent, Event
from twinlab.errors import DataContractError
from twinlab.fleet import State
from twinlab.protection.differential_privacy.clipping import FactorRule
from twinlab.protection.differential_privacy.descent import BudgetHolder, PrivateTraining, descend, list_events
from twinlab.protection.differential_privacy.randomness import NoiseSource
from twinlab.roles import Progress, report_nothing

#: Added to a public geometry of unit scale before it is inverted, so that what hardly moves is not blown up.
GEOMETRY_RIDGE = 0.01


@dataclass(frozen=True, repr=False)
class PersonProducts:
    """What people's rows say about a linear model of several targets; private.

    Attributes:
      gram: (person, target, feature, feature), mean over the person's known rows of feature x feature.
      right: (person, target, feature), mean over the same rows of feature x answer. Both zero where nothing is known.
    """

    gram: Tensor
    right: Tensor

    @classmethod
    def from_rows(cls, features: Tensor, answers: Tensor) -> PersonProducts:
        """From rows of each person.

        Args:
          features: (person, row, feature); private. A row that is not finite is left out.
          answers: (person, row, target), not finite where unknown; private.
        """
        if features.shape[:2] != answers.shape[:2]:
            raise DataContractError(
                f"products: expected features and answers of the same people and rows, got {tuple(features.shape)} and "
                f"{tuple(answers.shape)}"
            )
        usable = torch.isfinite(features).all(-1, keepdim=True)
        features = torch.where(usable, features, 0.0)
        grams, rights = [], []
        for target in range(answers.shape[-1]):
            answer = answers[..., target : target + 1]
            known = (torch.isfinite(answer) & usable).to(features.dtype)
            mean = known / known.sum(1, keepdim=True).clamp(min=1)
            weighted = features * mean
            grams.append(torch.bmm(weighted.mT, features))
            rights.append((weighted * torch.where(known > 0, answer, 0.0)).sum(1))
        return cls(torch.stack(grams, dim=1), torch.stack(rights, dim=1))

    @classmethod
    def stack(cls, parts: Sequence[PersonProducts]) -> PersonProducts:
        """Targets of several models on the same people, one after another; features must be equally many."""
        return cls(torch.cat([part.gram for part in parts], dim=1), torch.cat([part.right for part in parts], dim=1))

    @property
    def n_people(self) -> int:
        """Number of people; private unless it was declared."""
        return len(self.gram)

    def __repr__(self) -> str:
        return f"PersonProducts({self.gram.shape[1]} targets x {self.gram.shape[2]} features)"

    def find_geometry(self) -> Tensor:
        """(feature, feature): the matrix that makes these people's features move apart; only for simulated people.

        The inverse square root of the mean gram. Of real people it would be a release that nobody paid for.
        """
        mean = self.gram.mean((0, 1)).double()
        values, vectors = torch.linalg.eigh(mean + GEOMETRY_RIDGE * torch.eye(len(mean)).double())
        return (vectors * values.rsqrt() @ vectors.T).float()


@dataclass(frozen=True)
class PooledWeights:
    """What the private regression releases.

    Attributes:
      weights: (target, feature).
      events: what they cost under adding or removing one person.
      is_rehearsal: whether the noise can be reproduced, so that nothing is promised.
    """

    weights: Tensor
    events: tuple[Event, ...]
    is_rehearsal: bool


def fit_pooled_weights(
    products: PersonProducts,
    start: Tensor,
    settings: PrivateTraining,
    noise: NoiseSource,
    geometry: Tensor | None = None,
    progress: Progress = report_nothing,
    ledger: BudgetHolder | None = None,
) -> PooledWeights:
    """Fit the weights of all targets together: one bound per person for all of them.

    Args:
      products: of people; private.
      start: (target, feature); public: zeros, the output layer of a released network, or weights of simulated people.
      settings: public.
      noise: where protective noise comes from.
      geometry: (feature, feature), public: descends in coordinates in which features move apart.
      progress: called once a step.
      ledger: charged before any noise is drawn; None where the caller has charged it.
    """
    events = list_events(settings, 1)[0]
    if ledger is not None:
        ledger.spend(ComposedEvent(events), purpose="pooled weights")
    weights = WeightsTrainer(products, start, geometry).train(1, settings, noise, progress)["weights"][0]
    return PooledWeights(weights, events, noise.is_rehearsal)


class WeightsTrainer:
    """Trains many pooled weights at once on the same people, each with its own noise.

    Args:
      products: of people; private.
      start: (target, feature), or (seed, target, feature); public.
      geometry: (feature, feature), public.
    """

    def __init__(self, products: PersonProducts, start: Tensor, geometry: Tensor | None = None) -> None:
        """Move people's products into the geometry, once for all."""
        if not products.n_people:
            raise DataContractError("pooled weights: expected the products of at least one person, got nobody's")
        self._back = torch.eye(start.shape[-1]) if geometry is None else geometry
        self._source = _ProductSource(self._back.T @ products.gram @ self._back, products.right @ self._back)
        self._start = start if start.dim() == 3 else start[None]

    def make_start(self) -> State:
        """The start of one model per seed: {"weights": (seed, target, feature)}."""
        return {"weights": self._start}

    def train(
        self,
        n_copies: int,
        settings: PrivateTraining,
        noise: NoiseSource,
        progress: Progress,
        members: Tensor | None = None,
    ) -> State:
        """Copies of the start after private descent: {"weights": (model, target, feature)}.

        Args:
          n_copies: of each start.
          settings: public; the same number of steps for all models where `members` is given.
          noise: where protective noise comes from.
          progress: called once a step.
          members: bool (model, person), who trains which model, as shadow models need it; everybody when None. Private.
        """
        start = self._start.repeat(n_copies, 1, 1)
        begin = torch.linalg.solve(self._back, start.mT).mT
        source = self._source if members is None else _MembersOnly(self._source, members, settings)
        flat = descend(source, begin.flatten(1), settings, noise, progress)
        return {"weights": flat.view(start.shape) @ self._back.T}


class _MembersOnly:
    """The gradients of each model's own people."""

    def __init__(self, source: _ProductSource, members: Tensor, settings: PrivateTraining) -> None:
        if members.shape[1] != source.n_people or not isinstance(settings.n_steps, int):
            raise DataContractError(
                f"pooled weights: expected members (model, {source.n_people} people) and one number of steps for all "
                f"models, got members {tuple(members.shape)} and steps {settings.n_steps}"
            )
        self._source, self._members, self.n_people = source, members, source.n_people

    def sum_bounded(
        self, parameters: Tensor, step: int, rule: FactorRule, included: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The sum over members alone."""
        taking_part = self._members if included is None else self._members & included
        return self._source.sum_bounded(parameters, step, rule, taking_part)


class _ProductSource:
    """Gradients of half the mean squared error, from products."""

    def __init__(self, gram: Tensor, right: Tensor) -> None:
        finite = torch.isfinite(gram).all(-1).all(-1).all(-1) & torch.isfinite(right).all(-1).all(-1)
        self.n_people, n_targets, n_features = right.shape
        # target by target all people's rows lie in one matrix, which is read once a step for all models
        by_target = torch.where(finite[:, None, None, None], gram, 0.0).transpose(0, 1).contiguous()
        self._gram = by_target.view(n_targets, self.n_people * n_features, n_features)
        self._right = torch.where(finite[:, None, None], right, 0.0)

    def sum_bounded(
        self, parameters: Tensor, step: int, rule: FactorRule, included: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The sum and the norms; the step does not matter, since every step sees all rows."""
        n_models, (_, n_targets, n_features) = len(parameters), self._right.shape
        weights = parameters.view(n_models, n_targets, n_features)
        moved = torch.bmm(self._gram, weights.permute(1, 2, 0))  # (target, person x feature, model)
        by_model = moved.view(n_targets, self.n_people, n_features, n_models).permute(3, 1, 0, 2)
        gradient = (by_model - self._right).flatten(2)
        norms = torch.linalg.vector_norm(gradient, dim=2)
        factors = torch.where(torch.isfinite(norms), rule(norms), 0.0)
        if not bool(torch.isfinite(norms).all()):
            gradient = torch.where(torch.isfinite(norms)[..., None], gradient, 0.0)
        if included is not None:
            factors = factors * included
        return torch.bmm(factors[:, None], gradient)[:, 0], norms
