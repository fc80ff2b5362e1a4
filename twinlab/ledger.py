"""The privacy ledger: what was spent on whose privacy, kept in a file, charged before noise is drawn.

The file is a sealed chain (`chain.py` says what changes to it are noticed, and which cannot be). Every account in it
has a cap per unit of one cohort. The cost of an event is what it raises the composed epsilon by, rounded up to a
millionth and kept as a whole number, so that costs add up to what was spent, exactly.

What the cap means: all events of an account together are within its epsilon and delta, for the accountant's neighbours.
The accountant composes events as if they had been fixed beforehand. Where somebody picks the next event after seeing
earlier noisy answers, hand in `compute_adaptive_epsilon`, which stays valid then and charges more.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from twinlab.budget import (
    ComposedEvent,
    Event,
    NeighboringRelation,
    PrivacyBudget,
    event_from_json,
    event_to_json,
)
from twinlab.chain import Chain, find_seal, open_chain
from twinlab.errors import BudgetExhaustedError, PrivacyError, SpecificationError, UnsupportedEventError

#: What composes events: an upper bound on epsilon for events, at a delta, under adding or removing one unit.
Accountant = Callable[[Iterable[Event], float], float]

#: A millionth of an epsilon. Amounts are whole numbers of it, so that they add without rounding.
MICRO = 1_000_000
_LARGEST_MICRO = 2**60


@dataclass(frozen=True)
class Receipt:
    """That an event was charged. Draw noise only with one in hand: `with ledger.spend(event) as receipt: ...`.

    Attributes:
      number: of the entry in the ledger.
      epsilon: what the account rose by.
      total_epsilon: all that was spent on the account, this included.
      remaining_epsilon: what is left.
      n_earlier: how often the same experiment was charged before, on the same account.
      digest: of the ledger up to this entry.
    """

    number: int
    epsilon: float
    total_epsilon: float
    remaining_epsilon: float
    n_earlier: int
    digest: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is given back: noise that was drawn, or might have been, is spent."""

    def __str__(self) -> str:
        again = f"; the same experiment was charged {self.n_earlier} times before, and again now" * bool(self.n_earlier)
        return (
            f"charged epsilon {self.epsilon:.6g}; {self.total_epsilon:.6g} spent in all, {self.remaining_epsilon:.6g} "
            f"left{again}"
        )


