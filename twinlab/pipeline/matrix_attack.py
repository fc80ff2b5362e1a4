"""The attacks of the matrix: each attacks what leaves people in an experiment, as its receiver gets it.

Each is a function of an experiment and a few public numbers, and gives back what can be written down, so that `sweep`
computes it once. What the attacker is shown is made by the experiment's own stages: readings as sensors send them,
updates as the federation's server receives them, weights as training releases them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd

from twinlab.evaluation.membership import measure_membership
from twinlab.evaluation.recovery import find_recovered, measure_recovery
from twinlab.experiment import Experiment, NoisyReadings
from twinlab.finding import Finding
from twinlab.learn_choice import EncryptedSum, FederatedLearning, FederatedPrivacy, PlainSum, SecureSum
from twinlab.pipeline.account import Account
from twinlab.pipeline.attribute_evidence import draw_others
from twinlab.pipeline.attribute_lesson import attack_attributes
from twinlab.pipeline.composition import keep_people_with_readings, keep_training_time, load_cohort
from twinlab.pipeline.federating import find_clip_norm, find_noise_multiplier
from twinlab.pipeline.linear_shadowing import ROUNDS_THREAT, train_round_shadows
from twinlab.pipeline.linking import link_people
from twinlab.pipeline.membership_lesson import THREAT, claim_members
from twinlab.pipeline.reconstruction import (
    AttackedRows,
    UpdateSetting,
    attack_updates,
    draw_twin_rows,
    read_records,
)
from twinlab.pipeline.sensing import record_readings, sense
from twinlab.pipeline.shadowing import draw_members, draw_pool, train_shadows
from twinlab.release import Transcript
from twinlab.roles import Progress
from twinlab.signals import get_signal

#: The illness that the attacker asks for.
ILLNESS = "type 2 diabetes"
_ROUNDS = "the model of every round"
#: Of a pass of a shadow backbone: half of what membership alone uses, since a table shall take less than a minute.
_ROWS = 1600
_N_ASKED, _N_DAYS_ASKED = 120, 10
_N_UPDATES, _N_DEVICES, _N_ROWS = 15, 40, 64
_N_OUTSIDERS, _MOST_GUESSES, _N_SHOWN = 20, 40, 3


@dataclass(frozen=True)
class MatrixAttack:
    """An attack, and how much its attacker may know.

    Attributes:
      question: what it answers, its name in tables.
      about: how, in a sentence.
      measure: of an experiment; what comes back is JSON.
      knowledge: by words, weakest first: the numbers that `measure` takes.
      usual: which of them the matrix uses.
    """

    question: str
    about: str
    measure: Callable[..., Mapping[str, Any]] = field(repr=False)
    knowledge: Mapping[str, Mapping[str, Any]]
    usual: str

    def at(self, knowledge: str | None = None) -> Callable[[Experiment, Progress], Mapping[str, Any]]:
        """The measure with one amount of knowledge."""
        return partial(self.measure, **self.knowledge[knowledge or self.usual])


def describe_sight(experiment: Experiment) -> str:
    """What reaches whoever learns from people, in words."""
    learn = experiment.learn
    if not isinstance(learn, FederatedLearning):
        return "noisy readings" if isinstance(experiment.sense, NoisyReadings) else "readings"
    return {"plain": "updates", "secure": "masked updates", "encrypted": "encrypted updates"}[learn.aggregation.kind]


def measure_linking(experiment: Experiment, progress: Progress, *, n_days: int) -> dict[str, Any]:
    """Whose days, or updates, are these?"""
    by = "updates" if isinstance(experiment.learn, FederatedLearning) else "profile"
    found = link_people(experiment, by=by, n_days=n_days, seed=experiment.seed, progress=progress)  # type: ignore[arg-type]
    return _write(found.finding, found.list_guesses(), str(found.threat), describe_sight(experiment))


def measure_illness(experiment: Experiment, progress: Progress, *, n_others: int) -> dict[str, Any]:
    """Who has an illness? Asked of more people than learn, so that there are enough who have it."""
    sight = describe_sight(experiment)
    source = "updates" if isinstance(experiment.learn, FederatedLearning) else sight
    found = attack_attributes(
        experiment.with_({"cohort.n_people": _N_ASKED}),
        from_=source,  # type: ignore[arg-type]
        attributes=(ILLNESS,),
        n_days=_N_DAYS_ASKED,
        n_others=n_others,
        seed=experiment.seed,
        progress=progress,
    )
    finding, row = found.findings[0], found.table.iloc[0]
    room = 1 - float(row["baseline"])
    advantage = tuple(min(float(row[name]) / room, 1.0) for name in ("advantage", "advantage_low", "advantage_high"))
    return _write(finding, found.list_guesses(ILLNESS), str(found.threat), sight, advantage)


def measure_reading_back(experiment: Experiment, progress: Progress, *, sends_trap: bool) -> dict[str, Any]:
    """What exactly did they measure?"""
    if isinstance(experiment.learn, FederatedLearning):
        return _read_back_updates(experiment, experiment.learn, progress, "slices" if sends_trap else "units")
    return _read_back_readings(experiment, progress)


def measure_taking_part(experiment: Experiment, progress: Progress, *, n_shadows: int) -> dict[str, Any]:
    """Who trained the released weights?"""
    pool = draw_pool(experiment, progress)
    members = draw_members(n_shadows, pool.n_people, experiment.seed)
    if isinstance(experiment.learn, FederatedLearning):
        shadows, sight = train_round_shadows(_add_in_the_clear(experiment), pool, members, progress), _ROUNDS
    else:
        shadows, sight = train_shadows(experiment, pool, members, experiment.seed, progress, _ROWS), "released weights"
    watched = ROUNDS_THREAT if sight == _ROUNDS else THREAT
    claims = claim_members(shadows, "lira", n_shadows, watched)
    finding = measure_membership({"likelihood ratio": claims}, members, "What was learned", experiment.seed)
    scores = claims[0].scores
    sureness = np.abs(2 * pd.Series(scores).rank(pct=True).to_numpy() - 1)
    says_in = scores > np.median(scores)
    words = np.array(["was not there", "took part"])
    guesses = pd.DataFrame(
        {
            "target": [f"person {number}" for number in range(1, len(scores) + 1)],
            "guess": words[says_in.astype(int)],
            "truth": words[members[0].astype(int)],
            "sureness": sureness,
            "is_right": says_in == members[0],
        }
    )
    return _write(finding, guesses, f"{watched}, and {n_shadows} models of its own making", sight)


def _add_in_the_clear(experiment: Experiment) -> Experiment:
    """The same models without masks or ciphertexts, which change nothing of a sum but the time that it takes."""
    changes: dict[str, Any] = {"learn.aggregation": "plain"}
    if isinstance(experiment.learn.privacy, FederatedPrivacy):
        changes["learn.privacy.noise_at"] = "server"
    return experiment.with_(changes)


def _read_back_readings(experiment: Experiment, progress: Progress) -> dict[str, Any]:
    """What a trainer is sent, held against what was measured."""
    cohort = keep_people_with_readings(load_cohort(experiment, progress))
    measured = keep_training_time(cohort, experiment.learn.train_fraction)
    transcript = Transcript()
    record_readings(transcript, sense(experiment, measured, Account(None, experiment), progress), 0.0)
    received = next(each for each in transcript if each.receiver == "trainer").payload.values
    scale = np.array([get_signal(name).spread for name in cohort.signals])
    others = draw_others(_N_OUTSIDERS, 3, cohort.signals, -1, progress).values.reshape(-1, len(scale)) / scale
    is_whole = ~np.isnan(measured.values).any(axis=2)
    attempts = [
        (received[person, known] / scale, measured.values[person, known] / scale)
        for person, known in enumerate(is_whole)
        if known.any()
    ]
    finding = measure_recovery(
        attempts, f"From {describe_sight(experiment)}", others[~np.isnan(others).any(axis=1)], seed=experiment.seed
    )
    claimed, truth = attempts[0]
    column = list(cohort.signals).index("heart_rate_bpm") if "heart_rate_bpm" in cohort.signals else 0
    unit = get_signal(cohort.signals[column]).unit
    places = np.linspace(0, len(truth) - 1, min(_MOST_GUESSES // 2, len(truth))).astype(int)
    guesses = pd.DataFrame(
        {
            "target": [f"person 1, measured hour {place + 1}" for place in places],
            "guess": [f"{claimed[place, column] * scale[column]:.0f} {unit}" for place in places],
            "truth": [f"{truth[place, column] * scale[column]:.0f} {unit}" for place in places],
            "sureness": np.nan,
            "is_right": [bool(find_recovered(claimed[[place]], truth[[place]])[0]) for place in places],
        }
    )
    return _write(finding, guesses, "reconstruction by the trainer, knowing nothing beside", describe_sight(experiment))


def _read_back_updates(
    experiment: Experiment, learn: FederatedLearning, progress: Progress, attack: str
) -> dict[str, Any]:
    """What a server reads out of the update of a network that devices train a step for it, as sums hide it."""
    noise = learn.privacy.noise_at == "devices" if isinstance(learn.privacy, FederatedPrivacy) else False
    setting = UpdateSetting(
        f"{describe_sight(experiment)} of {_count_added(experiment, learn)}",
        attack,  # type: ignore[arg-type]
        n_rows=_N_ROWS,
        n_devices=_count_added(experiment, learn),
        clip_norm=find_clip_norm(experiment),
        noise_multiplier=find_noise_multiplier(experiment) if noise else 0.0,
    )
    rows = _draw_rows(experiment.seed)
    found = attack_updates(rows, [setting], _N_UPDATES, experiment.seed, progress=progress)
    who = "a server that sends a trapped model" if attack == "slices" else "an honest, curious server"
    guesses = _compare_records(*read_records(rows, setting, 1, experiment.seed)[0])
    return _write(found, guesses, f"reconstruction by {who}, knowing the protocol", describe_sight(experiment))


def _compare_records(candidates: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    """Some records of one update, each beside the candidate that comes nearest; the first inputs, in spreads."""
    usable = candidates[np.isfinite(candidates).all(axis=1)]
    rows = []
    for number, record in enumerate(truth[: _MOST_GUESSES // 2]):
        near = usable[np.abs(usable - record).sum(axis=1).argmin()] if len(usable) else np.full(len(record), np.nan)
        told, true = (", ".join(f"{each:.2f}" for each in values[:_N_SHOWN]) for values in (near, record))
        is_right = bool(find_recovered(near[None], record[None])[0])
        rows.append({"target": f"record {number + 1}", "guess": told, "truth": true, "sureness": np.nan,
                     "is_right": is_right})  # fmt: skip
    return pd.DataFrame(rows)


@lru_cache(maxsize=2)
def _draw_rows(seed: int) -> AttackedRows:
    """Training rows of simulated devices; nobody writes to them."""
    return draw_twin_rows(_N_DEVICES, _N_ROWS, seed=seed)


def _count_added(experiment: Experiment, learn: FederatedLearning) -> int:
    """Devices whose updates are one sum before the server can read it."""
    asked = min(learn.clients_per_round or _N_DEVICES, _N_DEVICES)
    match learn.aggregation:
        case SecureSum(group_size=size):
            return min(size, asked)
        case EncryptedSum():
            return asked
        case PlainSum():
            return 1


def _write(
    finding: Finding,
    guesses: pd.DataFrame,
    threat: str,
    sees: str,
    advantage: tuple[float, ...] | None = None,
) -> dict[str, Any]:
    """A cell as plain numbers and words."""
    return {
        "finding": _make_plain(asdict(finding)),
        "advantage": _make_plain(advantage or find_advantage(finding)),
        "guesses": _make_plain(guesses.head(_MOST_GUESSES).to_dict("records")),
        "threat": threat,
        "sees": sees,
    }


def find_advantage(finding: Finding) -> tuple[float, float, float]:
    """How far a success goes from a guess's, 0, to everything, 1; and its interval's ends.

    >>> find_advantage(Finding("found", 0.6, "", interval=(0.5, 0.7), baseline=0.5))
    (0.2, 0.0, 0.4)
    """
    guess = finding.baseline or 0.0
    low, high = finding.interval or (finding.value, finding.value)
    value, least, most = ((each - guess) / (1 - guess) for each in (finding.value, low, high))
    return round(value, 12), round(least, 12), round(most, 12)


def _make_plain(value: Any) -> Any:
    """Numbers of numpy as Python's, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): _make_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_make_plain(each) for each in value]
    return value.item() if isinstance(value, np.generic) else value


ATTACKS = (
    MatrixAttack(
        "Whose are these?",
        "Names were removed; days, or updates, of everybody from an earlier time put them back.",
        measure_linking,
        {f"{n} earlier days of everybody": {"n_days": n} for n in (2, 4, 6)},
        "6 earlier days of everybody",
    ),
    MatrixAttack(
        f"Who has {ILLNESS}?",
        "People simulated with and without it show what it does to what is sent; beside it, age and sex alone.",
        measure_illness,
        {f"{n} simulated people": {"n_others": n} for n in (100, 200, 400)},
        "200 simulated people",
    ),
    MatrixAttack(
        "What did they measure?",
        "Readings are read back from whatever is sent: as they are, or out of an update.",
        measure_reading_back,
        {"an honest server": {"sends_trap": False}, "a server that sends a trapped model": {"sends_trap": True}},
        "a server that sends a trapped model",
    ),
    MatrixAttack(
        "Who took part?",
        "Models trained on random halves of a pool show what weights look like with and without a person.",
        measure_taking_part,
        {f"{n} shadow models": {"n_shadows": n} for n in (8, 16, 32)},
        "8 shadow models",
    ),
)
