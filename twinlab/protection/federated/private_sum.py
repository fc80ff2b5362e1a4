"""Person-level privacy at the server: bounded updates, noise on their sum, a divisor that no dropout changes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from twinlab.errors import ProtocolError, SpecificationError

#: Rounding of a mean over many devices in float32, relative to their summed bound.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class PrivateSum:
    """Noise on the sum of updates, so that the model after a round tells little about any one person.

    Each update is shortened to `clip_norm` and counts the same; Gaussian noise of standard deviation
    `noise_multiplier * clip_norm` is added to the sum; the sum is divided by `expected_clients`, a declared number.
    Whoever drops out adds nothing, and neither round nor guarantee suffers (McMahan et al., "Learning differentially
    private recurrent language models", ICLR 2018, with the fixed denominator). One person's presence moves the sum by
    at most `clip_norm`, so a round is one Gaussian event of this multiplier; sampling devices is not counted as
    protection. A device holds one person.

    The promise is against everyone who sees models. The server sees single updates, or their exact sum. Per-round
    reports of a private run carry no losses, but who replied stays visible to the server.

    Attributes:
      clip_norm: bound of one device's update; public.
      noise_multiplier: standard deviation of the noise over the bound; public.
      expected_clients: what sums are divided by; public, never counted from replies.
      noise: noise(shape) draws independent standard normal numbers; handed in, since where protective noise comes from
        is not this module's matter. Never seeded by the run's seed.
      charge: charge(round) pays for one round before its noise is drawn and raises `BudgetExhaustedError` where the
        budget does not allow it; then nothing of the round is released.
      is_noisy_already: whether the devices bounded their updates and added this noise themselves, under sums that hide
        single ones; then nothing is bounded or added here.

    Raises:
      SpecificationError: if a number is out of its limits.
    """

    clip_norm: float
    noise_multiplier: float
    expected_clients: int
    noise: Callable[[tuple[int, ...]], np.ndarray] = field(repr=False)
    charge: Callable[[int], object] = field(repr=False)
    is_noisy_already: bool = False

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.clip_norm < math.inf:
            faults.append(f"clip_norm: expected a number above 0, got {self.clip_norm}")
        if not 0 <= self.noise_multiplier < math.inf:
            faults.append(f"noise_multiplier: expected at least 0, got {self.noise_multiplier}")
        if self.expected_clients < 1:
            faults.append(f"expected_clients: expected at least 1, got {self.expected_clients}")
        if faults:
            raise SpecificationError("private sum cannot work as asked\n" + "\n".join(f"  - {f}" for f in faults))


def make_private_model(
    replies: Sequence[Mapping[str, np.ndarray]],
    sizes: Sequence[int],
    start: Mapping[str, np.ndarray],
    private: PrivateSum,
    round_number: int,
) -> dict[str, np.ndarray]:
    """The next model: the start plus the noisy sum of bounded updates over the expected number of devices.

    Args:
      replies: arrays of each admitted reply; private.
      sizes: devices behind each reply; more than one where a reply is the mean of updates that devices clipped.
      start: the model that they started from.
      private: bound, noise and who pays.
      round_number: of the federation, for whoever pays.

    Raises:
      ProtocolError: if a mean of clipped updates is longer than the bound.
      BudgetExhaustedError: from `private.charge`; nothing was drawn.
    """
    total = {name: np.zeros(value.shape) for name, value in start.items()}
    for arrays, size in zip(replies, sizes, strict=True):
        update = {name: value.astype(np.float64) - start[name] for name, value in arrays.items()}
        norm = math.sqrt(sum(float(np.square(each).sum()) for each in update.values()))
        if not math.isfinite(norm):
            continue  # a broken update counts as none at all; a model that broke would betray it
        factor = min(1.0, private.clip_norm / norm) if norm and not private.is_noisy_already else 1.0
        if size > 1 and not private.is_noisy_already and norm > private.clip_norm * (1 + _ROUNDING):
            raise ProtocolError(
                "private sum: expected a mean of updates that devices clipped to the bound, got a longer one; give "
                "devices a policy with this clip_norm"
            )
        for name, each in update.items():
            total[name] += size * factor * each
    private.charge(round_number)
    scale = 0.0 if private.is_noisy_already else private.noise_multiplier * private.clip_norm
    found = {}
    for name, value in total.items():
        noise = scale * np.asarray(private.noise(value.shape), dtype=np.float64) if scale else 0.0
        found[name] = (start[name] + (value + noise) / private.expected_clients).astype(start[name].dtype)
    return found
