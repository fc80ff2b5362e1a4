"""The controls of the panel of devices: limits, hints and words are those of the experiment's own fields."""

from collections.abc import Sequence
from typing import Any, get_args

from twinlab.charts.rows import signal_words
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.learn_choice import EncryptedSum, FederatedLearning, FederatedPrivacy, PlainSum, SecureSum
from twinlab.widgets.control import Control, Pick, Slide
from twinlab.widgets.devices_source import ALL, OFF

_SIZES = (10, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)
_EPSILONS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_STRATEGIES = {
    "fedavg": "fedavg: the mean",
    "fedmedian": "fedmedian: the median",
    "fedtrimmedavg": "fedtrimmedavg: mean of the middle",
    "krum": "krum: the most central one",
    "multikrum": "multikrum: mean of central ones",
}
_ATTACKS = {
    "sign_flip": "ten times the opposite",
    "nan": "no number",
    "huge_weight": "claim a huge weight",
    "wrong_shape": "wrong shape",
    "missing_key": "leave a part out",
}
#: Percent of all devices.
_MOST_ATTACKERS = 30
_SUMS = (("plain", PlainSum), ("secure", SecureSum), ("encrypted", EncryptedSum))


def make_device_controls(
    experiment: Experiment, n_people: int, signals: Sequence[str], chosen: dict[str, Any]
) -> dict[str, list[Control]]:
    """Controls by the words that stand above them.

    Args:
      experiment: where they start, with a federated `learn`; public.
      n_people: devices there are at most.
      signals: whose error can be shown.
      chosen: where they start instead; None leaves the experiment's own choice.
    """
    learn = _read_learn(experiment)
    start = _read_start(learn, n_people, signals)
    most_attackers = max(_MOST_ATTACKERS, start["attackers"])
    start |= {name: value for name, value in chosen.items() if value is not None}
    sizes = [n for n in _SIZES if n < n_people]
    own = learn.clients_per_round
    asked = sorted({*sizes, own} if own is not None and own < n_people else sizes)
    attacks = [(_ATTACKS.get(name, name), name) for name in _list_options("attack")]
    strategies = [(words, name) for name, words in _STRATEGIES.items()]
    epsilons = sorted({*_EPSILONS, *({float(start["epsilon"])} if _is_epsilon(start["epsilon"]) else ())})
    labels = [(signal_words(name)[0], name) for name in signals]
    return {
        "Who takes part": [
            Pick("n_devices", "Devices", [(f"{n:,}", n) for n in (*sizes, n_people)], start["n_devices"],
                 "People whose readings stay on a device of their own.", slides=True),
            Pick("clients_per_round", "A round asks", [(ALL, ALL), *((f"{n:,}", n) for n in asked)],
                 start["clients_per_round"], _hint("clients_per_round")),
            Slide("n_rounds", "Rounds", min(5, learn.n_rounds), max(50, learn.n_rounds), start["n_rounds"], 1,
                  hint=_hint("n_rounds")),
            Slide("dropout", "Dropout", 0.0, max(0.8, learn.dropout), start["dropout"], 0.05, hint=_hint("dropout")),
        ],
        "Who lies, and what bears it": [
            Slide("attackers", "Attackers", 0, most_attackers, start["attackers"], 1, "%",
                  "Share of all devices. " + _hint("n_attackers")),
            Pick("attack", "They send", attacks, start["attack"], _hint("attack")),
            Pick("strategy", "Strategy", strategies, start["strategy"], _hint("strategy")),
            Slide("quorum_share", "Quorum", 0.0, 1.0, start["quorum_share"], 0.05, hint=_hint("quorum_share")),
        ],
        "What can be read, and what is shown": [
            Pick("aggregation", "Aggregation", [(name, name) for name, _ in _SUMS], start["aggregation"],
                 " ".join((kind.__doc__ or "").splitlines()[0] for _, kind in _SUMS)),
            Pick("epsilon", "Epsilon", [(OFF, OFF), *((f"{each:g}", each) for each in epsilons)], start["epsilon"],
                 FederatedPrivacy.model_fields["epsilon"].description or "", slides=True),
            Pick("signal", "Signal", labels, start["signal"], "Whose error is drawn."),
        ],
    }  # fmt: skip


def _read_learn(experiment: Experiment) -> FederatedLearning:
    """The choices of a federated experiment."""
    learn = experiment.learn
    if not isinstance(learn, FederatedLearning):
        raise SpecificationError(
            f"devices: expected learn = 'federated', got {learn.kind!r}; make the exploration with `tl.explore_devices`"
        )
    return learn


def _read_start(learn: FederatedLearning, n_people: int, signals: Sequence[str]) -> dict[str, Any]:
    """Where the controls start: at the experiment's own choices."""
    if not len(signals):
        raise SpecificationError("expected at least one signal to forecast, got none")
    return {
        "n_devices": n_people,
        "clients_per_round": ALL
        if learn.clients_per_round is None or learn.clients_per_round >= n_people
        else learn.clients_per_round,
        "n_rounds": learn.n_rounds,
        "dropout": learn.dropout,
        "attackers": round(100 * min(1.0, learn.n_attackers / n_people)),
        "attack": learn.attack,
        "strategy": learn.strategy if learn.strategy in _STRATEGIES else "fedavg",
        "quorum_share": learn.quorum_share,
        "aggregation": learn.aggregation.kind,
        "epsilon": learn.privacy.epsilon if isinstance(learn.privacy, FederatedPrivacy) else OFF,
        "signal": "heart_rate_bpm" if "heart_rate_bpm" in signals else str(signals[0]),
    }


def _is_epsilon(value: Any) -> bool:
    """Whether a value may stand among the epsilons: within the panel's limits, so that others are refused by name."""
    return isinstance(value, float | int) and not isinstance(value, bool) and 0.5 <= value <= 8


def _hint(name: str) -> str:
    return FederatedLearning.model_fields[name].description or ""


def _list_options(name: str) -> tuple[str, ...]:
    return get_args(FederatedLearning.model_fields[name].annotation)
