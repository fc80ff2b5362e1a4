"""The device's side of a secure sum over Flower messages: train, bound, add noise, mask, and refuse what strays.

What a device must remember between two messages lies in its own Flower context, since in Flower's other runtimes the
app's process may end after each of them. The update itself is never stored: training and masking happen in one message.
A runtime must hand a device one message at a time, each with the context that the last one left; a phase answered twice
from the same context would undo the masks.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinlab.errors import ProtocolError, TwinlabError
from twinlab.protection.federated.bounded_update import train_bounded
from twinlab.protection.federated.device import DeviceProgram, make_app
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
    pack_arrays,
)
from twinlab.protection.federated.secure_identity import check_keys, open_identity
from twinlab.protection.federated.secure_sum import SecureClient
from twinlab.protection.federated.secure_sum.messages import (
    PHASES,
    KeyList,
    SharesDown,
    SurvivorList,
    UnmaskRequest,
)
from twinlab.protection.federated.secure_terms import (
    IDENTITY,
    MASKED,
    MESSAGE,
    PHASE_TYPES,
    SECURE,
    Invitation,
    SecureTerms,
    check_invitation,
    hash_content,
    pack_phase,
    read_phase,
)
from twinlab.protection.federated.update import Updates

#: Where a device keeps its round, in its own context.
STATE = "secure"


class SecureProgram:
    """What runs on devices under a secure sum: one of them, or all that are asked at once.

    A device answers the phases of a secure sum, and no plain request to train: that would show its update. What it
    does not accept it answers with an error that says why, and then nothing more in this round.

    Who is who: see `twinlab.protection.federated.secure_identity`.
    """

    #: Messages that many devices may answer in one call.
    together = frozenset({IDENTITY, *PHASE_TYPES.values()})

    def __init__(self, program: DeviceProgram, terms: SecureTerms, faults: FaultPlan | None = None) -> None:
        """Bind training to the terms of the sum.

        Args:
          program: trains; its rows are private. Let its policy report nothing that shall not be seen device by device.
          terms: the device's own copy; public.
          faults: lies about the update, planted for lessons and tests; public.
        """
        self._program, self._terms, self._faults = program, terms, faults or FaultPlan()
        self._n_parameters = sum(math.prod(shape) for shape in program.shapes.values())

    def train(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """Refused: a plain answer would show the update. Raises `ProtocolError`, always."""
        raise ProtocolError("train: expected the phases of a secure sum, got a request for the update itself")

    def evaluate(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """As without a secure sum, under the same policy."""
        return self._program.evaluate(content, contexts)

    def query(self, content: RecordDict, contexts: Sequence[Context]) -> Updates:
        """As without a secure sum."""
        return self._program.query(content, contexts)

    def answer(
        self, kind: str, contents: Sequence[RecordDict], contexts: Sequence[Context]
    ) -> list[RecordDict | Error]:
        """Answers of these devices to one phase, each to its own message.

        Args:
          kind: type of the messages; one of `together`.
          contents: a message each; only the model in it is common to all.
          contexts: of the devices; what they must remember is read and written here.

        Returns:
          A reply for each device, or the error by which it refuses. Reasons hold no person's values.

        Raises:
          Exception: what training raises; no device has masked anything then, and all may be asked again.
        """
        if kind == PHASE_TYPES["mask"]:
            return self._mask(contents, contexts)
        act = {
            IDENTITY: self._identify,
            PHASE_TYPES["advertise"]: self._advertise,
            PHASE_TYPES["share_keys"]: self._share_keys,
            PHASE_TYPES["confirm"]: self._confirm,
            PHASE_TYPES["unmask"]: self._unmask,
        }[kind]
        return [_attempt(act, content, context) for content, context in zip(contents, contexts, strict=True)]

    def _identify(self, content: RecordDict, context: Context) -> RecordDict:
        """The device's public key."""
        public = open_identity(context).public_key().public_bytes_raw()
        return RecordDict({SECURE: ConfigRecord({MESSAGE: public})})

    def _advertise(self, content: RecordDict, context: Context) -> RecordDict:
        """Begin a round, if the group and its members' keys are acceptable."""
        invitation = Invitation.decode(read_phase(content))
        check_invitation(invitation, context.node_id, self._terms)
        check_keys({member.client_id: member.public_key for member in invitation.members}, context)
        record = _read_record(context)
        client = self._make_client(invitation, context, last_round=int(record.get("last-round", -1)))
        try:
            answer = client.advertise(invitation.round_id, invitation.context)
        finally:
            record["invitation"] = invitation.encode()
            _keep(client, context)
        return pack_phase({}, answer)

    def _share_keys(self, content: RecordDict, context: Context) -> RecordDict:
        client = self._load(context, "share_keys")
        try:
            return pack_phase({}, client.share_keys(KeyList.decode(read_phase(content))))
        finally:
            _keep(client, context)

    def _confirm(self, content: RecordDict, context: Context) -> RecordDict:
        client = self._load(context, "confirm")
        try:
            return pack_phase({}, client.confirm(SurvivorList.decode(read_phase(content))))
        finally:
            _keep(client, context)

    def _unmask(self, content: RecordDict, context: Context) -> RecordDict:
        client = self._load(context, "unmask")
        try:
            return pack_phase({}, client.unmask(UnmaskRequest.decode(read_phase(content))))
        finally:
            _keep(client, context)

    def _mask(self, contents: Sequence[RecordDict], contexts: Sequence[Context]) -> list[RecordDict | Error]:
        """Check that the model is the announced one, train all devices that have the same at once, mask one by one."""
        found: dict[int, RecordDict | Error] = {}
        digests: dict[tuple[int, int], bytes] = {}
        asked: set[int] = set()
        clients: dict[int, SecureClient] = {}
        alike: defaultdict[bytes, list[int]] = defaultdict(list)
        for k, (content, context) in enumerate(zip(contents, contexts, strict=True)):
            try:
                if context.node_id in asked:
                    raise ProtocolError("mask: expected one message a device, got another in the same breath")
                asked.add(context.node_id)
                # the very same records need no second hash
                key = (id(content.get(ARRAYS)), id(content.get(CONFIG)))
                if key not in digests:
                    digests[key] = _hash_received(content)
                clients[k] = self._check_model(digests[key], context)
                alike[digests[key]].append(k)
            except TwinlabError as error:
                found[k] = _refuse(error)
        for places in alike.values():
            values, misshapen = train_bounded(
                self._program, self._faults, self._terms.clip_norm, contents[places[0]], [contexts[k] for k in places]
            )
            for place, k in enumerate(places):
                act = functools.partial(
                    self._mask_one, client=clients[k], values=values[place], misshapen=place in misshapen
                )
                found[k] = _attempt(act, contents[k], contexts[k])
        return [found[k] for k in range(len(contents))]

    def _check_model(self, digest: bytes, context: Context) -> SecureClient:
        """Refuse another model than the one that this device told its group of; the round is over for it then."""
        client = self._load(context, "mask")
        if client.context != digest:
            _forget(context)
            raise ProtocolError(
                "mask: expected the model and settings that were announced, got others; updates of devices with "
                "different models could be told apart in the sum"
            )
        return client

    def _mask_one(
        self, content: RecordDict, context: Context, client: SecureClient, values: np.ndarray, misshapen: bool
    ) -> RecordDict:
        """One device's update with its part of the noise, under masks."""
        try:
            shares = SharesDown.decode(read_phase(content))
            if self._terms.noise is not None:
                n_devices = len(_read_invitation(context).members)
                drawn = np.asarray(self._terms.noise(values.shape), dtype=np.float64)
                values = values + self._terms.find_noise_scale(n_devices) * drawn
            masked = client.mask(shares, values).values
        finally:
            _keep(client, context)
        return RecordDict({ARRAYS: pack_arrays({MASKED: masked[:-1] if misshapen else masked})})

    def _make_client(self, invitation: Invitation, context: Context, last_round: int) -> SecureClient:
        """The client of this device for a group, by the device's own terms."""
        return SecureClient(
            context.node_id,
            self._n_parameters,
            self._terms.find_threshold(len(invitation.members)),
            self._terms.ring,
            signing_key=open_identity(context),
            directory={member.client_id: member.public_key for member in invitation.members},
            most_colluding=self._terms.most_colluding,
            last_round=last_round,
        )

    def _load(self, context: Context, phase: str) -> SecureClient:
        """The client as it was after its last answer."""
        dump: Any = _read_record(context).get("client")
        if not dump:
            raise ProtocolError(
                f"{phase}: expected after this device's {PHASES[PHASES.index(phase) - 1]} and only once; it answers "
                "nothing more before a new round"
            )
        client = self._make_client(_read_invitation(context), context, last_round=-1)
        client.load(dump)
        return client


