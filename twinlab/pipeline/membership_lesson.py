"""Who trained this? Shadow models made, released weights attacked, claims scored; and defences side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from twinlab.attacks.membership import METHODS, MembershipMethod, attack_with_shadows
from twinlab.errors import SpecificationError
from twinlab.evaluation.membership import ACCUSED, measure_membership, trace_curve
from twinlab.experiment import Experiment
from twinlab.finding import Finding
from twinlab.learn_choice import FederatedLearning, FederatedPrivacy, PersonPrivacy
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.linear_shadowing import (
    HEAD_THREAT,
    ROUNDS_THREAT,
    SIGHTS,
    Sight,
    train_head_shadows,
    train_round_shadows,
)
from twinlab.pipeline.shadowing import (
    ROWS_PER_EPOCH,
    Shadows,
    draw_members,
    draw_pool,
    find_promised_ceiling,
    train_shadows,
)
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.roles import Progress, report_nothing
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

THREAT = ThreatModel(
    "membership",
    "public",
    "the released weights, how they were trained, a candidate's readings, and a pool of people to train shadow models "
    "on, half of whom took part",
)
_NAMES = {"loss": "one threshold on the loss", "lira": "LiRA", "lira_offline": "LiRA offline", "rmia": "RMIA"}
_THREATS: dict[Sight, ThreatModel] = {"weights": THREAT, "rounds": ROUNDS_THREAT, "head": HEAD_THREAT}
_SEEN: dict[Sight, str] = {"weights": "", "rounds": ", every round seen", "head": ", pooled head"}
_LEAST_SHADOWS = 8


@dataclass(frozen=True, repr=False)
class MembershipResult:
    """What an attack on membership found.

    Attributes:
      finding: the share of members found at 1 % of outsiders accused.
      table: a row per target and method: target, method, found_at_1_percent, low, high, found_at_01_percent, control,
        area, area_low, area_high, promised_ceiling, n_members, n_outsiders, n_targets.
      roc: curves: target, method, accused, found.
    """

    finding: Finding
    table: pd.DataFrame = field(repr=False)
    roc: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        return self.finding.sentence


def attack_membership(
    experiment: Experiment,
    *,
    sees: Sight = "weights",
    n_shadows: int = 64,
    n_targets: int | None = None,
    method: MembershipMethod = "lira",
    seed: int = 0,
    name: str = "",
    rows_per_epoch: int | None = ROWS_PER_EPOCH,
    progress: Progress = report_nothing,
) -> MembershipResult:
    """Attack what an experiment's learning releases: who of the pool took part?

    Models are trained on random halves of a pool; each in turn is the target, and the others are the attacker's
    shadows. It compares with the truth, and is for people who do not exist, or whose data's licence allows it.

    Args:
      experiment: public: who, which twin, how the shared part is learned. Where people are simulated, each model trains
        on as many as the experiment has; else on half of its people.
      sees: released "weights"; of a federation the model after every one of its "rounds", as every device gets it,
        secure sum or not; or a pooled ridge "head" alone, on public features, of open training.
      n_shadows: models trained in all, at least 8.
      n_targets: how many of them are attacked; all when None.
      method: of the finding; one threshold on the loss stands beside it.
      seed: of halves, initial weights and rows; public. Noise that protects never depends on it.
      name: of the target in tables; made from the experiment when empty.
      rows_per_epoch: that a backbone's pass uses, of targets and shadows alike; None for all, as the lab trains, at
        some twenty times the cost. With fewer, targets leak somewhat less than the lab's own.
      progress: told while models train.

    Returns:
      Finding, table and curves.

    Raises:
      SpecificationError: if there are too few shadows, more targets than models, no such method, or the experiment's
        learning shows no such thing.
    """
    n_targets = n_shadows if n_targets is None else n_targets
    if n_shadows < _LEAST_SHADOWS or not 1 <= n_targets <= n_shadows or method not in METHODS:
        raise SpecificationError(
            f"membership: expected n_shadows of at least {_LEAST_SHADOWS}, 1 to n_shadows targets, and a method among "
            f"{', '.join(METHODS)}, got {n_shadows} shadows, {n_targets} targets, method {method!r}"
        )
    if sees not in SIGHTS:
        raise SpecificationError(f"sees: expected one of {', '.join(SIGHTS)}, got {sees!r}")
    pool = draw_pool(experiment, progress)
    members = draw_members(n_shadows, pool.n_people, seed)
    if sees == "rounds":
        shadows = train_round_shadows(experiment, pool, members, progress)
    elif sees == "head":
        shadows = train_head_shadows(experiment, pool, members, progress)
    else:
        shadows = train_shadows(experiment, pool, members, seed, progress, rows_per_epoch)
    name = name or _name_target(experiment) + _SEEN[sees]
    methods: tuple[MembershipMethod, ...] = (method,) if method == "loss" else (method, "loss")
    claims = {_NAMES[each]: claim_members(shadows, each, n_targets, _THREATS[sees]) for each in methods}
    truth = members[:n_targets]
    finding = measure_membership(claims, truth, name[:1].upper() + name[1:], seed)
    table = pd.DataFrame(list(finding.table)).assign(target=name, promised_ceiling=_promise(experiment))
    curves = [
        pd.DataFrame(trace_curve(each, truth)).assign(target=name, method=label) for label, each in claims.items()
    ]
    return MembershipResult(finding, table, pd.concat(curves, ignore_index=True))


def claim_members(
    shadows: Shadows, method: MembershipMethod, n_targets: int, threat: ThreatModel = THREAT
) -> list[Claims]:
    """What the attacker says of each target in turn, from its release and the other models alone."""
    found = []
    for target in range(n_targets):
        rest = [model for model in range(len(shadows.releases)) if model != target]
        facts = {
            "method": method,
            "measure": shadows.measure_loss if method == "loss" else shadows.measure,
            "shadow_signals": shadows.signals[rest],
            "shadow_members": shadows.members[rest],
        }
        release, transcript = shadows.releases[target], Transcript()
        n_bytes = sum(value.numel() * value.element_size() for value in release.values())
        guarantee = NoGuarantee("under attack")
        transcript.record(Message("trainer", threat.access, "weights", n_bytes, shadows.seconds, release, guarantee))
        found.append(let_attack(attack_with_shadows, transcript, PublicKnowledge(facts=facts), threat))
    return found


def choose_membership_targets(experiment: Experiment | None = None, epsilon: float = 1.0) -> dict[str, Experiment]:
    """Defences to hold side by side, with a target on which every attack must succeed.

    Args:
      experiment: whose cohort and twin are used; the default when None.
      epsilon: of person-level privacy.
    """
    base = experiment or Experiment()
    few = {"cohort": {"kind": "simulated", "n_people": 8, "n_days": 7}, "learn.kind": "central", "learn.n_epochs": 40}
    return {
        "overfitted: 8 people, 7 days": base.with_(few),
        "trained openly": base.with_({"learn": {"kind": "central"}}),
        "federated": base.with_({"learn": {"kind": "federated"}}),
        f"private, epsilon {epsilon:g}": base.with_(
            {"learn": {"kind": "central", "privacy": {"kind": "person", "epsilon": epsilon}}}
        ),
    }


def compare_membership(
    targets: Mapping[str, Experiment],
    *,
    n_shadows: int = 64,
    method: MembershipMethod = "lira",
    seed: int = 0,
    progress: Progress = report_nothing,
) -> MembershipResult:
    """The same attack on several defences; arguments as for `attack_membership`. The finding is the first target's."""
    if not targets:
        raise SpecificationError("membership: expected at least one target, got none")
    results = [
        attack_membership(each, n_shadows=n_shadows, method=method, seed=seed, name=name, progress=progress)
        for name, each in targets.items()
    ]
    return MembershipResult(
        results[0].finding,
        pd.concat([each.table for each in results], ignore_index=True),
        pd.concat([each.roc for each in results], ignore_index=True),
    )


def _name_target(experiment: Experiment) -> str:
    match experiment.learn:
        case FederatedLearning():
            return "federated"
        case _ if isinstance(experiment.learn.privacy, PersonPrivacy):
            return f"private, epsilon {experiment.learn.privacy.epsilon:g}"
    return "trained openly"


def _promise(experiment: Experiment) -> float | None:
    """The largest share of members found at 1 % accused that the promise allows; None without one."""
    privacy = experiment.learn.privacy
    if not isinstance(privacy, (PersonPrivacy, FederatedPrivacy)) or privacy.rehearsal:
        return None
    return find_promised_ceiling(privacy.epsilon, experiment.budget.delta, ACCUSED[1])