class PrivacyLedger:
    """The account of one cohort under one privacy unit, in a ledger file that may hold others."""

    def __init__(
        self,
        path: str | Path,
        *,
        cohort: str,
        budget: PrivacyBudget,
        accountant: Accountant,
        quotas: Mapping[str, float] | None = None,
        seal_path: str | Path | None = None,
    ) -> None:
        """Open an account, and make the ledger file if there is none.

        Args:
          path: the ledger file.
          cohort: fingerprint of the cohort; public.
          budget: the cap for each unit of the cohort, over all purposes together. It is fixed with the first opening.
          accountant: composes events, such as `compute_epsilon`.
          quotas: the most that a purpose may cost by itself, below the cap; a purpose without a quota has the cap.
          seal_path: the seal; beside the ledger when left open. Best on another disk than the ledger.

        Raises:
          SpecificationError: if the account exists with another budget or other quotas.
          UnsupportedEventError: if the budget's neighbouring relation is not to add or remove one.
          PrivacyError: if the ledger was changed, cut, replaced or copied.
        """
        if budget.neighboring_relation is not NeighboringRelation.ADD_OR_REMOVE_ONE:
            raise UnsupportedEventError(
                f"expected a budget for neighbours that {NeighboringRelation.ADD_OR_REMOVE_ONE.value}, got "
                f"{budget.neighboring_relation.value!r}; the events composed here are described under the former"
            )
        self.path, self.cohort, self.budget = Path(path).absolute(), cohort, budget
        self._seal_path = find_seal(self.path, seal_path)
        self._accountant = accountant
        self._account = {"cohort": cohort, "privacy_unit": budget.privacy_unit.value}
        self._terms: dict[str, Any] = {
            "epsilon_micro": _floor_micro("epsilon", budget.epsilon),
            "delta": float(budget.delta),
            "relation": budget.neighboring_relation.value,
            "quotas_micro": {name: _floor_micro(f"quota of {name!r}", value) for name, value in (quotas or {}).items()},
        }
        with self._open(create=True) as chain:
            known = [entry for entry in chain.entries if entry["kind"] == "account" and self._is_mine(entry)]
            if not known:
                chain.append({"kind": "account", **self._account, **self._terms})
            elif (found := {name: known[-1][name] for name in self._terms}) != self._terms:
                raise SpecificationError(
                    f"account of cohort {cohort} per {budget.privacy_unit}: expected the terms it was opened with, "
                    f"{_describe_terms(found)}, got {_describe_terms(self._terms)}; open it with the former; a cap "
                    "that can be raised is none"
                )

    def spend(self, event: Event, *, purpose: str = "", experiment: str = "") -> Receipt:
        """Charge an event, or refuse it. Call this before any noise is drawn.

        The entry is on disk when this returns. If the process dies afterwards, the event counts as spent.

        Args:
          event: what is about to happen; per the account's privacy unit.
          purpose: what for; its quota is checked beside the cap.
          experiment: fingerprint of the experiment. A re-run spends again, and the receipt says how often it did.

        Raises:
          BudgetExhaustedError: if the event does not fit; nothing was spent.
          UnsupportedEventError: if the accountant knows no such event; nothing was spent.
          PrivacyError: if the ledger was changed, cut, replaced or copied; nothing was spent.
        """
        with self._open() as chain:
            spent = [entry for entry in chain.entries if entry["kind"] == "spend" and self._is_mine(entry)]
            before = spent[-1]["total_micro"] if spent else 0
            total, cap = self._compose(spent, event, before), self._terms["epsilon_micro"]
            self._require_room(total, before, cap, "the cap")
            own = [entry for entry in spent if entry["purpose"] == purpose]
            own_before = own[-1]["purpose_total_micro"] if own else 0
            own_total = self._compose(own, event, own_before)
            if purpose in self._terms["quotas_micro"]:
                quota = self._terms["quotas_micro"][purpose]
                self._require_room(own_total, own_before, quota, f"the quota of {purpose!r}")
            n_earlier = sum(entry["experiment"] == experiment for entry in spent) if experiment else 0
            chain.append(
                {
                    "kind": "spend",
                    **self._account,
                    "event": json.loads(event_to_json(event)),
                    "purpose": purpose,
                    "experiment": experiment,
                    "charge_micro": total - before,
                    "total_micro": total,
                    "purpose_total_micro": own_total,
                }
            )
            number, digest = len(chain.entries), chain.digest
        return Receipt(number, (total - before) / MICRO, total / MICRO, (cap - total) / MICRO, n_earlier, digest)

    def require(self, event: Event) -> None:
        """Refuse an event that does not fit the cap now; nothing is spent either way.

        Raises:
          BudgetExhaustedError: if it does not fit.
        """
        spent = self._read_spent()
        before = spent[-1]["total_micro"] if spent else 0
        self._require_room(self._compose(spent, event, before), before, self._terms["epsilon_micro"], "the cap")

    def price(self, event: Event) -> float:
        """What an event would cost now, in epsilon; nothing is spent. Infinite for one that protects nothing."""
        spent = self._read_spent()
        before = spent[-1]["total_micro"] if spent else 0
        total = self._compose(spent, event, before)
        return (total - before) / MICRO if total < _LARGEST_MICRO else math.inf

    def remaining(self, purpose: str | None = None) -> float:
        """Epsilon that is left, at the budget's delta: of the cap, or what a purpose may still use of it."""
        spent = self._read_spent()
        left = self._terms["epsilon_micro"] - (spent[-1]["total_micro"] if spent else 0)
        if purpose is not None and purpose in self._terms["quotas_micro"]:
            own = [entry["purpose_total_micro"] for entry in spent if entry["purpose"] == purpose]
            left = min(left, self._terms["quotas_micro"][purpose] - (own[-1] if own else 0))
        return left / MICRO

    def entries(self) -> list[dict[str, Any]]:
        """What was charged to this account, a row an event, oldest first."""
        return [
            {
                "number": entry["number"],
                "time": entry["time"],
                "purpose": entry["purpose"],
                "experiment": entry["experiment"],
                "event": _describe(_read_event(entry)),
                "epsilon": entry["charge_micro"] / MICRO,
                "total_epsilon": entry["total_micro"] / MICRO,
            }
            for entry in self._read_spent()
        ]

    def gauge(self) -> dict[str, Any]:
        """The numbers of a gauge: cap, spent, remaining, unit, and the same for each purpose."""
        spent = self._read_spent()
        cap, total = self._terms["epsilon_micro"], spent[-1]["total_micro"] if spent else 0
        own = {entry["purpose"]: entry["purpose_total_micro"] for entry in spent}
        quotas = self._terms["quotas_micro"]
        return {
            "epsilon": cap / MICRO,
            "spent": total / MICRO,
            "remaining": (cap - total) / MICRO,
            "delta": self.budget.delta,
            "privacy_unit": self.budget.privacy_unit.value,
            "neighboring_relation": self.budget.neighboring_relation.value,
            "n_events": len(spent),
            "purposes": [
                {"purpose": name, "quota": quotas.get(name, cap) / MICRO, "spent": own.get(name, 0) / MICRO}
                for name in sorted({*quotas, *own})
            ],
        }

    @property
    def digest(self) -> str:
        """A fingerprint of the whole history. Kept elsewhere, it shows later whether this history was continued."""
        with self._open() as chain:
            return chain.digest

    def verify(self, digest: str | None = None) -> int:
        """Check every entry, and that the history continues the one with this digest.

        Returns:
          How many entries the ledger has, all accounts together.

        Raises:
          PrivacyError: if the ledger was changed, cut, replaced or copied, or does not continue that history.
        """
        with self._open() as chain:
            if digest is not None and digest not in {mac.hex() for mac in chain.macs}:
                raise PrivacyError(
                    f"ledger {self.path.name}: expected the continuation of the history with that digest, got another "
                    "history; find out who replaced the file and its seal, and count what was spent through both"
                )
            return len(chain.entries)

    def _open(self, *, create: bool = False) -> AbstractContextManager[Chain]:
        return open_chain(self.path, self._seal_path, create=create)

    def _is_mine(self, entry: Mapping[str, Any]) -> bool:
        return all(entry.get(name) == value for name, value in self._account.items())

    def _read_spent(self) -> list[dict[str, Any]]:
        with self._open() as chain:
            return [entry for entry in chain.entries if entry["kind"] == "spend" and self._is_mine(entry)]

    def _compose(self, spent: list[dict[str, Any]], event: Event, floor: int) -> int:
        """Millionths of epsilon that all these cost together, rounded up; at least the floor."""
        events = [_read_event(entry) for entry in spent]
        epsilon = float(self._accountant([*events, event], self.budget.delta))
        if math.isnan(epsilon) or epsilon < 0:
            raise UnsupportedEventError(f"expected an epsilon from the accountant, got {epsilon}")
        # a billionth is float's own noise: 0.1 + 0.2 is to fill a cap of 0.3
        return max(math.ceil(round(min(epsilon * MICRO, _LARGEST_MICRO), 3)), floor)

    def _require_room(self, total: int, before: int, limit: int, name: str) -> None:
        if total <= limit:
            return
        asked = f"{(total - before) / MICRO:.6g}" if total < _LARGEST_MICRO else "more than any budget"
        raise BudgetExhaustedError(
            f"asked for epsilon {asked}, but {(limit - before) / MICRO:.6g} remains of {name} of {limit / MICRO:.6g} "
            f"per {self.budget.privacy_unit} at delta {self.budget.delta:g} (cohort {self.cohort}). Nothing was spent. "
            "Add noise, ask less often, or use what was already released, which costs nothing"
        )

    def __repr__(self) -> str:
        gauge = self.gauge()
        return (
            f"PrivacyLedger(cohort {self.cohort}: epsilon {gauge['spent']:.4g} of {gauge['epsilon']:.4g} spent per "
            f"{gauge['privacy_unit']} at delta {gauge['delta']:.1g}, {gauge['n_events']} events)"
        )


