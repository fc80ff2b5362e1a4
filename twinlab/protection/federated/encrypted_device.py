"""The device's side of an encrypted sum: train, bound, add noise, encrypt. Nothing else leaves."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from twinlab.errors import ProtocolError, TwinlabError
from twinlab.protection.federated.bounded_update import train_bounded
from twinlab.protection.federated.device import DeviceProgram
from twinlab.protection.federated.encrypted_terms import ENCRYPTED, UPDATE, EncryptedTerms
from twinlab.protection.federated.fault import FaultPlan
from twinlab.protection.federated.flower import (
    ARRAYS,
    CONFIG,
    REFUSED,
    ClientApp,
    ConfigRecord,
    Context,
    Error,
    Message,
    RecordDict,
)
from twinlab.protection.federated.update import Updates
from twinlab.roles import SumEncrypter

#: So much of the end of its message a device that lies about its shape leaves out.
_CUT_BYTES = 9


class EncryptedProgram:
    """What runs on devices under an encrypted sum: one of them, or all that are asked at once.

    A device answers a request to train with its encrypted update, whoever asks. It holds nothing that decrypts.
    """

    #: Messages that many devices may answer in one call, each with records of its own.
    together = frozenset({"train"})

    def __init__(
        self,
        program: DeviceProgram,
        terms: EncryptedTerms,
        encrypter: SumEncrypter,
        faults: FaultPlan | None = None,
    ) -> None:
        """Bind training to the terms of the sum.

        Args:
          program: trains; its rows are private. Let its policy report nothing that shall not be seen device by device.
          terms: the device's own copy; public.
          encrypter: made from a public key.
          faults: lies about the update, planted for lessons and tests; public.

        Raises:
          SpecificationError: if rounding would take most of an update.
        """
        self._program, self._terms, self._encrypter = program, terms, encrypter
        self._faults = faults or FaultPlan()
        n_parameters = sum(math.prod(shape) for shape in program.shapes.values())
        self._longest = terms.find_longest(encrypter.step, n_parameters)

    def train(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """Refused: a plain answer would show the update. Raises `ProtocolError`, always."""
        raise ProtocolError("train: expected to encrypt the update, got a request for the update itself")

    def evaluate(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """As without an encrypted sum, under the same policy."""
        return self._program.evaluate(content, contexts)

    def query(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """As without an encrypted sum."""
        return self._program.query(content, contexts)

    def answer(
        self, kind: str, contents: Sequence[RecordDict], contexts: Sequence[Context]
    ) -> list[RecordDict | Error]:
        """Encrypted updates of these devices, each in answer to its own message.

        Args:
          kind: train.
          contents: a model and settings each; devices that got the very same are trained at once.
          contexts: of the devices.

        Returns:
          A reply for each device, or the error by which it refuses. Reasons hold no person's values.

        Raises:
          Exception: what training raises; no device has encrypted anything then, and all may be asked again.
        """
        alike: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for place, content in enumerate(contents):
            alike[id(content.get(ARRAYS)), id(content.get(CONFIG))].append(place)
        found: dict[int, RecordDict | Error] = {}
        for places in alike.values():
            values, misshapen = train_bounded(
                self._program, self._faults, self._longest, contents[places[0]], [contexts[place] for place in places]
            )
            for row, place in enumerate(places):
                found[place] = self._encrypt(values[row], row in misshapen)
        return [found[place] for place in range(len(contents))]

    def _encrypt(self, values: np.ndarray, misshapen: bool) -> RecordDict | Error:
        """One device's update with its part of the noise, as it leaves."""
        try:
            if self._terms.noise is not None:
                drawn = np.asarray(self._terms.noise(values.shape), dtype=np.float64)
                values = values + self._terms.noise_scale * drawn
            message = self._encrypter.encrypt(values)
        except TwinlabError as error:
            return Error(code=REFUSED, reason=str(error))  # our errors hold no person's values
        sent = message[:-_CUT_BYTES] if misshapen else message
        return RecordDict({ENCRYPTED: ConfigRecord({UPDATE: sent})})


def make_encrypted_app(program: EncryptedProgram) -> ClientApp:
    """The Flower app of a device under an encrypted sum, here or in any other of Flower's runtimes.

    Args:
      program: what the device does; its rows are private.
    """
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        return Message(program.answer("train", [message.content], [context])[0], reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        return Message(program.evaluate(message.content, [context]).list_records()[0], reply_to=message)

    @app.query()
    def query(message: Message, context: Context) -> Message:
        return Message(program.query(message.content, [context]).list_records()[0], reply_to=message)

    return app
