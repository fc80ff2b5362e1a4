"""The same training in the clear: the arithmetic that encryption must reproduce, and what is checked beforehand.

Full-batch gradient descent on the logistic loss with a ridge penalty on the weights, the bias left out. Ciphertexts are
only added and multiplied, so the sigmoid is a polynomial of degree 3, 0.5 + 0.197 z - 0.004 z^3, a fit for logits
between -5 and 5 (Chen et al., "Logistic regression over encrypted data from fully homomorphic encryption", BMC Medical
Genomics 2018). It rises up to 4 and falls again beyond; beyond 8 its errors point the wrong way, and training may
run off. Standardised features and a ridge penalty keep logits small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twinlab.errors import DataContractError, SpecificationError

if TYPE_CHECKING:
    from twinlab.protection.homomorphic.encrypted_training.training_plan import TrainingPlan

Sigmoid = Literal["cubic", "exact"]

LINEAR, CUBIC = 0.197, -0.004
#: The cubic sigmoid is a sigmoid up to here.
TRUSTED_LOGIT = 5.0


@dataclass(frozen=True)
class PlainTraining:
    """A model trained in the clear.

    Attributes:
      weights: (feature,), private.
      bias: private.
      path: (epoch, feature), weights after each epoch with the bias last; private.
    """

    weights: np.ndarray = field(repr=False)
    bias: float = field(repr=False)
    path: np.ndarray = field(repr=False)

    def find_probabilities(self, rows: np.ndarray) -> np.ndarray:
        """(row,) by the exact sigmoid; private."""
        return find_probabilities(self.weights, self.bias, rows)


def train_plainly(rows: Any, labels: Any, plan: TrainingPlan, *, sigmoid: Sigmoid = "cubic") -> PlainTraining:
    """Train in the clear, as whoever may read the rows would.

    Args:
      rows: (record, feature); private.
      labels: (record,), 0 or 1; private.
      plan: how, from `plan_training`; public.
      sigmoid: "cubic", as under encryption, or "exact".

    Raises:
      DataContractError: if rows or labels are not what the plan was made for.
      SpecificationError: if there is no such sigmoid.
    """
    if sigmoid not in ("cubic", "exact"):
        raise SpecificationError(f"sigmoid: expected 'cubic' or 'exact', got {sigmoid!r}")
    found, given = check_records(rows, labels, plan)
    padded = np.column_stack([found, np.ones(len(found))])
    weights, path = np.zeros(plan.n_features + 1), []
    for _ in range(plan.n_epochs):
        logits = padded @ weights
        curve = find_cubic_sigmoid(logits) if sigmoid == "cubic" else find_sigmoid(logits)
        weights = step_down(weights, padded.T @ (curve - given) / len(found), plan)
        path.append(weights)
    return PlainTraining(weights[:-1], float(weights[-1]), np.array(path))


def step_down(weights: np.ndarray, gradient: np.ndarray, plan: TrainingPlan) -> np.ndarray:
    """One step of gradient descent; bias last, which has no penalty."""
    penalty = plan.l2 * weights
    penalty[-1] = 0
    return weights - plan.learning_rate * (gradient + penalty)


def find_cubic_sigmoid(logits: np.ndarray) -> np.ndarray:
    """The polynomial.

    >>> find_cubic_sigmoid(np.array([0.0, 2.0])).round(3).tolist()
    [0.5, 0.862]
    """
    return 0.5 + LINEAR * logits + CUBIC * logits**3


def find_sigmoid(logits: np.ndarray) -> np.ndarray:
    """The one that it stands for."""
    return 0.5 * (1 + np.tanh(logits / 2))


def find_probabilities(weights: np.ndarray, bias: float, rows: Any) -> np.ndarray:
    """(row,) by the exact sigmoid."""
    found = read_numbers("rows", rows)
    if found.ndim != 2 or found.shape[1] != len(weights):
        raise DataContractError(f"rows: expected shape (row, {len(weights)}), got {found.shape}")
    return find_sigmoid(found @ weights + bias)


def check_records(rows: Any, labels: Any, plan: TrainingPlan) -> tuple[np.ndarray, np.ndarray]:
    """Refuse what the plan was not made for, without saying what it was.

    Raises:
      DataContractError: if shapes differ, a number lies beyond the plan's bound, or a label is neither 0 nor 1.
    """
    found, given = read_numbers("records", rows), read_numbers("labels", labels)
    if found.shape != (plan.n_records, plan.n_features) or given.shape != (plan.n_records,):
        raise DataContractError(
            f"records: expected {plan.n_records} rows of {plan.n_features} features with a label each, got rows of "
            f"shape {found.shape} and labels of shape {given.shape}; plan anew for what there is"
        )
    beyond = ~(np.abs(found) <= plan.bound)
    if beyond.any():
        columns = np.flatnonzero(beyond.any(0))
        raise DataContractError(
            f"records: expected finite numbers within {plan.bound:g}, got {int(beyond.sum())} beyond in "
            f"{len(columns)} features, the first of them number {int(columns[0])}; standardise and clip them, or plan "
            "with a larger bound"
        )
    if not np.isin(given, (0, 1)).all():
        raise DataContractError("labels: expected 0 or 1, got others; turn the outcome into yes or no first")
    return found, given


def read_numbers(what: str, given: Any) -> np.ndarray:
    """As float64. What is no number is not told, as numpy would."""
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataContractError(f"{what}: expected an array of numbers, got something else; convert it first") from None
