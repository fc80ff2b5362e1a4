"""Who pays: the ledger of real people, or nobody where people do not exist."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

from twinlab.budget import ComposedEvent, Event, NonPrivateEvent, PrivacyBudget, count_leaves
from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.dataset import load_cohort
from twinlab.experiment import Experiment, ShippedCohort, SimulatedCohort
from twinlab.ledger import PrivacyLedger, Receipt
from twinlab.ledger import open_ledger as open_account
from twinlab.protection.differential_privacy.accounting import compute_epsilon


class Account:
    """Charges the events of one experiment, and keeps what was charged. A ledger for real people, nothing otherwise.

    Attributes:
      ledger: where it is written down; None for people who do not exist.
      receipts: what was charged in this run.
    """

    def __init__(self, ledger: PrivacyLedger | None, experiment: Experiment) -> None:
        """Start with nothing charged."""
        self.ledger = ledger
        self.receipts: list[Receipt] = []
        self._experiment = experiment

    @property
    def is_free(self) -> bool:
        """Whether nobody pays."""
        return self.ledger is None

    def require(self, events: Sequence[Event]) -> None:
        """Refuse a whole run before any of it is charged.

        Raises:
          BudgetExhaustedError: if the ledger does not allow all of it; nothing was spent.
        """
        if self.ledger is not None and events:
            self.ledger.require(ComposedEvent(tuple(events)))

    def spend(self, event: Event, *, purpose: str) -> None:
        """Charge an event before its noise is drawn.

        Raises:
          BudgetExhaustedError: if the ledger does not allow it; nothing was spent.
        """
        if self.ledger is not None:
            self.receipts.append(self.ledger.spend(event, purpose=purpose, experiment=self._experiment.fingerprint))

    def price(self, events: Sequence[Event]) -> float:
        """What events would cost now: what the account would rise by, or for free ones their epsilon alone."""
        event = ComposedEvent(tuple(events))
        if self.ledger is not None:
            return self.ledger.price(event)
        return (
            math.inf
            if NonPrivateEvent() in count_leaves(event)
            else compute_epsilon(event, self._experiment.budget.delta)
        )


def find_account(experiment: Experiment, cohort: Cohort, ledger: PrivacyLedger | str | Path | None) -> Account:
    """The account that a run is charged to.

    Args:
      experiment: public.
      cohort: whose account; private.
      ledger: an opened one, or the path of its file. When None, real people's account in the user's own ledger, and for
        people who do not exist none at all.
    """
    if isinstance(ledger, PrivacyLedger):
        return Account(ledger, experiment)
    if ledger is None and is_free(experiment):
        return Account(None, experiment)
    return Account(_open(experiment, cohort, ledger), experiment)


def is_free(experiment: Experiment) -> bool:
    """Whether its people do not exist, so that nobody's privacy is at stake."""
    return isinstance(experiment.cohort, SimulatedCohort | ShippedCohort)


def open_ledger(experiment: Experiment, path: str | Path | None = None) -> PrivacyLedger:
    """The ledger account of an experiment's people, with its budget as cap.

    The file outlives the notebook: who opens it again finds what was spent. It notices being edited, cut or copied.
    People who do not exist need none; open one to practise.

    Args:
      experiment: says whose account, and with which cap.
      path: the file; the user's own ledger when None.

    Raises:
      DataContractError: if the readings are not there.
      SpecificationError: if these people have an account with another cap or delta.
      PrivacyError: if the file was changed, cut, replaced or copied.
    """
    return _open(experiment, load_cohort(experiment.cohort)[0], path)


def _open(experiment: Experiment, cohort: Cohort, path: str | Path | None) -> PrivacyLedger:
    budget = PrivacyBudget(experiment.budget.epsilon, experiment.budget.delta)
    return open_account(path, cohort=fingerprint_people(experiment, cohort), budget=budget, accountant=compute_epsilon)


def fingerprint_people(experiment: Experiment, cohort: Cohort) -> str:
    """Sixteen hex digits that name these people: the same people with more readings keep their account.

    Simulated people are named by the choices that make them, others by their ids. Somebody who joins or leaves makes
    another group with an account of its own, so a group must not be formed anew to escape its cap.
    """
    if isinstance(experiment.cohort, SimulatedCohort):
        name = experiment.cohort.model_dump_json()
    else:
        name = "\n".join(sorted(cohort.person_ids))
    return hashlib.sha256(name.encode()).hexdigest()[:16]
