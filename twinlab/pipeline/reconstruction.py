"""What a server reads back from the updates of devices, setting by setting: made, attacked and scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from twinlab.attacks.gradient_inversion import (
    find_cut_points,
    imprint_model,
    invert_batch,
    invert_imprinted,
    invert_update,
)
from twinlab.attacks.gradient_matching import KnownTraining, match_updates
from twinlab.attacks.record_prior import RecordPrior, assume_smooth, learn_prior
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.simulator import simulate_cohort
from twinlab.errors import SpecificationError
from twinlab.evaluation.recovery import measure_recovery
from twinlab.experiment import BayesianTwin, SimulatedCohort
from twinlab.finding import Finding
from twinlab.fleet import Fleet, State
from twinlab.learn_choice import CentralLearning
from twinlab.protection.differential_privacy.gaussian_noise import add_noise
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.roles import Progress, report_nothing
from twinlab.twins.pooled import assume_constants, list_training_rows

LEARNING_RATE = 0.05
N_UNITS = 64
_N_PUBLIC_ROWS = 6400
#: The public people are drawn from a seed of their own.
_PUBLIC_SEED = 20_000
_MOST_BATCH_ROWS = 10

#: The four attacks: each unit by itself, all records of one step at once, slices of an imprinted model, a search.
Attack = Literal["units", "batch", "slices", "optimised"]
#: What a search holds likely: nothing, neighbours in time alike, or what public people are like.
Prior = Literal["none", "smooth", "people"]


@dataclass(frozen=True)
class UpdateSetting:
    """How an update is made and attacked. All public.

    Attributes:
      name: for tables and charts.
      attack: which attack; "slices" is that of a hostile server, which sends an imprinted model, and "optimised" a
        search, which knows all of this setting.
      n_rows: records on each device.
      n_steps: local steps, each on an equal share of the records.
      n_devices: whose updates are added before the attacker sees them, as secure aggregation does.
      clip_norm: bound on each device's update; None for no bound.
      noise_multiplier: of Gaussian noise on the sum, in multiples of `clip_norm`.
      prior: what a search holds likely of records; other attacks have no use for it. "smooth" is for inputs in order of
        time.
      activation: of the model's hidden units. The exact attacks on batches need relu.
    """

    name: str
    attack: Attack = "units"
    n_rows: int = 64
    n_steps: int = 1
    n_devices: int = 1
    clip_norm: float | None = None
    noise_multiplier: float = 0.0
    prior: Prior = "none"
    activation: Literal["relu", "tanh"] = "relu"

    def __post_init__(self) -> None:
        is_private = self.noise_multiplier == 0 or (self.noise_multiplier > 0 and self.clip_norm is not None)
        if self.n_rows < 1 or self.n_devices < 1 or self.n_steps < 1 or self.n_rows % self.n_steps or not is_private:
            raise SpecificationError(
                f"setting: expected rows that divide into steps, at least one device, and a clip_norm beside noise, "
                f"got {self.n_rows} rows, {self.n_steps} steps, {self.n_devices} devices, clip_norm {self.clip_norm}, "
                f"noise_multiplier {self.noise_multiplier}"
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise SpecificationError(f"setting: expected a clip_norm above 0, got {self.clip_norm}")
        if self.attack == "batch" and self.n_rows > _MOST_BATCH_ROWS:
            raise SpecificationError(
                f"setting: the attack on a whole batch doubles its work with each record; expected at most "
                f"{_MOST_BATCH_ROWS} rows, got {self.n_rows}"
            )
        if self.attack in ("batch", "slices") and self.activation != "relu":
            raise SpecificationError(
                f"setting: the attack {self.attack!r} reads which units were off; expected activation relu, got "
                f"{self.activation}"
            )


SETTINGS = (
    UpdateSetting("one record, one step", n_rows=1),
    UpdateSetting("batch of 8, each unit by itself", n_rows=8),
    UpdateSetting("batch of 8, all at once", "batch", n_rows=8),
    UpdateSetting("batch of 16", n_rows=16),
    UpdateSetting("64 records, 4 steps", n_steps=4),
    UpdateSetting("hostile server, one step", "slices"),
    UpdateSetting("hostile server, 4 steps", "slices", n_steps=4),
    UpdateSetting("hostile server, sum of 2", "slices", n_devices=2),
    UpdateSetting("hostile server, sum of 5", "slices", n_devices=5),
    UpdateSetting("hostile server, sum of 20", "slices", n_devices=20),
    UpdateSetting("hostile server, clipped", "slices", clip_norm=0.1),
    UpdateSetting("hostile server, noise 0.001", "slices", clip_norm=0.1, noise_multiplier=0.001),
    UpdateSetting("hostile server, noise 0.01", "slices", clip_norm=0.1, noise_multiplier=0.01),
    UpdateSetting("hostile server, noise 1", "slices", clip_norm=0.1, noise_multiplier=1.0),
)


@dataclass(frozen=True)
class AttackedRows:
    """Records of devices, standardised by public people.

    Attributes:
      name: what they are, for the sentence.
      inputs: float32 (device, row, input); private.
      targets: float32 (device, row, 1), 0 or 1; private.
      public: float32 (row, input) of other people, which the attacker knows too.
    """

    name: str
    inputs: Tensor = field(repr=False)
    targets: Tensor = field(repr=False)
    public: Tensor = field(repr=False)


#: Trains devices from one state and returns what the server sees: new - old, summed over devices; (fleet, state, inputs
#: (device, row, input), targets, setting) -> update of one model.
UpdateMaker = Callable[[Fleet, State, Tensor, Tensor, UpdateSetting], State]


def attack_updates(
    rows: AttackedRows,
    settings: Sequence[UpdateSetting] = SETTINGS,
    n_updates: int = 40,
    seed: int = 0,
    make_update: UpdateMaker | None = None,
    progress: Progress = report_nothing,
) -> Finding:
    """Let devices train under each setting, let the server invert what it sees, and count the records it read back.

    It compares with the truth and is for people who do not exist: see `draw_normal_rows` and `draw_twin_rows`.

    Args:
      rows: of devices; each update draws its devices and their records anew.
      settings: what is tried; public. The first one is the finding's number.
      n_updates: attacked for each setting; more narrows the intervals.
      seed: of weights, draws and attacks; public. Noise that protects never depends on it.
      make_update: how devices train, `train_openly` when None: the place for another way to federate.
      progress: called once a setting.

    Returns:
      `records_recovered`, beside claiming public records and, as control, the candidates held against public records.
      The table has a row per setting: data, setting, attack, n_rows, n_steps, n_devices, clip_norm, noise_multiplier,
      prior, activation, what `measure_recovery` says (share, exact, error, each with its interval and blind guess),
      control, guess.

    Raises:
      SpecificationError: if there are too few devices or records for a setting, or no setting.
    """
    n_devices, n_rows, _ = rows.inputs.shape
    most_devices = max((each.n_devices for each in settings), default=0)
    most_rows = max((each.n_rows for each in settings), default=0)
    if not settings or most_devices > n_devices or most_rows > n_rows or n_updates < 1:
        raise SpecificationError(
            f"attack: expected at least one setting and update, {most_devices} devices and {most_rows} records each, "
            f"got {len(settings)} settings, {n_updates} updates, {n_devices} devices, {n_rows} records"
        )
    findings = []
    for number, setting in enumerate(settings):
        attempts = read_records(rows, setting, n_updates, seed, make_update)
        findings.append(measure_recovery(attempts, setting.name, rows.public.numpy(), seed=seed))
        progress("attacking", number + 1, len(settings))
    return _tabulate(rows.name, settings, findings)


def read_records(
    rows: AttackedRows, setting: UpdateSetting, n_updates: int, seed: int, make_update: UpdateMaker | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """What the server reads out of each update, (candidate, input), and the true records (record, input); private."""
    fleet = Fleet(1, (rows.inputs.shape[2], N_UNITS, 1), setting.activation, "logistic")
    draw = torch.Generator().manual_seed(seed)
    make = make_update or train_openly
    seen = [_see_update(rows, setting, fleet, draw, make, seed + attempt) for attempt in range(n_updates)]
    candidates = _attack_each(rows.public, setting, fleet, seen, seed)
    return [(each.numpy(), one.records.numpy()) for each, one in zip(candidates, seen, strict=True)]


def train_openly(fleet: Fleet, state: State, inputs: Tensor, targets: Tensor, setting: UpdateSetting) -> State:
    """What the server sees of devices that descend from one state: their updates clipped if asked, added, and noised.

    Args:
      fleet: of one model.
      state: what the server sent.
      inputs: (device, row, input); private.
      targets: (device, row, 1); private.
      setting: public.

    Returns:
      New - old, summed over devices, as the state of one model. Noise is the operating system's, as in a real round.
    """
    devices, start = fleet.repeat(state, len(inputs))
    now = {name: value.clone() for name, value in start.items()}
    for step in torch.arange(inputs.shape[1]).chunk(setting.n_steps):
        gradient, _ = devices.gradients(now, inputs[:, step], targets[:, step])
        now = {name: value - LEARNING_RATE * gradient[name] for name, value in now.items()}
    update = {name: value - start[name] for name, value in now.items()}
    if setting.clip_norm is None:
        return {name: value.sum(0, keepdim=True) for name, value in update.items()}
    shapes = [value.shape[1:] for value in update.values()]
    flat = torch.cat([value.flatten(1) for value in update.values()], 1)
    norms = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    total = (flat * (setting.clip_norm / norms.clamp(min=1e-12)).clamp(max=1.0)).sum(0, keepdim=True)
    if setting.noise_multiplier:
        total = add_noise(
            total, torch.tensor([setting.clip_norm]), torch.tensor([setting.noise_multiplier]), open_noise()
        )
    parts = total.split([math.prod(shape) for shape in shapes], dim=1)
    return {name: part.view(1, *shape) for name, part, shape in zip(update, parts, shapes, strict=True)}


def draw_normal_rows(n_devices: int = 100, n_rows: int = 64, n_inputs: int = 40, seed: int = 0) -> AttackedRows:
    """Wearable-like records of people who do not exist: normal around each person's own mean, labels by a shared rule.

    Args:
      n_devices, n_rows, n_inputs: sizes; public.
      seed: public.
    """
    draw = torch.Generator().manual_seed(seed)
    rule = torch.randn(n_inputs, 1, generator=draw)
    public_draw = torch.Generator().manual_seed(seed + _PUBLIC_SEED)

    def draw_people(n_people: int, source: torch.Generator) -> Tensor:
        own = 0.5 * torch.randn(n_people, 1, n_inputs, generator=source)
        return own + torch.randn(n_people, n_rows, n_inputs, generator=source)

    inputs = draw_people(n_devices, draw)
    public = draw_people(-(-_N_PUBLIC_ROWS // n_rows), public_draw).flatten(0, 1)
    noise = 0.3 * torch.randn(n_devices, n_rows, 1, generator=draw)
    return AttackedRows("normal records", inputs, (inputs @ rule + noise > 0).float(), public)


def draw_twin_rows(n_devices: int = 40, n_rows: int = 64, n_days: int = 21, seed: int = 0) -> AttackedRows:
    """Training rows of simulated people's twins: what a device would train its forecast on.

    Inputs are the features of a twin that nobody has trained, standardised by other simulated people; the label says
    whether the first target is above those people's median.

    Args:
      n_devices, n_rows, n_days: sizes; public. Who has fewer known hours than `n_rows` is left out.
      seed: of the people; public.

    Raises:
      SpecificationError: if nobody has so many known hours.
    """
    draw = torch.Generator().manual_seed(seed)
    public, public_answers = _list_rows(_simulate(max(10, n_devices // 4), n_days, _PUBLIC_SEED + seed), n_rows, draw)
    inputs, answers = _list_rows(_simulate(n_devices, n_days, seed), n_rows, draw)
    mean, spread = public.mean((0, 1)), public.std((0, 1))
    moves = spread > 0  # one feature is always one
    median = public_answers.median()
    return AttackedRows(
        "twins' training rows",
        ((inputs - mean) / spread)[..., moves],
        (answers > median).float(),
        ((public - mean) / spread)[..., moves].flatten(0, 1),
    )


def _simulate(n_people: int, n_days: int, seed: int) -> Cohort:
    return simulate_cohort(SimulatedCohort(n_people=n_people, n_days=n_days, seed=seed)).cohort


def _list_rows(cohort: Cohort, n_rows: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """So many of each person's rows with an answer in the first band: inputs, answers. Who has fewer is left out."""
    population = assume_constants(BayesianTwin(), CentralLearning(), cohort.signals)
    inputs, answers = [], []
    for bands in list_training_rows(population, cohort):
        for features, wanted in zip(*bands[0], strict=True):
            usable = torch.isfinite(wanted[:, 0]).nonzero()[:, 0]
            if len(usable) < n_rows:
                continue
            kept = usable[torch.randperm(len(usable), generator=draw)[:n_rows]]
            inputs.append(features[kept])
            answers.append(wanted[kept, :1])
    if not inputs:
        raise SpecificationError(f"rows: expected somebody with {n_rows} known hours, got nobody; take more days")
    return torch.stack(inputs), torch.stack(answers)


