"""Many small functions minimised at once, each with a curvature and a step length of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Steps that are remembered, how far one step may lead, and the least decrease it must bring.
_MEMORY, _LONGEST_STEP, _LEAST_DECREASE = 10, 3.0, 1e-4
#: A shorter trial means that what is remembered misleads: it is forgotten.
_SHORTEST_TRIAL, _FIRST_TRIAL = 1e-5, 0.1
#: Where no value fell by this share within so many rounds, nothing more is to be had.
_LEAST_PROGRESS, _PATIENCE = 1e-4, 25

#: (problem, unknown) -> value of each problem (problem,), differentiable. Problems must not mix.
Values = Callable[[Tensor], Tensor]


def descend_each(
    measure: Values, start: Tensor, n_steps: int, is_done: Callable[[Tensor], bool] = lambda value: False
) -> tuple[Tensor, Tensor]:
    """Minimise each problem by L-BFGS, all of them as one tensor program.

    Every round tries one step in each problem. A problem whose value does not fall keeps its place and tries a shorter
    one in the next round, so that no problem waits for another.

    Args:
      measure: what is to become small.
      start: float64 (problem, unknown).
      n_steps: rounds at most.
      is_done: of the values (problem,): whether to end.

    Returns:
      Where each problem ended, and its value there (problem,).

    Source: Nocedal, "Updating quasi-Newton matrices with limited storage", Mathematics of Computation 35, 1980.

    >>> place, value = descend_each(lambda each: ((each - 3) ** 2).sum(1), torch.zeros(2, 1).double(), 20)
    >>> place.round(decimals=6).tolist(), bool((value < 1e-12).all())
    ([[3.0], [3.0]], True)
    """
    here = start.detach().clone()
    value, slope = _measure_slope(measure, here)
    memory = _Memory(here)
    reach = torch.ones(len(here), 1, dtype=here.dtype)
    before = value
    for number in range(1, n_steps + 1):
        if is_done(value):
            break
        way = memory.turn(slope)
        fall = (way * slope).sum(1, keepdim=True)
        # A way that leads up is given up for the steepest one.
        leads_up = ~(fall > 0)
        way = torch.where(leads_up, _shorten(slope, 1.0), way)
        fall = torch.where(leads_up, (way * slope).sum(1, keepdim=True), fall)
        step = -_shorten(reach * way, _LONGEST_STEP)
        new_value, new_slope = _measure_slope(measure, here + step)
        is_lower = (new_value <= value - _LEAST_DECREASE * (reach * fall)[:, 0])[:, None]
        memory.learn(step, new_slope - slope, is_lower)
        here = torch.where(is_lower, here + step, here)
        slope = torch.where(is_lower, new_slope, slope)
        value = torch.where(is_lower[:, 0], new_value, value)
        reach = torch.where(is_lower, (reach * 2).clamp(max=1), reach / 3)
        is_lost = reach < _SHORTEST_TRIAL
        memory.forget(is_lost)
        reach = torch.where(is_lost, torch.full_like(reach, _FIRST_TRIAL), reach)
        if number % _PATIENCE == 0:
            if bool((before - value <= _LEAST_PROGRESS * before.abs()).all()):
                break
            before = value
    return here, value


class _Memory:
    """Steps (memory, problem, unknown) and what they did to the slope, the latest first."""

    def __init__(self, like: Tensor) -> None:
        self._steps, self._bends = (torch.zeros(_MEMORY, *like.shape, dtype=like.dtype) for _ in range(2))
        self._weights = torch.zeros(_MEMORY, len(like), 1, dtype=like.dtype)
        self._scale = torch.ones(len(like), 1, dtype=like.dtype)
        self._is_empty = torch.ones(len(like), 1, dtype=torch.bool)

    def turn(self, slope: Tensor) -> Tensor:
        """A slope times the inverse curvature, by the recursion in two loops."""
        parts = []
        for step, bend, weight in zip(self._steps, self._bends, self._weights, strict=True):
            parts.append(weight * (step * slope).sum(1, keepdim=True))
            slope = slope - parts[-1] * bend
        slope = torch.where(self._is_empty, _shorten(slope, 1.0), slope * self._scale)
        for number in reversed(range(_MEMORY)):
            step, bend, weight = self._steps[number], self._bends[number], self._weights[number]
            slope = slope + step * (parts[number] - weight * (bend * slope).sum(1, keepdim=True))
        return slope

    def learn(self, step: Tensor, bend: Tensor, was_taken: Tensor) -> None:
        """Remember the steps that were taken and bent the slope upwards."""
        product = (step * bend).sum(1, keepdim=True)
        size = bend.square().sum(1, keepdim=True)
        keep = was_taken & (product > 1e-10 * (step.square().sum(1, keepdim=True) * size).sqrt())
        weight = 1 / torch.where(keep, product, torch.ones_like(product))
        self._steps = torch.where(keep, torch.cat([step[None], self._steps[:-1]]), self._steps)
        self._bends = torch.where(keep, torch.cat([bend[None], self._bends[:-1]]), self._bends)
        self._weights = torch.where(keep, torch.cat([weight[None], self._weights[:-1]]), self._weights)
        self._scale = torch.where(keep, product / torch.where(keep, size, torch.ones_like(size)), self._scale)
        self._is_empty = self._is_empty & ~keep

    def forget(self, lost: Tensor) -> None:
        """Start anew in these problems."""
        self._weights = torch.where(lost, torch.zeros_like(self._weights), self._weights)
        self._is_empty = self._is_empty | lost


def _measure_slope(measure: Values, place: Tensor) -> tuple[Tensor, Tensor]:
    place = place.detach().requires_grad_()
    value = measure(place)
    (slope,) = torch.autograd.grad(value.sum(), place)
    return value.detach(), slope


def _shorten(vectors: Tensor, longest: float) -> Tensor:
    """Each vector cut to a length."""
    length = vectors.norm(dim=1, keepdim=True)
    return vectors * (longest / length.clamp(min=longest))
