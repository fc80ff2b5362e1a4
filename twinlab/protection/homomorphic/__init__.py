"""Encrypted queries: ask a model without showing it anything, and let only the key holder read the answer.

`plan` chooses how: layout, ring and scales. A `KeyHolder` makes keys and encrypts; a `Server` is made from its bytes
and computes on what it cannot read; `ask` takes a question all the way and says what each step cost. Sums of many
devices' updates are in `encrypted_sum`, training on encrypted records in `encrypted_training`; each says what it
promises by itself.

What is promised
  Against the server: rows (or a person's head, for an `EncryptedHead`) are hidden by CKKS with at least 128 bits of
  security, and as much against quantum computers if the plan is `quantum_safe`. What the server sees are sizes, times,
  how many rows a question has, and features in the clear where the head is what is encrypted.
  Against the network: the same, and messages that were altered, cut off, replayed or made by somebody else are refused.
  Against the key holder: the server's answer holds nothing but answers, for a key holder that packs its questions as
  the plan says. Partial sums, which tell the weights one by one, are summed up or zeroed before the answer leaves.
  To the key holder: answers within the plan's tolerance for rows like those of the calibration; values cannot wrap
  around for any row that is admitted.

What is not promised
  - That the server computed what it should, or on the model that it says. It is trusted with that.
  - The model against many questions. A linear model of d features follows from d + 1 answers, encrypted or not. A
    message answers as many questions as it has columns, and a key holder that packs others than the plan says gets
    other weighted sums. The noise of an answer depends on the weights a little (no circuit privacy).
  - The key, if answers are shown to others, unless the plan was made with `share_results`: see `noise`. Nor if others
    learn whether decrypting failed.
  - Quantum safety of the channel on which the envelopes' secret is handed over: that is the channel's.
  - Keys on disk, and memory after use: keys live with their object and are not wiped.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.homomorphic.depth import measure_depth
    from twinlab.protection.homomorphic.encrypted_sum import add_encrypted, plan_sum
    from twinlab.protection.homomorphic.encrypted_training import plan_training, train_encrypted, train_plainly
    from twinlab.protection.homomorphic.encryption_plan import EncryptionPlan
    from twinlab.protection.homomorphic.key_holder import KeyHolder
    from twinlab.protection.homomorphic.model import (
        ConvolutionModel,
        EncryptedHead,
        LinearModel,
        LogisticModel,
        SquareNetwork,
    )
    from twinlab.protection.homomorphic.parameters import RingParameters
    from twinlab.protection.homomorphic.planner import plan
    from twinlab.protection.homomorphic.query import Answer, ask, set_up, store_head
    from twinlab.protection.homomorphic.server import Server
    from twinlab.protection.homomorphic.step_log import Step

_HOMES = {
    "Answer": "query",
    "ConvolutionModel": "model",
    "EncryptedHead": "model",
    "EncryptionPlan": "encryption_plan",
    "KeyHolder": "key_holder",
    "LinearModel": "model",
    "LogisticModel": "model",
    "RingParameters": "parameters",
    "Server": "server",
    "SquareNetwork": "model",
    "Step": "step_log",
    "add_encrypted": "encrypted_sum",
    "ask": "query",
    "measure_depth": "depth",
    "plan": "planner",
    "plan_sum": "encrypted_sum",
    "plan_training": "encrypted_training",
    "set_up": "query",
    "store_head": "query",
    "train_encrypted": "encrypted_training",
    "train_plainly": "encrypted_training",
}

__all__ = [
    "Answer",
    "ConvolutionModel",
    "EncryptedHead",
    "EncryptionPlan",
    "KeyHolder",
    "LinearModel",
    "LogisticModel",
    "RingParameters",
    "Server",
    "SquareNetwork",
    "Step",
    "add_encrypted",
    "ask",
    "measure_depth",
    "plan",
    "plan_sum",
    "plan_training",
    "set_up",
    "store_head",
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
