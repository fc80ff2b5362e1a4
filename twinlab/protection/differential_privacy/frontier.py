"""The whole curve of privacy against utility: every epsilon and seed trained for real, coarse points first.

All models that take equally many steps train as one fleet; fleets are shared out among threads. The start and the ends
of the curve come first, then what lies between, so that its shape stands long before its last point.

A curve explored on people is itself a release: every point is a training of its own on the same people, and all of them
together cost what `Frontier.events` says. On simulated people it is free.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from twinlab.budget import ComposedEvent, Event
from twinlab.errors import SpecificationError
from twinlab.finding import Finding
from twinlab.fleet import State
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier
from twinlab.protection.differential_privacy.descent import BudgetHolder, PrivateTraining, list_events
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.differential_privacy.schedule import choose_learning_rate, choose_n_steps
from twinlab.roles import Progress, report_nothing

EPSILONS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
SEEDS = (0, 1, 2, 3, 4)
N_WORKERS = 2
#: More models than this at once fill the processor's cache.
_MODELS_AT_ONCE = 16

#: From stacked parameters of some models to scores, lower is better: each name with one number per model.
Evaluate = Callable[[Mapping[str, Tensor]], Mapping[str, Sequence[float]]]


class CurveTrainer(Protocol):
    """What is trained at each point of the curve: networks, or pooled weights."""

    def make_start(self) -> State:
        """Stacked parameters of one model per seed; public."""
        ...

    def train(self, n_copies: int, settings: PrivateTraining, noise: NoiseSource, progress: Progress) -> State:
        """Train so many copies of the start at once, seeds first: stacked parameters.

        Args:
          n_copies: of the start.
          settings: public, with one noise and one learning rate per model.
          noise: of this thread alone.
          progress: called once a step.
        """
        ...


@dataclass(frozen=True)
class Frontier:
    """What will be trained, and what it will cost: public, known before any person's row is read.

    Attributes:
      delta: of every point; public.
      settings: one per epsilon, in increasing order of epsilon.
      epsilons: one per setting.
      seeds: of initial weights; each epsilon is trained once from each.
    """

    delta: float
    settings: tuple[PrivateTraining, ...]
    epsilons: tuple[float, ...]
    seeds: tuple[int, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """The cost of all points together, for whoever's rows train them."""
        each = [list_events(settings, len(self.seeds)) for settings in self.settings]
        return tuple(event for group in each for model in group for event in model)

    @property
    def n_points(self) -> int:
        """Number of trainings."""
        return len(self.epsilons) * len(self.seeds)

    def describe_cost(self, *, is_simulated: bool) -> str:
        """One sentence for whoever is about to explore."""
        if is_simulated:
            return f"These people do not exist: all {self.n_points} trainings are free."
        return (
            f"Exploring is a release: each of the {self.n_points} trainings is paid for by the people it is trained on."
        )


@dataclass(frozen=True)
class FrontierPoint:
    """One trained model.

    Attributes:
      epsilon: what this training alone costs at the frontier's delta; 0 for the start, which saw nobody.
      seed: of the initial weights.
      scores: by name, lower is better.
      events: what it cost.
      state: parameters, stacked as of one model.
      is_rehearsal: whether its noise can be reproduced, so that epsilon promises nothing.
    """

    epsilon: float
    seed: int
    scores: Mapping[str, float]
    events: tuple[Event, ...]
    state: State = field(repr=False)
    is_rehearsal: bool = False


def plan_frontier(
    training: PrivateTraining,
    delta: float,
    epsilons: Sequence[float] = EPSILONS,
    seeds: Sequence[int] = SEEDS,
    n_steps: Callable[[float], int] = choose_n_steps,
    learning_rate: Callable[[float, int, int], float] = choose_learning_rate,
) -> Frontier:
    """Calibrate the noise of every point.

    Args:
      training: what all points have in common; its steps, noise and learning rate are replaced by public rules.
      delta: of every point; public, below one over the number of people.
      epsilons: of the points.
      seeds: of initial weights.
      n_steps: how many steps suit an epsilon.
      learning_rate: which suits a noise multiplier, a number of steps and the expected people.

    Raises:
      SpecificationError: if there is no point, or an epsilon cannot be reached.
    """
    if not epsilons or not seeds:
        raise SpecificationError(f"frontier: expected an epsilon and a seed, got {len(epsilons)} and {len(seeds)}")
    settings = []
    for epsilon in sorted(epsilons):
        steps = n_steps(epsilon)
        noise = calibrate_noise_multiplier(epsilon, delta, training.sampling_probability, steps)
        rate = learning_rate(noise, steps, training.expected_people)
        settings.append(replace(training, n_steps=steps, noise_multiplier=noise, learning_rate=rate))
    return Frontier(delta, tuple(settings), tuple(sorted(epsilons)), tuple(seeds))


