"""The server's side of secure sums over Flower messages: a grid that turns rounds of training into sums over groups."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated.flower import (
    CONFIG,
    ROUND,
    ConfigRecord,
    Grid,
    Message,
    RecordDict,
    read_setting,
)
from twinlab.protection.federated.secure_group import GroupSum, SecureGroup
from twinlab.protection.federated.secure_sum.directory import read_directory
from twinlab.protection.federated.secure_sum.messages import PHASES
from twinlab.protection.federated.secure_terms import (
    IDENTITY,
    PHASE_TYPES,
    SecureTerms,
    hash_content,
    read_phase,
)
from twinlab.protection.federated.sum_grid import SumGrid, fail, read_reply

#: Share of a round's time that devices have for each phase; in one of them they train.
_TIME = {"advertise": 0.1, "share_keys": 0.1, "mask": 0.6, "confirm": 0.1, "unmask": 0.1}
#: Rounds are numbered by the clock, in microseconds, so that a server that starts anew does not repeat a number.
_TICKS = 1000


class SecureGrid(SumGrid):
    """A grid of masked sums.

    Messages of type "train" become rounds of a secure sum: the nodes asked are shuffled into groups by seed and round,
    each group goes through the five phases, and for each sum that opens one reply comes back: the mean of its members'
    models, and how many they are, as an adder between devices and server would send. A group that falls below its
    threshold adds nothing to the round. A device that refuses becomes an error reply with its reason; one that does not
    answer is in no reply. A device may also refuse after its masked update has come; then it is in both. All other
    messages pass through.

    Every device counts the same, and reports nothing beside its update. Updates are bounded by devices; a server cannot
    see whether they are, nor tell who spoils a sum. What is promised and what is not:
    `twinlab.protection.federated.secure_sum`.

    It serves any grid whose devices run a secure app. Each device is asked for its public key when it is first invited;
    see `twinlab.protection.federated.secure_identity`.

    Attributes:
      sums: the groups of the last round.
      bytes_down, bytes_up: of all messages of secure sums so far, sent to devices and received from them.
    """

    def __init__(self, inner: Grid, terms: SecureTerms, *, seed: int = 0) -> None:
        """Stand before a grid.

        Args:
          inner: where the devices are.
          terms: as the devices hold them; public.
          seed: of the groups; public.
        """
        super().__init__(inner)
        self._terms, self._seed = terms, seed
        self._directory: dict[int, bytes] = {}
        self._round_id = 0
        self.sums: list[GroupSum] = []

    def add_up(self, asked: Mapping[int, Message], timeout: float | None) -> Iterator[Message]:
        """A reply a group whose sum opens, and an error for each device that refused or was turned away."""
        first = next(iter(asked.values())).content
        turned_away = self._meet(list(asked), int(read_setting(first, ROUND, 0)), timeout)
        groups = self._open_groups(asked)
        for phase in PHASES:
            self._run_phase(phase, groups, None if timeout is None else timeout * _TIME[phase])
        self.sums = [group.close() for group in groups]
        for group in groups:
            yield from group.list_replies(asked)
        for node, reason in turned_away.items():
            yield fail(asked[node], reason)

    def _open_groups(self, asked: Mapping[int, Message]) -> list[SecureGroup]:
        """The groups of a round; devices that are sent different models are never in one."""
        self._round_id = max(self._round_id + 1, time.time_ns() // _TICKS)
        digests: dict[int, bytes] = {}
        alike: defaultdict[bytes, list[int]] = defaultdict(list)
        for node, message in asked.items():
            content = message.content
            if id(content) not in digests:
                digests[id(content)] = hash_content(content)
            if node in self._directory:
                alike[digests[id(content)]].append(node)
        if not alike:
            self._terms.split([], self._seed, 0)  # says how many are missing
        groups = []
        for digest, nodes in alike.items():
            content = asked[nodes[0]].content
            for group in self._terms.split(sorted(nodes), self._seed, int(read_setting(content, ROUND, 0))):
                directory = {node: self._directory[node] for node in group}
                groups.append(SecureGroup(self._round_id, directory, content, digest, self._terms))
        return groups

    def _meet(self, nodes: list[int], round_number: int, timeout: float | None) -> dict[int, str]:
        """Ask nodes for their public keys, once; those with none of their own are turned away."""
        content = RecordDict({CONFIG: ConfigRecord({ROUND: round_number})})
        strangers = {node: content for node in nodes if node not in self._directory}
        reasons, taken = {}, set(self._directory.values())
        answers = self._exchange(IDENTITY, strangers, timeout and timeout * _TIME["advertise"]) if strangers else {}
        for node, reply in sorted(answers.items()):
            try:
                key = read_phase(read_reply(reply, "identity"))
                read_directory({node: key})
                if key in taken:
                    raise ProtocolError("identity: expected a key of its own, got another node's")
                self._directory[node] = key
                taken.add(key)
            except (ProtocolError, SpecificationError) as error:
                reasons[node] = str(error)
        return reasons

    def _run_phase(self, phase: str, groups: list[SecureGroup], timeout: float | None) -> None:
        """One phase of all groups at once."""
        contents: dict[int, RecordDict] = {}
        homes: dict[int, SecureGroup] = {}
        for group in groups:
            written = group.write(phase)
            contents |= written
            homes |= dict.fromkeys(written, group)
        if not contents:
            return
        for node, reply in self._exchange(PHASE_TYPES[phase], contents, timeout).items():
            homes[node].take(phase, node, reply)
