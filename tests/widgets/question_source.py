"""Encrypted questions of people who do not exist: real keys and ciphertexts, a model of random weights."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.protection.homomorphic import EncryptedHead, LinearModel, ask, plan, set_up
from twinlab.protection.homomorphic.step_log import KEY_HOLDER
from twinlab.signals import get_signal

SIGNALS = ("heart_rate_bpm", "steps")
HOURS, FEATURES = 8, 40
_NOW = pd.Timestamp("2026-04-15 08:00")


@dataclass(frozen=True, repr=False)
class MadeUpQuestion:
    query: str
    person_id: str
    plan: object
    guarantee: object
    table: pd.DataFrame
    steps: pd.DataFrame
    wire: bytes
    features: np.ndarray
    error: float
    sentence: str

    def explain_wire(self):
        named = (("magic and version", 6, "envelope of encrypted queries"), ("plan", 32, "hash of ring and scales"))
        tag = 32
        middle = len(self.wire) - sum(size for _, size, _ in named) - tag
        rows = [*named, ("ciphertext", middle, "what only the key holder reads"), ("tag", tag, "HMAC-SHA256")]
        return [{"part": part, "bytes": size, "meaning": meaning} for part, size, meaning in rows]


@dataclass
class QuestionSource:
    """A linear forecast and a what-if for two signals. Plans and keys are kept; `asked` says what was asked."""

    refuses: bool = False  # whether the planner finds nothing
    own_errors: dict[str, float] = field(default_factory=lambda: {"heart_rate_bpm": 5.5})
    person_ids: tuple = ("ada", "bea", "cem")
    queries: tuple = ("forecast", "what_if")
    asked: list = field(default_factory=list)
    priced: list = field(default_factory=list)

    def __post_init__(self):
        draw = np.random.default_rng(1)
        self.targets = SIGNALS
        shape = (HOURS * len(SIGNALS), FEATURES)
        self._weights = draw.normal(size=shape) * 0.2
        self.rows = {each: draw.normal(size=(1, FEATURES)) for each in self.person_ids}
        self._kept = {}

    def _open(self, person_id, query, tolerance, quantum_safe, share_results):
        key = (person_id, query, tolerance, quantum_safe, share_results)
        if key not in self._kept:
            is_head = query == "what_if"
            model = (
                EncryptedHead(self._weights) if is_head else LinearModel(self._weights, np.zeros(len(self._weights)))
            )
            rows = np.ones((1, FEATURES)) * 3 if is_head else np.concatenate([*self.rows.values()])
            made = plan(model, rows, tolerance, quantum_safe=quantum_safe, share_results=share_results)
            self._kept[key] = (model, made, *set_up(made, model))
        return self._kept[key]

    def ask(
        self, person_id, query="forecast", *, hour=None, hours_ahead=24, minutes=30, tolerance=1e-3,
        quantum_safe=False, share_results=False,
    ):  # fmt: skip
        if person_id not in self.person_ids:
            raise SpecificationError(f"person_id: expected one of {', '.join(self.person_ids)}, got {person_id!r}")
        if self.refuses:
            raise IncompatibleChoicesError("tolerance: no ring reaches it; take a larger tolerance")
        self.asked.append((person_id, query, hours_ahead, minutes, tolerance, quantum_safe, share_results))
        model, made, holder, server, once = self._open(person_id, query, tolerance, quantum_safe, share_results)
        if query == "what_if":
            rows = np.full((1, FEATURES), minutes / 40)
            answer = ask(made, holder, server, rows, head=self._weights, plain_model=None)
            plain = rows @ self._weights.T
            numbers, kind = self._weights, "encrypted head"
        else:
            rows = self.rows[person_id]
            answer = ask(made, holder, server, rows, plain_model=model)
            plain, numbers, kind = model.answer_plain(rows), rows, "encrypted question"
        (wire,) = [message.payload for message in answer.messages if message.kind == kind]
        steps = pd.DataFrame([*_list_steps(once, "set-up"), *_list_steps(answer.steps, "question")])
        error = float(np.abs(answer.values - plain).max())
        table = _tell(plain[0], answer.values[0], min(hours_ahead, HOURS))
        said = f"{query} of {person_id}, largest error {error:.1e} spreads."
        guarantee = next(iter(answer.messages)).guarantee
        return MadeUpQuestion(query, person_id, made, guarantee, table, steps, wire, numbers, error, said)

    def estimate_costs(self, n_questions=1_000_000, query="forecast", *, tolerance=1e-3, quantum_safe=False,
                       share_results=False):  # fmt: skip
        self.priced.append((n_questions, query, tolerance, quantum_safe, share_results))
        ways = {"in the clear": (2e-8, 320, 1), "one question a message": (0.006, 99_000, 1),
                "tens a message": (4e-4, 6200, 16), "a clinic's thousands": (2e-6, 2400, 1024)}  # fmt: skip
        rows = [
            {"way": way, "server_seconds": each * n_questions, "all_seconds": 1.6 * each * n_questions,
             "bytes": size * n_questions, "questions_a_message": a_message}
            for way, (each, size, a_message) in ways.items()
        ]  # fmt: skip
        return pd.DataFrame(rows)


def _list_steps(steps, stage):
    begin = 0.0
    for step in steps:
        who = "person" if step.who == KEY_HOLDER else "provider"
        took = 1000 * step.seconds
        yield {
            "who": who, "what": step.what, "bytes": step.n_bytes, "begin_ms": begin, "milliseconds": took,
            "stage": stage,
        }  # fmt: skip
        begin += took


def _tell(plain, answer, n_hours):
    rows = []
    for place, name in enumerate(SIGNALS):
        signal = get_signal(name)
        for hour in range(n_hours):
            each = slice(place * HOURS + hour, place * HOURS + hour + 1)
            known, found = (float(values[each][0]) * signal.spread + signal.center for values in (plain, answer))
            rows.append(
                {
                    "time": _NOW + pd.Timedelta(hours=hour + 1), "horizon_hours": hour + 1, "signal": name,
                    "label": signal.label, "unit": signal.unit, "plain": known, "answer": found,
                    "error": abs(found - known),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)