@dataclass(frozen=True)
class _SeenUpdate:
    """What the server sent and saw; and the truth, which no attack gets."""

    state: State
    update: State = field(repr=False)
    records: Tensor = field(repr=False)


def _see_update(
    rows: AttackedRows, setting: UpdateSetting, fleet: Fleet, draw: torch.Generator, make_update: UpdateMaker, seed: int
) -> _SeenUpdate:
    """One update of devices and records drawn anew."""
    n_devices, n_rows, n_inputs = rows.inputs.shape
    devices = torch.randperm(n_devices, generator=draw)[: setting.n_devices]
    records = torch.randperm(n_rows, generator=draw)[: setting.n_rows]
    direction = torch.randn(n_inputs, generator=draw) / math.sqrt(n_inputs)
    inputs, targets = rows.inputs[devices][:, records], rows.targets[devices][:, records]
    state = fleet.init([seed])
    if setting.attack == "slices":
        state = imprint_model(fleet, state, direction, find_cut_points(rows.public, direction, fleet.widths[1]))
    return _SeenUpdate(state, make_update(fleet, state, inputs, targets, setting), inputs.flatten(0, 1))


def _attack_each(
    public: Tensor, setting: UpdateSetting, fleet: Fleet, seen: Sequence[_SeenUpdate], seed: int
) -> list[Tensor]:
    """Candidates (candidate, input) of each update."""
    if setting.attack == "slices":
        return [invert_imprinted(each.update) for each in seen]
    if setting.attack == "batch":
        return [
            invert_batch(each.update, each.state, setting.n_rows, seed + number) for number, each in enumerate(seen)
        ]
    if setting.attack == "units":
        return [invert_update(each.update) for each in seen]
    known = KnownTraining(
        fleet,
        setting.n_rows,
        setting.n_steps,
        setting.n_devices,
        LEARNING_RATE,
        setting.clip_norm,
        setting.noise_multiplier * (setting.clip_norm or 0.0),
    )
    updates, states = (
        {name: torch.cat([each[name] for each in many]) for name in many[0]}
        for many in ([each.update for each in seen], [each.state for each in seen])
    )
    return list(match_updates(updates, states, known, _choose_prior(public, setting.prior), seed=seed).records)


def _choose_prior(public: Tensor, name: Prior) -> RecordPrior | None:
    match name:
        case "none":
            return None
        case "smooth":
            return assume_smooth(public.shape[1])
        case "people":
            return learn_prior(public)


def _tabulate(name: str, settings: Sequence[UpdateSetting], findings: Sequence[Finding]) -> Finding:
    """One finding with a row per setting."""
    table = [
        {
            "data": name,
            "setting": setting.name,
            **{key: value for key, value in vars(setting).items() if key != "name"},
            **finding.table[0],
            "control": finding.control,
            "guess": finding.baseline,
        }
        for setting, finding in zip(settings, findings, strict=True)
    ]
    first = findings[0]
    read = ", ".join(f"{row['setting']} {row['share']:.1%}" for row in table)
    return Finding(
        name=first.name,
        value=first.value,
        interval=first.interval,
        interval_kind=first.interval_kind,
        baseline=first.baseline,
        baseline_name=first.baseline_name,
        control=first.control,
        sentence=f"Share of {name} that a server reads back from an update: {read}.",
        table=tuple(table),
    )
