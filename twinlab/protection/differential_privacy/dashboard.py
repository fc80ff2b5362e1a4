"""A dashboard that asks again and again: the whole price is paid once, and every answer gets an equal part of it."""

import math

from twinlab.budget import Event, PureEvent
from twinlab.errors import BudgetExhaustedError, SpecificationError, UnsupportedEventError
from twinlab.protection.differential_privacy.answer import BudgetHolder
from twinlab.protection.differential_privacy.stream import UNITS_PER_EPSILON


class Dashboard:
    """Pays for a fixed number of answers about the same people; hand it to an answer as its ledger.

    The total is drawn from the ledger when the dashboard opens, so nobody else can spend it meanwhile. Answers never
    asked for are not given back.

    Attributes:
      epsilon_each: public; what each answer may spend.
      n_answers: public; how many there may be.
    """

    def __init__(self, ledger: BudgetHolder, *, epsilon: float, n_answers: int, purpose: str = "dashboard") -> None:
        """Pay for all answers.

        Args:
          ledger: who pays.
          epsilon: public; the total.
          n_answers: public; parts that it is split into.
          purpose: public; what the ledger writes down.

        Raises:
          SpecificationError: if the total or the number is out of range.
          BudgetExhaustedError: from the ledger.
        """
        units = math.floor(epsilon * UNITS_PER_EPSILON) // n_answers if epsilon > 0 and n_answers > 0 else 0
        if units == 0:
            raise SpecificationError(
                f"dashboard: expected a positive epsilon and number of answers, got {epsilon} for {n_answers}"
            )
        self.epsilon_each = math.nextafter(units / UNITS_PER_EPSILON, 0)
        self.n_answers = n_answers
        self._n_asked = 0
        ledger.spend(PureEvent(epsilon), purpose=purpose)

    @property
    def n_remaining(self) -> int:
        """How many answers are left."""
        return self.n_answers - self._n_asked

    def spend(self, event: Event, *, purpose: str) -> None:
        """Use up one answer.

        Raises:
          BudgetExhaustedError: if none is left, or this one asks for more than its part.
          UnsupportedEventError: if the event is not of pure epsilon, as all answers' are.
        """
        if not isinstance(event, PureEvent) or event.delta > 0:
            raise UnsupportedEventError("dashboard: expected an answer of pure epsilon, got another event")
        if self.n_remaining == 0 or event.epsilon > self.epsilon_each:
            raise BudgetExhaustedError(
                f"{purpose}: asked for epsilon {event.epsilon:g} of the dashboard, which has {self.n_remaining} of "
                f"{self.n_answers} answers left at epsilon {self.epsilon_each:g} a person each; nothing was released"
            )
        self._n_asked += 1

    def __repr__(self) -> str:
        return f"Dashboard({self.n_remaining} of {self.n_answers} answers left, epsilon {self.epsilon_each:g} each)"