def trace_frontier(
    trainer: CurveTrainer,
    frontier: Frontier,
    evaluate: Evaluate,
    progress: Progress = report_nothing,
    rehearsal_seed: int | None = None,
    n_workers: int = N_WORKERS,
    ledger: BudgetHolder | None = None,
) -> Iterator[tuple[FrontierPoint, ...]]:
    """Train the curve, and hand out all seeds of an epsilon as soon as they are done.

    Args:
      trainer: what is trained, and on whom.
      frontier: from `plan_frontier`; public.
      evaluate: scores models, for instance on simulated people; what it reads of people is not protected by this.
      progress: called with steps done, in the caller's thread; raising from it stops everything cleanly.
      rehearsal_seed: makes the noise reproducible, which voids the guarantee; secret noise when None.
      n_workers: threads, each with one core; public.
      ledger: charged with `frontier.events` before any noise is drawn; None for simulated people, or where the caller
        has charged it.

    Yields:
      First the start, which costs nothing; then epsilon by epsilon, the ends of the curve before its middle.
      Closing the iterator stops the training.
    """
    start = trainer.make_start()
    yield _make_points(start, evaluate, 0.0, frontier.seeds, [()] * len(frontier.seeds), is_rehearsal=False)
    if ledger is not None:
        ledger.spend(ComposedEvent(frontier.events), purpose="exploring the frontier")
    groups = group_by_steps(frontier)
    total = sum(int(np.max(frontier.settings[group[0]].n_steps)) for group in groups)
    job = _Job(trainer, frontier, evaluate, rehearsal_seed)
    n_threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(n_workers, "frontier", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for number in order_coarse_first(len(groups)):
            pool.submit(job.train, groups[number])
        done, n_left = 0, len(frontier.epsilons)
        while n_left:
            news = job.news.get()
            if isinstance(news, int):
                done += news
                progress("tracing the frontier", done, total)
            elif isinstance(news, BaseException):
                raise news
            else:
                n_left -= 1
                yield news
    finally:
        job.is_cancelled.set()
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(n_threads)


class _Cancelled(Exception):
    """Raised inside a worker when nobody wants its result any more."""


@dataclass(frozen=True)
class _Job:
    """What workers share."""

    trainer: CurveTrainer
    frontier: Frontier
    evaluate: Evaluate
    rehearsal_seed: int | None
    news: queue.SimpleQueue = field(default_factory=queue.SimpleQueue)
    is_cancelled: threading.Event = field(default_factory=threading.Event)

    def train(self, group: Sequence[int]) -> None:
        """Train all seeds of some epsilons and put points, progress or the error into the queue."""
        try:
            n_seeds = len(self.frontier.seeds)
            each = [self.frontier.settings[point] for point in group]
            noises = [float(np.max(settings.noise_multiplier)) for settings in each for _ in range(n_seeds)]
            rates = [float(np.max(settings.learning_rate)) for settings in each for _ in range(n_seeds)]
            settings = replace(each[0], noise_multiplier=noises, learning_rate=rates)
            noise, events = self._open_noise(group), list_events(settings, len(noises))
            state = self.trainer.train(len(group), settings, noise, self._report)
            for place, point in enumerate(group):
                mine = slice(place * n_seeds, (place + 1) * n_seeds)
                points = _make_points(
                    {name: value[mine] for name, value in state.items()},
                    self.evaluate,
                    self.frontier.epsilons[point],
                    self.frontier.seeds,
                    events[mine],
                    is_rehearsal=noise.is_rehearsal,
                )
                self.news.put(points)
        except _Cancelled:
            pass
        except BaseException as error:
            self.news.put(error)

    def _open_noise(self, group: Sequence[int]) -> NoiseSource:
        """A source for this thread and these points alone."""
        if self.rehearsal_seed is None:
            return open_noise()
        return open_noise(rehearsal=True, seed=self.rehearsal_seed * len(self.frontier.epsilons) + group[0])

    def _report(self, what: str, done: int, total: int) -> None:
        if self.is_cancelled.is_set():
            raise _Cancelled
        self.news.put(1)


def _make_points(
    state: Mapping[str, Tensor],
    evaluate: Evaluate,
    epsilon: float,
    seeds: Sequence[int],
    events: Sequence[tuple[Event, ...]],
    *,
    is_rehearsal: bool,
) -> tuple[FrontierPoint, ...]:
    """A point per model."""
    scores = evaluate(state)
    return tuple(
        FrontierPoint(
            epsilon=epsilon,
            seed=seed,
            scores={name: float(values[k]) for name, values in scores.items()},
            events=tuple(events[k]),
            state={name: value[k : k + 1].clone() for name, value in state.items()},
            is_rehearsal=is_rehearsal,
        )
        for k, seed in enumerate(seeds)
    )


def group_by_steps(frontier: Frontier) -> list[tuple[int, ...]]:
    """Points that take equally many steps and so train as one fleet, at most 16 models; in order of epsilon."""
    groups: list[tuple[int, ...]] = []
    n_at_once = max(1, _MODELS_AT_ONCE // len(frontier.seeds))
    for point, settings in enumerate(frontier.settings):
        last = groups[-1] if groups else ()
        if last and len(last) < n_at_once and frontier.settings[last[0]].n_steps == settings.n_steps:
            groups[-1] = (*last, point)
        else:
            groups.append((point,))
    return groups


def order_coarse_first(n_points: int) -> list[int]:
    """The ends, then again and again the middle of the widest gap.

    >>> order_coarse_first(5)
    [0, 4, 2, 1, 3]
    """
    order = [0, n_points - 1][:n_points]
    while len(order) < n_points:
        known = sorted(order)
        width, low = max((high - low, -low) for low, high in itertools.pairwise(known))
        order.append(-low + width // 2)
    return order


def judge_frontier(points: Sequence[FrontierPoint], score: str) -> Finding:
    """Whether training on people pays at each epsilon, against the start that saw nobody.

    Args:
      points: of a finished curve, the start (epsilon 0) included.
      score: which; lower is better.

    Returns:
      The error at the largest epsilon, with a row per epsilon: mean over seeds, its lowest and highest, the zero-budget
      error, and a verdict.

    Raises:
      SpecificationError: if there is no start or nothing beside it.
    """
    by_epsilon: dict[float, list[float]] = {}
    for point in points:
        by_epsilon.setdefault(point.epsilon, []).append(point.scores[score])
    start = by_epsilon.pop(0.0, None)
    if start is None or not by_epsilon:
        raise SpecificationError("frontier: expected the start (epsilon 0) and at least one trained point")
    nothing = float(np.mean(start))
    table: list[dict[str, Any]] = []
    for epsilon, scores in sorted(by_epsilon.items()):
        mean, n_better = float(np.mean(scores)), sum(each < nothing for each in scores)
        verdict = "train" if n_better == len(scores) else "no clear gain" if mean < nothing else "do not train"
        table.append(
            {
                "epsilon": epsilon,
                "mean": mean,
                "lowest": min(scores),
                "highest": max(scores),
                "zero_budget": nothing,
                "verdict": verdict,
            }
        )
    good = [row for row in table if row["verdict"] == "train"]
    if good:
        sentence = (
            f"Training on people lowers {score} from {nothing:.3g} to {good[0]['mean']:.3g} at epsilon "
            f"{good[0]['epsilon']:g} and to {table[-1]['mean']:.3g} at epsilon {table[-1]['epsilon']:g}."
        )
    else:
        sentence = (
            f"Do not train: at no epsilon up to {table[-1]['epsilon']:g} does training on these people lower {score} "
            f"for every seed below the {nothing:.3g} that costs nothing."
        )
    last = table[-1]
    return Finding(
        name=f"frontier_{score}",
        value=float(last["mean"]),
        interval=(float(last["lowest"]), float(last["highest"])),
        interval_kind=f"lowest and highest of {len(next(iter(by_epsilon.values())))} seeds",
        baseline=nothing,
        baseline_name="zero budget",
        sentence=sentence,
        table=tuple(table),
    )