def open_ledger(
    path: str | Path | None = None,
    *,
    cohort: str,
    budget: PrivacyBudget,
    accountant: Accountant,
    quotas: Mapping[str, float] | None = None,
) -> PrivacyLedger:
    """The account of a cohort in the user's ledger.

    Args:
      path: the ledger file; when left open, `TWINLAB_LEDGER` of the environment, else a file in the user's data folder.
      cohort: fingerprint of the cohort; public.
      budget: the cap for each unit of the cohort.
      accountant: composes events, such as `compute_epsilon`.
      quotas: the most that a purpose may cost by itself.
    """
    place = path or os.environ.get("TWINLAB_LEDGER") or find_data_folder() / "ledger.sqlite"
    return PrivacyLedger(place, cohort=cohort, budget=budget, accountant=accountant, quotas=quotas)


def find_data_folder() -> Path:
    """Where a program keeps a user's data on this system."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "twinlab"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "twinlab"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "twinlab"


def _floor_micro(name: str, epsilon: float) -> int:
    micro = math.floor(round(min(epsilon * MICRO, _LARGEST_MICRO), 3)) if epsilon > 0 else 0
    if not 0 < micro < _LARGEST_MICRO:
        raise SpecificationError(f"{name}: expected an epsilon from 0.000001 to a trillion, got {epsilon}")
    return micro


def _describe_terms(terms: Mapping[str, Any]) -> str:
    quotas = ", ".join(f"{name} {value / MICRO:g}" for name, value in terms["quotas_micro"].items()) or "none"
    return f"epsilon {terms['epsilon_micro'] / MICRO:g}, delta {terms['delta']:g}, quotas: {quotas}"


def _read_event(entry: Mapping[str, Any]) -> Event:
    return event_from_json(json.dumps(entry["event"]))


def _describe(event: Event) -> str:
    """An event in a line; of a long list only how long it is."""
    if isinstance(event, ComposedEvent) and len(event.events) > 3:
        return f"ComposedEvent of {len(event.events)} events"
    return str(event)
