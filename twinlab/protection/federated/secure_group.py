"""One group of devices in one round of a secure sum, as the server sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from twinlab.errors import ProtocolError
from twinlab.protection.federated.flower import (
    ARRAYS,
    CONFIG,
    ROUND,
    ConfigRecord,
    Message,
    RecordDict,
    read_setting,
    unpack_arrays,
)
from twinlab.protection.federated.secure_sum import OpenedSum, SecureServer
from twinlab.protection.federated.secure_sum.messages import (
    Advertisement,
    Confirmation,
    MaskedVector,
    SharesUp,
    UnmaskAnswer,
)
from twinlab.protection.federated.secure_sum.wire import WireMessage
from twinlab.protection.federated.secure_terms import (
    MASKED,
    Invitation,
    Member,
    SecureTerms,
    pack_phase,
    read_phase,
)
from twinlab.protection.federated.sum_grid import fail, read_reply
from twinlab.protection.federated.update import make_mean


@dataclass
class GroupSum:
    """What became of one group in a round.

    Attributes:
      invited: nodes of the group, ascending.
      members: nodes whose updates are in the sum; empty where it did not open.
      refused: node to why it refused, or was turned away, and in which phase.
      failed_because: why the sum did not open; None if it did.
    """

    invited: tuple[int, ...]
    members: tuple[int, ...] = ()
    refused: dict[int, str] = field(default_factory=dict)
    failed_because: str | None = None


class SecureGroup:
    """One group in one round, as the server sees it.

    Attributes:
      sum: what became of it so far.
    """

    def __init__(
        self, round_id: int, directory: Mapping[int, bytes], content: RecordDict, digest: bytes, terms: SecureTerms
    ) -> None:
        """Open a round for a group.

        Args:
          round_id: higher than any before; public.
          directory: node to public key, of the whole group; public.
          content: the model and settings that they are sent; public.
          digest: of that, from `hash_content`.
          terms: public.
        """
        self._content, self._directory = content, directory
        self._start = unpack_arrays(content[ARRAYS])
        self._settings = ConfigRecord({ROUND: int(read_setting(content, ROUND, 0))})
        self._server = SecureServer(
            round_id,
            sum(value.size for value in self._start.values()),
            terms.find_threshold(len(directory)),
            terms.ring,
            context=digest,
            most_colluding=terms.most_colluding,
            directory=directory,
        )
        self._opened: OpenedSum | None = None
        #: nodes whose message of the last phase was taken
        self._here = sorted(directory)
        self.sum = GroupSum(tuple(self._here))

    def write(self, phase: str) -> dict[int, RecordDict]:
        """Close the phase before, and write to whoever is left; nobody once the group has failed."""
        if self.sum.failed_because is not None:
            return {}
        try:
            messages = self._list_messages(phase)
        except ProtocolError as error:
            self.sum.failed_because = str(error)
            return {}
        beside = dict(self._content) if phase == "mask" else {CONFIG: self._settings}
        # members of a group are often sent the very same
        packed = {id(message): pack_phase(beside, message) for message in messages.values()}
        self._here = []
        return {node: packed[id(message)] for node, message in messages.items()}

    def take(self, phase: str, node: int, reply: Message) -> None:
        """One answer, or why there is none."""
        try:
            content = read_reply(reply, phase)
            if phase == "advertise":
                self._server.take_advertisement(Advertisement.decode(read_phase(content)))
            elif phase == "share_keys":
                self._server.take_shares(SharesUp.decode(read_phase(content)))
            elif phase == "mask":
                self._server.take_masked(MaskedVector(self._server.round_id, node, _read_masked(content)))
            elif phase == "confirm":
                self._server.take_confirmation(Confirmation.decode(read_phase(content)))
            else:
                self._server.take_answer(UnmaskAnswer.decode(read_phase(content)))
            self._here.append(node)
        except ProtocolError as error:
            self.sum.refused[node] = str(error)

    def close(self) -> GroupSum:
        """Open the sum, if enough are left."""
        if self.sum.failed_because is None:
            try:
                self._opened = self._server.open_sum()
                self.sum.members = self._opened.members
            except ProtocolError as error:
                self.sum.failed_because = str(error)
        return self.sum

    def list_replies(self, asked: Mapping[int, Message]) -> list[Message]:
        """The group's reply, or an error for each that waited for it, and one for each that refused."""
        found = [fail(asked[node], reason) for node, reason in sorted(self.sum.refused.items())]
        if self._opened is None:
            reason = f"its group: {self.sum.failed_because}"
            return found + [fail(asked[node], reason) for node in self._here if node not in self.sum.refused]
        anchor = next(node for node in self._opened.members if node not in self.sum.refused)
        record = make_mean(self._start, self._opened.total, len(self._opened.members))
        return [Message(record, reply_to=asked[anchor]), *found]

    def _list_messages(self, phase: str) -> dict[int, WireMessage]:
        """What goes out in a phase, by node."""
        if phase == "advertise":
            members = tuple(Member(node, key) for node, key in sorted(self._directory.items()))
            return dict.fromkeys(self._here, Invitation(self._server.round_id, self._server.context, members))
        if phase == "share_keys":
            return dict.fromkeys(self._here, self._server.list_keys())
        if phase == "mask":
            return dict(self._server.route_shares())
        if phase == "confirm":
            return dict.fromkeys(self._here, self._server.list_survivors())
        return dict.fromkeys(self._here, self._server.request_unmasking())


def _read_masked(content: RecordDict) -> bytes:
    """The bytes of a masked vector. Raises `ProtocolError` if there are none."""
    try:
        values = unpack_arrays(content[ARRAYS])[MASKED]
        if values.dtype == np.uint32 and values.ndim == 1:
            return values.astype("<u4").tobytes()
    except Exception:  # whatever a hostile reply makes NumPy raise, it is that reply's fault alone
        pass
    raise ProtocolError("mask: expected a masked vector of uint32, got something else; check what the device runs")