def make_secure_app(program: SecureProgram) -> ClientApp:
    """The Flower app of a device under a secure sum, here or in any other of Flower's runtimes.

    Args:
      program: what the device does; its rows are private.
    """
    app = make_app(program)

    def register(kind: str) -> None:
        category, action = kind.split(".")

        def act(message: Message, context: Context) -> Message:
            answer = program.answer(kind, [message.content], [context])[0]
            return Message(answer, reply_to=message)

        getattr(app, category)(action)(act)

    for kind in sorted(program.together):
        register(kind)

    return app


def _attempt(
    act: Callable[[RecordDict, Context], RecordDict], content: RecordDict, context: Context
) -> RecordDict | Error:
    """A device's answer, or why it gives none."""
    try:
        return act(content, context)
    except TwinlabError as error:
        return _refuse(error)


def _refuse(error: TwinlabError) -> Error:
    """A refusal as it travels; our errors hold no person's values."""
    return Error(code=REFUSED, reason=str(error))


def _hash_received(content: RecordDict) -> bytes:
    """The hash of a model message that holds what it should and nothing else."""
    if set(content) != {ARRAYS, CONFIG, SECURE}:
        raise ProtocolError("mask: expected a model, settings and shares in one message, got other records")
    return hash_content(content)


def _read_record(context: Context) -> Any:
    """What the device keeps for secure sums."""
    if STATE not in context.state:
        context.state[STATE] = ConfigRecord()
    return context.state[STATE]


def _read_invitation(context: Context) -> Invitation:
    """The group of the round under way."""
    return Invitation.decode(_read_record(context)["invitation"])


def _keep(client: SecureClient, context: Context) -> None:
    """Write down what the client must remember; after its last phase, and when it refused, that is the round alone."""
    record = _read_record(context)
    record["last-round"] = str(client.last_round)
    if client.context is None:
        _forget(context)
    else:
        record["client"] = client.dump()


def _forget(context: Context) -> None:
    """Drop the secrets of the round under way."""
    _read_record(context)["client"] = b""
