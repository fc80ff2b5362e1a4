"""The OpenDP door: private queries on whole numbers.

All of OpenDP's work here is on integers, where its samplers are exact (Canonne, Kamath and Steinke 2020), so that no
idealized floating-point feature is switched on. "contrib" is: OpenDP keeps that flag on constructors until its own
review of their proofs has ended. Noise is OpenDP's own, from the operating system's randomness, and cannot be seeded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

import numpy as np
import opendp.prelude as opendp

from twinlab.errors import PrivacyError

#: Scales are raised by this share, so that OpenDP's upward rounding stays within what is paid.
_ROUNDING = 1 + 1e-9


class IntegerQuery:
    """A mechanism whose price is known before it sees anything.

    Attributes:
      epsilon: OpenDP's own account of one use, per person.
    """

    def __init__(self, measurement: Any, max_contributions: int, epsilon: float) -> None:
        """Check OpenDP's account against what is about to be paid."""
        with _wrapped_errors():
            self.epsilon = float(measurement.map(max_contributions))
        if self.epsilon > epsilon:
            raise PrivacyError(
                f"OpenDP accounts epsilon {self.epsilon:g} where {epsilon:g} is paid; nothing was released"
            )
        self._measurement = measurement

    def __call__(self, values: np.ndarray) -> Any:
        """Draw the answer. Private: whole numbers."""
        with _wrapped_errors():
            return self._measurement(values.tolist())


def build_counter(max_contributions: int, epsilon: float) -> IntegerQuery:
    """How many values there are. All arguments are public here and below; a person has at most max_contributions."""
    with _wrapped_errors():
        count = opendp.t.make_count(*_space()) >> opendp.m.then_laplace(max_contributions / epsilon * _ROUNDING)
    return IntegerQuery(count, max_contributions, epsilon)


def build_summer(limit: int, max_contributions: int, epsilon: float) -> IntegerQuery:
    """Sum of values, each clamped to -limit to limit."""
    with _wrapped_errors():
        clamped = opendp.t.make_clamp(*_space(), (-limit, limit)) >> opendp.t.then_sum()
        total = clamped >> opendp.m.then_laplace(max_contributions * limit / epsilon * _ROUNDING)
    return IntegerQuery(total, max_contributions, epsilon)


def build_histogram(n_bins: int, max_contributions: int, epsilon: float) -> IntegerQuery:
    """How many values equal each of 0 to n_bins - 1."""
    with _wrapped_errors():
        by_bin = opendp.t.make_count_by_categories(*_space(), list(range(n_bins)), null_category=False)
        counts = by_bin >> opendp.m.then_laplace(max_contributions / epsilon * _ROUNDING)
    return IntegerQuery(counts, max_contributions, epsilon)


def build_selector(candidates: list[int], level: float, max_contributions: int, epsilon: float) -> IntegerQuery:
    """The candidate nearest the quantile of a level, by permute-and-flip."""
    with _wrapped_errors():
        choose = opendp.m.make_private_quantile(
            *_space(),
            opendp.max_divergence(),
            candidates=candidates,
            alpha=float(level),
            scale=find_selection_scale(level, max_contributions, epsilon),
        )
    return IntegerQuery(choose, max_contributions, epsilon)


def find_selection_scale(level: float, max_contributions: int, epsilon: float) -> float:
    """Mean of the exponential noise on each candidate's rank error."""
    return 2 * max(level, 1 - level) * max_contributions / epsilon * _ROUNDING


def draw_gaussian_sums(
    values: np.ndarray, sensitivity: float, *, epsilon: float, delta: float
) -> tuple[np.ndarray, float]:
    """Whole numbers with discrete Gaussian noise, and the noise's standard deviation. The caller has paid.

    Args:
      values: private; whole numbers.
      sensitivity: public; the most that one privacy unit moves them, as a Euclidean length.
      epsilon, delta: public.

    Source: Canonne, Kamath and Steinke, The discrete Gaussian for differential privacy (NeurIPS 2020).
    """
    with _wrapped_errors():
        scale = _find_gaussian_multiplier(epsilon, delta) * sensitivity * _ROUNDING
        noisy = _build_gaussian(scale, delta)
        cost, failing = noisy.map(float(sensitivity))
        if cost > epsilon or failing > delta:
            raise PrivacyError(f"OpenDP accounts epsilon {cost:g} where {epsilon:g} is paid; nothing was released")
        drawn = noisy([int(value) for value in values])
    return np.array(drawn, dtype=np.int64), float(scale)


def _build_gaussian(scale: float, delta: float) -> Any:
    _enable()
    space = opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.l2_distance(T="f64")
    concentrated = opendp.m.make_gaussian(*space, scale)
    return opendp.c.make_fix_delta(opendp.c.make_zCDP_to_approxDP(concentrated), delta)


@lru_cache(maxsize=64)
def _find_gaussian_multiplier(epsilon: float, delta: float) -> float:
    """Noise per unit of sensitivity; OpenDP's bound depends on their ratio alone."""
    return opendp.binary_search_param(
        lambda scale: _build_gaussian(scale, delta), d_in=1.0, d_out=(epsilon, delta), bounds=(1 / 30, 1e6)
    )


@cache
def _enable() -> None:
    """OpenDP's switch for constructors whose review has not ended; it is global, so first use touches it."""
    opendp.enable_features("contrib")


def _space() -> tuple[Any, Any]:
    """Whole numbers, where neighbours differ by added or removed ones."""
    _enable()
    return opendp.vector_domain(opendp.atom_domain(T="i64")), opendp.symmetric_distance()


@contextmanager
def _wrapped_errors() -> Iterator[None]:
    """OpenDP's error as ours, by its kind alone: its text may quote what it was given."""
    try:
        yield
    except opendp.OpenDPException as error:
        raise PrivacyError(
            f"OpenDP: expected a mechanism that it can build, got {error.variant}; check bounds, epsilon and counts"
        ) from None
