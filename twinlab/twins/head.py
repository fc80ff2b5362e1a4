"""The personal head: Bayesian linear regression per person, updated in closed form with every reading.

A person's weights w follow the prior N(w0, s2 S) and, hour by hour, drift away from what was learned:

    w_t - w0 = sqrt(1 - q) (w_(t-1) - w0) + noise,  noise ~ N(0, q s2 S)         (q: process noise per hour)
    y_t = w_t' f_t + e_t,                           e_t ~ N(0, s2)

which is a Kalman filter whose stationary distribution is the prior: a gap in the data brings a head back to the
population instead of letting its uncertainty explode. Covariances are kept in units of the noise variance s2, so
signals measured in the same hours share one covariance. All people, all heads of a person and all signals move at once.

Source: West and Harrison, Bayesian Forecasting and Dynamic Models (1997), chapter 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class HeadPrior:
    """Where every head starts and what it drifts back to; released with the population.

    Attributes:
      mean: (head, target, feature), the pooled weights w0.
      covariance: (group, feature, feature), S in units of the noise variance; one for all when there is one group.
      group_of_target: (target,), which covariance a target uses.
      process_noise: (feature,), share q of the prior variance that is added per hour.
    """

    mean: Tensor
    covariance: Tensor
    group_of_target: Tensor
    process_noise: Tensor

    @property
    def is_diagonal(self) -> bool:
        """Whether S is diagonal, which saves a pass over all covariances per hour."""
        off_diagonal = self.covariance - torch.diag_embed(torch.diagonal(self.covariance, dim1=-2, dim2=-1))
        return not bool(off_diagonal.any())


class PersonalHeads:
    """The state of many people's heads at one hour; private, it stays with the person.

    Args:
      prior: public or released.
      n_people: how many people.

    Attributes:
      weights: (person, head, target, feature).
      covariance: (person, head, group, feature, feature), in units of the noise variance.
    """

    def __init__(self, prior: HeadPrior, n_people: int) -> None:
        """Start with nothing read."""
        n_heads, n_targets, n_features = prior.mean.shape
        n_groups = len(prior.covariance)
        self.prior = prior
        groups = prior.group_of_target.tolist()
        self._firsts = torch.tensor([groups.index(group) for group in range(n_groups)], dtype=torch.long)
        self._keep = (1 - prior.process_noise).sqrt()
        self._is_uniform = bool((prior.process_noise == prior.process_noise[0]).all())
        self._added = prior.covariance - self._keep[:, None] * prior.covariance * self._keep
        self._is_diagonal = prior.is_diagonal
        self.weights = prior.mean.expand(n_people, n_heads, n_targets, n_features).clone()
        self.covariance = prior.covariance.expand(n_people, n_heads, n_groups, n_features, n_features).clone()

    def predict(self, features: Tensor, heads: Tensor | slice = slice(None)) -> Tensor:
        """Expected value (person, question, target) of questions (person, question, feature), each put to one head.

        Args:
          features: what to multiply the weights with.
          heads: which head answers each question; question i is answered by head i when left out.
        """
        return torch.matmul(self.weights[:, heads], features[..., None])[..., 0]

    def variance(self, features: Tensor) -> Tensor:
        """f' P f, in units of the noise variance: (person, head, target)."""
        spread = self._spread(features)
        return (spread * features[:, :, None]).sum(-1)[..., self.prior.group_of_target]

    def update(self, features: Tensor, targets: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Take in one reading per head and let an hour pass.

        Args:
          features: (person, head, feature).
          targets: (person, head, target), anything but NaN where not observed.
          observed: bool (person, head, target); targets of one group are observed together.

        Returns:
          The error of the expectation before the reading, and its variance f' P f + 1 in units of the noise variance,
          both (person, head, target).
        """
        prior = self.prior
        error = targets - self.predict(features)
        spread = self._spread(features)
        variance = (spread * features[:, :, None]).sum(-1) + 1
        seen = observed[..., self._firsts].to(spread.dtype)
        # Dividing by the square root on both sides keeps the covariance symmetric to the last bit.
        direction = spread * (seen / variance.sqrt())[..., None]
        gain = (spread * (seen / variance)[..., None])[:, :, prior.group_of_target]
        self.weights += gain * error[..., None]
        flat, covariance = direction.flatten(0, 2), self.covariance.flatten(0, 2)
        keep = float(self._keep[0]) ** 2 if self._is_uniform else 1.0
        torch.baddbmm(covariance, flat[:, :, None], flat[:, None, :], beta=keep, alpha=-keep, out=covariance)
        self._drift()
        return error, variance[..., prior.group_of_target]

    def find_gain(self, features: Tensor, observed: Tensor) -> Tensor:
        """By how much the weights would move per unit of error: (person, head, group, feature).

        Args:
          features: (person, head, feature).
          observed: bool (person, head, target); targets of one group are observed together.
        """
        spread = self._spread(features)
        variance = (spread * features[:, :, None]).sum(-1) + 1
        seen = observed[..., self._firsts].to(spread.dtype)
        return spread * (seen / variance)[..., None]

    def drift_towards_prior(self, response: Tensor) -> None:
        """Let an hour pass for how weights respond to where they started: (..., feature, feature), in place."""
        response.mul_(self._keep[:, None])
        response.diagonal(dim1=-2, dim2=-1).add_(1 - self._keep)

    def _spread(self, features: Tensor) -> Tensor:
        """P f: (person, head, group, feature)."""
        return torch.matmul(self.covariance, features[:, :, None, :, None])[..., 0]

    def _drift(self) -> None:
        """Towards the prior, by an hour's share; where all weights drift alike the covariance has shrunk already."""
        prior = self.prior
        if not prior.process_noise.any():
            return
        self.weights.sub_(prior.mean).mul_(self._keep).add_(prior.mean)
        if not self._is_uniform:
            self.covariance.mul_(self._keep[:, None] * self._keep)
        if self._is_diagonal:
            self.covariance.diagonal(dim1=-2, dim2=-1).add_(self._added.diagonal(dim1=-2, dim2=-1))
        else:
            self.covariance.add_(self._added)


def group_targets(measured: Tensor) -> Tensor:
    """(target,) group number: targets measured in exactly the same hours of the same people share a covariance.

    Args:
      measured: bool (person, hour, target); private.
    """
    groups: list[Tensor] = []
    numbers = []
    for target in range(measured.shape[-1]):
        mask = measured[..., target]
        same = [number for number, other in enumerate(groups) if torch.equal(mask, other)]
        if not same:
            groups.append(mask)
        numbers.append(same[0] if same else len(groups) - 1)
    return torch.tensor(numbers, dtype=torch.long)
