"""Synthetic people made from real ones: one call for every method, which pays first and labels what it makes."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pandas as pd

from twinlab.budget import Event, NeighboringRelation, NonPrivateEvent, PrivacyBudget, PrivacyUnit, count_leaves
from twinlab.cohorts.cohort import HOURS_PER_DAY, Cohort
from twinlab.errors import SpecificationError
from twinlab.pipeline.fitted_simulator import fit_simulator
from twinlab.pipeline.learning import open_record_level
from twinlab.pipeline.synthetic_release import SyntheticRelease
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier, compute_epsilon
from twinlab.protection.differential_privacy.answer import BudgetHolder
from twinlab.protection.differential_privacy.guarantee import NobodyPays
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.synthetic import (
    SYNTHETIC_COLUMN,
    Domain,
    SyntheticTable,
    TreeSynthesizer,
    WorkloadSynthesizer,
)
from twinlab.release import DifferentialPrivacy, Guarantee, NoGuarantee
from twinlab.roles import Progress, report_nothing

if TYPE_CHECKING:
    from twinlab.protection.synthetic.gan import GanSettings, OpenStepper
    from twinlab.protection.synthetic.gan_stream import StreamGan, TrainedStreamGan
    from twinlab.protection.synthetic.gan_table import TableGan, TrainedTableGan

Method = Literal["tree_marginals", "adaptive_marginals", "gan", "fitted_simulator"]
#: Steps of bisection to the noise of a GAN that counts its conditions too.
_N_HALVINGS = 5
_START = pd.Timestamp("2025-03-03")  # a Monday, like that of the simulator
_N_LOOKED_AT = 100


@dataclass(frozen=True)
class _Order:
    """What is asked for; all of it is public."""

    method: Method
    epsilon: float
    delta: float
    unit: PrivacyUnit
    n_made: int
    n_days: int
    seed: int
    purpose: str
    options: Mapping[str, Any]
    checkpoint: Path | None
    look: Callable[[int, pd.DataFrame], None] | None


def make_synthetic(
    people: pd.DataFrame | Cohort,
    *,
    method: Method,
    epsilon: float,
    unit: PrivacyUnit,
    delta: float = 1e-5,
    domain: Domain | None = None,
    n_made: int = 1000,
    n_days: int = 7,
    ledger: BudgetHolder | None = None,
    purpose: str = "synthetic people",
    options: Mapping[str, Any] | None = None,
    checkpoint: str | Path | None = None,
    look: Callable[[int, pd.DataFrame], None] | None = None,
    seed: int = 0,
    rehearsal_seed: int | None = None,
    progress: Progress = report_nothing,
) -> SyntheticRelease:
    """Make synthetic people from real ones. Everything is paid for before any noise is drawn.

    Args:
      people: a table, a row a record, or a cohort with its readings; private.
      method: "tree_marginals" and "adaptive_marginals" make tables, "fitted_simulator" makes streams, "gan" either.
      epsilon, delta: of one unit, for all that is released. Infinite epsilon adds no noise and promises nothing; GAN
        and simulator allow it.
      unit: whose presence is hidden. It has no default: an epsilon of a row hides no person with twenty.
      domain: what a table may hold, for the same unit; of tables only.
      n_made: rows of a table, or people of a cohort.
      n_days: of each made-up person, from a Monday; of streams only. A GAN's days know nothing of each other.
      ledger: who pays. A cohort of people who do not exist needs none; a table does not say whose it is, so where
        nobody is real say `NobodyPays()`.
      purpose: what the ledger writes down.
      options: of the method: `hub` of a tree, `workload` of adaptive marginals; of a GAN `conditions` of a table,
        `condition` and `most_days_per_person` of streams, `every` for looks and checkpoints, and fields of
        `GanSettings`.
      checkpoint: of a GAN, a file from which a stopped training goes on. What is left of it is charged anew, since
        nobody can tell whether the file was gone on with before.
      look: of a GAN, called as look(step, rows so far) while it trains; it costs nothing more.
      seed: of all that protects nobody; public.
      rehearsal_seed: repeats the noise of a lesson, which then protects nobody.
      progress: told while it runs.

    Raises:
      SpecificationError: if something asked for does not fit together.
      DataContractError: if people break their domain. Nothing was charged.
      BudgetExhaustedError: from the ledger; nothing was drawn.
    """
    kept = None if checkpoint is None else Path(checkpoint)
    order = _Order(method, epsilon, delta, unit, n_made, n_days, seed, purpose, dict(options or {}), kept, look)
    payer = _check(people, order, domain, ledger, rehearsal_seed)
    begin = time.perf_counter()
    noise = open_noise(rehearsal=rehearsal_seed is not None, seed=rehearsal_seed)
    if isinstance(people, pd.DataFrame):
        assert domain is not None
        make = _make_gan_table if method == "gan" else _make_marginal_table
        table, source, event = make(people, domain, order, payer, noise, progress)
        guarantee = _describe_guarantee(event, delta, unit, is_rehearsal=noise.is_rehearsal)
        return SyntheticRelease(table, source, table.method, unit, guarantee, time.perf_counter() - begin)
    if method == "gan":
        cohort, stream, event = _make_gan_cohort(people, order, payer, noise, progress)
        guarantee = _describe_guarantee(event, delta, unit, is_rehearsal=noise.is_rehearsal)
        return SyntheticRelease(cohort, stream, stream.gan.method, unit, guarantee, time.perf_counter() - begin)
    fitted = fit_simulator(people, epsilon=epsilon, delta=delta, ledger=payer, purpose=purpose, progress=progress)
    lived = fitted.simulate(n_made, n_days, seed, progress)
    made = replace(lived, attributes=lived.attributes.assign(**{SYNTHETIC_COLUMN: True}))
    return SyntheticRelease(made, fitted, "fitted simulator", unit, fitted.guarantee, time.perf_counter() - begin)


def _check(
    people: pd.DataFrame | Cohort,
    order: _Order,
    domain: Domain | None,
    ledger: BudgetHolder | None,
    rehearsal_seed: int | None,
) -> BudgetHolder:
    """Refuse what does not fit together, all faults at once; who pays."""
    is_table, method, faults = isinstance(people, pd.DataFrame), order.method, []
    if method not in get_args(Method):
        faults.append(f"method: expected one of {', '.join(get_args(Method))}, got {method!r}")
    elif method == "fitted_simulator" if is_table else method.endswith("marginals"):
        faults.append(f"method: {method} makes {'streams of a cohort' if is_table else 'tables'}, got the other kind")
    if is_table is (domain is None) or (domain is not None and domain.unit != order.unit):
        faults.append(f"domain: expected one for a {order.unit} with a table and none with a cohort, got another")
    if not is_table and order.unit != PrivacyUnit.PERSON:
        faults.append(f"unit: expected PrivacyUnit.PERSON for streams, got {order.unit!r}")
    if not order.epsilon > 0 or (math.isinf(order.epsilon) and method.endswith("marginals")):
        faults.append(f"epsilon: expected above 0, and finite for marginals, got {order.epsilon}")
    if order.n_made < 1 or order.n_days < 1:
        faults.append(f"n_made, n_days: expected 1 or more, got {order.n_made} and {order.n_days}")
    if method != "gan" and (order.checkpoint or order.look):
        faults.append("checkpoint, look: only a GAN takes them")
    if method == "fitted_simulator" and (order.options or rehearsal_seed is not None):
        faults.append("options, rehearsal_seed: the simulator takes none")
    is_free = not is_table and getattr(people, "origin", "measured") == "simulated"
    if ledger is None and not is_free:
        faults.append("ledger: expected one that pays, got none; say NobodyPays() for people who do not exist")
    budget = getattr(ledger, "budget", None)
    if isinstance(budget, PrivacyBudget) and budget.privacy_unit != order.unit:
        faults.append(f"unit: the ledger counts per {budget.privacy_unit}, got an epsilon per {order.unit}")
    if faults:
        raise SpecificationError("synthetic people cannot be made so\n" + "\n".join(f"  - {each}" for each in faults))
    return NobodyPays() if ledger is None else ledger


def _make_marginal_table(
    table: pd.DataFrame, domain: Domain, order: _Order, payer: BudgetHolder, noise: NoiseSource, progress: Progress
) -> tuple[SyntheticTable, None, Event]:
    """By counts with noise."""
    del progress  # it is over before anybody looks
    kind = TreeSynthesizer if order.method == "tree_marginals" else WorkloadSynthesizer
    multiplier = calibrate_noise_multiplier(order.epsilon, order.delta)
    try:
        synthesizer = kind(domain, multiplier, order.n_made, **order.options)
    except TypeError:
        raise SpecificationError(f"options: {order.method} takes no {', '.join(order.options)}") from None
    domain.encode(table)
    event = synthesizer.plan()
    _pay(payer, event, order, noise)
    return synthesizer.draw(table, noise, order.seed), None, event


def _make_gan_table(
    table: pd.DataFrame, domain: Domain, order: _Order, payer: BudgetHolder, noise: NoiseSource, progress: Progress
) -> tuple[SyntheticTable, TrainedTableGan, Event]:
    """By a GAN on rows."""
    home = importlib.import_module("twinlab.protection.synthetic.gan_table")
    conditions = tuple(order.options.get("conditions", ()))
    bare = home.TableGan(domain, _find_settings(order, 1, "conditions"), conditions)
    gan: TableGan = home.TableGan(domain, _find_settings(order, bare.n_cells, "conditions"), conditions)
    domain.encode(table)

    def show(step: int, so_far: TrainedTableGan) -> None:
        if order.look is not None:
            order.look(step, so_far.draw(_N_LOOKED_AT, order.seed).rows)

    _pay_training(gan, order, payer, noise)
    look = show if order.look else None
    trained = gan.train(table, _open_stepper(noise), noise, order.seed, _find_keeping(order), look, progress)
    return trained.draw(order.n_made, order.seed), trained, gan.plan()


def _make_gan_cohort(
    people: Cohort, order: _Order, payer: BudgetHolder, noise: NoiseSource, progress: Progress
) -> tuple[Cohort, TrainedStreamGan, Event]:
    """By a GAN on days."""
    home = importlib.import_module("twinlab.protection.synthetic.gan_stream")
    own = {name: order.options[name] for name in ("condition", "most_days_per_person") if name in order.options}
    gan: StreamGan = home.StreamGan(people.signals, _find_settings(order, 1, *own), **own)
    gan.list_examples(people)

    def show(step: int, so_far: TrainedStreamGan) -> None:
        if order.look is not None:
            order.look(step, _live(so_far, 1, order).to_frame().assign(**{SYNTHETIC_COLUMN: True}))

    _pay_training(gan, order, payer, noise)
    look = show if order.look else None
    trained = gan.train(people, _open_stepper(noise), noise, order.seed, _find_keeping(order), look, progress)
    return _live(trained, order.n_made, order), trained, gan.plan()


def _live(trained: TrainedStreamGan, n_people: int, order: _Order) -> Cohort:
    """Made-up people whose days follow each other, though none knows of another."""
    condition, n_days = trained.gan.condition, order.n_days
    ids = tuple(f"synthetic-{number:04d}" for number in range(1, n_people + 1))
    attributes, words = {SYNTHETIC_COLUMN: [True] * n_people}, None
    if condition is not None and condition.name == "is_weekend":
        words = [day % 7 >= 5 for day in range(n_days)] * n_people
    elif condition is not None:
        own = [condition.categories[person % len(condition.categories)] for person in range(n_people)]
        attributes[condition.name] = own
        words = [word for word in own for _ in range(n_days)]
    days = trained.draw(n_people * n_days, order.seed, words)
    values = days.reshape(n_people, n_days * HOURS_PER_DAY, -1)
    about = pd.DataFrame(attributes, index=pd.Index(ids, name="person_id"))
    return Cohort("synthetic people", ids, _START, trained.gan.signals, values, about, "simulated")


def _find_settings(order: _Order, n_cells: int, *others: str) -> GanSettings:
    """How a GAN trains within epsilon: the options, and the least noise that keeps it."""
    home = importlib.import_module("twinlab.protection.synthetic.gan")
    fields = {name: value for name, value in order.options.items() if name not in (*others, "every")}
    try:
        plain: GanSettings = home.GanSettings(0.0, **fields)
    except TypeError:
        raise SpecificationError(f"options: expected those of a GAN, got {', '.join(fields)}") from None
    if math.isinf(order.epsilon):
        return plain
    multiplier = _find_gan_noise(order.epsilon, order.delta, plain.sampling_probability, plain.n_steps, n_cells)
    return home.GanSettings(multiplier, **fields)


@lru_cache(maxsize=64)
def _find_gan_noise(epsilon: float, delta: float, sampling_probability: float, n_steps: int, n_cells: int) -> float:
    """Nearly the least noise whose whole plan keeps epsilon."""
    low = calibrate_noise_multiplier(epsilon, delta, sampling_probability, n_steps)
    if n_cells == 1:
        return low
    home = importlib.import_module("twinlab.protection.synthetic.gan")

    def is_enough(multiplier: float) -> bool:
        settings = home.GanSettings(multiplier, sampling_probability=sampling_probability, n_steps=n_steps)
        return compute_epsilon(settings.plan(n_cells), delta) <= epsilon

    high = low
    while not is_enough(high):  # counting costs little beside all steps
        low, high = high, 1.05 * high
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _find_keeping(order: _Order) -> Any:
    home = importlib.import_module("twinlab.protection.synthetic.gan")
    return home.Keeping(order.checkpoint, order.options.get("every", home.Keeping.every))


def _open_stepper(noise: NoiseSource) -> OpenStepper:
    """Steps of a critic by Opacus, a unit an example."""
    door = open_record_level()

    def open_(module: Any, loss: Any, settings: GanSettings, make_optimizer: Any) -> Any:
        # The optimizer does not care how long the sum is, so it is divided by nothing.
        terms = door.RecordTraining(
            1, settings.sampling_probability, settings.n_steps, settings.noise_multiplier, settings.clip_norm
        )
        return door.UnitStepper(module, loss, terms, noise, make_optimizer)

    return open_


def _pay_training(gan: TableGan | StreamGan, order: _Order, payer: BudgetHolder, noise: NoiseSource) -> None:
    """Pay for the steps that are not in the checkpoint, if there is one."""
    n_done = 0
    if order.checkpoint is not None:
        home = importlib.import_module("twinlab.protection.synthetic.gan_checkpoint")
        kept = home.load_checkpoint(order.checkpoint, gan.name_training(order.seed))
        n_done = kept.n_done if kept else 0
    if n_done < gan.settings.n_steps:
        _pay(payer, gan.plan(n_done), order, noise)


def _pay(payer: BudgetHolder, event: Event, order: _Order, noise: NoiseSource) -> None:
    """Charge an event; noise that can be repeated is none."""
    payer.spend(NonPrivateEvent() if noise.is_rehearsal else event, purpose=order.purpose)


def _describe_guarantee(event: Event, delta: float, unit: PrivacyUnit, *, is_rehearsal: bool) -> Guarantee:
    if is_rehearsal:
        return NoGuarantee("noise is reproducible")
    if NonPrivateEvent() in count_leaves(event):
        return NoGuarantee("trained on people without noise")
    epsilon = compute_epsilon(event, delta)
    return DifferentialPrivacy(event, epsilon, delta, NeighboringRelation.ADD_OR_REMOVE_ONE, unit)
