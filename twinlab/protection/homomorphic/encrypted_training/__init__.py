"""Encrypted training: a server trains a logistic regression on records that it cannot read.

`plan_training` chooses blocks, ring and scales. A `TrainingKeyHolder` has the records and the key: it encrypts records
and labels once, and weights before each epoch. A `TrainingServer`, made from its bytes, works out the encrypted
gradient. The key holder decrypts it, takes the step and encrypts the new weights, which are then fresh again: so a
training may have any number of epochs in a ring that is deep enough for one. `train_encrypted` does all of it.

Who sees what
  Key holder: the records when it encrypts them, and the weights and the gradient of every epoch, from start to end.
  Server: number of records, features and epochs, learning rate, penalty, bounds, sizes and times. Neither records nor
  labels nor weights nor gradients.

What is promised
  Against the server: records, labels, weights and gradients are hidden by CKKS with at least 128 bits of security, and
  as much against quantum computers if the plan is `quantum_safe`.
  Against the network: the same, and messages that were altered, cut off, replayed or made by somebody else are refused.
  To the key holder: gradients within the plan's error of the plain ones for standardised features, as long as logits
  stay where the sigmoid's polynomial is a sigmoid; values cannot wrap around for any records and weights that are
  admitted, and weights that run off stop the training. A gradient holds sums over all records and nothing about one.

What is not promised
  - That the server computed what it should.
  - The logistic regression of a textbook. The sigmoid is a polynomial of degree 3, which serves for logits between -5
    and 5 and turns around beyond; `train_plainly` tells what that costs, beside the exact sigmoid.
  - Anything about records against whoever gets the weights: encryption ends where they are decrypted, and weights say
    something about the records. That takes differential privacy, which this is not.
  - The key, if weights are shown to others: they carry a trace of the noise of decryption, averaged over thousands of
    slots and rounded by nothing. No attack on so few numbers is known to us, and none is excluded.
  - Quantum safety of the channel on which the envelopes' secret is handed over: that is the channel's.

When not to
  Nearly always, today. In the clear, an epoch of a thousand records takes some hundredths of a millisecond; encrypted,
  thousands of times as long, and the key holder alone works longer on encrypting weights than training itself would
  take. So whoever still has the records should train on them. A server that may be trusted with them should have them
  in the clear, and with them any model. Where many parties have records and each can compute, training where the
  records are and summing up securely is cheaper, and no party holds a key to all of them. What is left are records that
  were deposited encrypted and are kept nowhere else: from then on, what an epoch costs the key holder hardly grows with
  the number of records.

Sources: Chen et al., "Logistic regression over encrypted data from fully homomorphic encryption", BMC Medical Genomics
2018, for the polynomial; Cheon et al., "Homomorphic Encryption for Arithmetic of Approximate Numbers", ASIACRYPT 2017.
The layout of records by features in blocks follows Kim et al., "Logistic regression model training based on the
approximate homomorphic encryption", BMC Medical Genomics 2018.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.homomorphic.encrypted_training.plain_training import PlainTraining, train_plainly
    from twinlab.protection.homomorphic.encrypted_training.training_key_holder import TrainingKeyHolder
    from twinlab.protection.homomorphic.encrypted_training.training_plan import TrainingPlan, plan_training
    from twinlab.protection.homomorphic.encrypted_training.training_run import (
        EncryptedTraining,
        TrainingEpoch,
        train_encrypted,
    )
    from twinlab.protection.homomorphic.encrypted_training.training_server import TrainingServer

_HOMES = {
    "EncryptedTraining": "training_run",
    "PlainTraining": "plain_training",
    "TrainingEpoch": "training_run",
    "TrainingKeyHolder": "training_key_holder",
    "TrainingPlan": "training_plan",
    "TrainingServer": "training_server",
    "plan_training": "training_plan",
    "train_encrypted": "training_run",
    "train_plainly": "plain_training",
}

__all__ = [
    "EncryptedTraining",
    "PlainTraining",
    "TrainingEpoch",
    "TrainingKeyHolder",
    "TrainingPlan",
    "TrainingServer",
    "plan_training",
    "train_encrypted",
    "train_plainly",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used; most load numpy or TenSEAL."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
