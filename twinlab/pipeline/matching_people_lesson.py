"""Which people do all of us have? Lists of made-up patient numbers are matched, and one of the parties attacks."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from twinlab.attacks.identifier_guess import guess_identifiers
from twinlab.errors import SpecificationError
from twinlab.evaluation.matching import measure_naming
from twinlab.finding import Finding
from twinlab.pipeline.attacker_view import let_attack
from twinlab.protection.joint.people_match import Match, match_naively, match_people
from twinlab.release import Transcript
from twinlab.threat import PublicKnowledge, ThreatModel

MatchingDefence = Literal["hashed", "keyed_hash", "blinded"]
MATCHING_DEFENCES: Final[tuple[MatchingDefence, ...]] = get_args(MatchingDefence)
PROVIDERS: Final = ("wearable maker", "laboratory", "clinic")
#: The first party sees the most, since it compares.
THREAT: Final = ThreatModel(
    "membership",
    PROVIDERS[0],
    "which patient numbers there are, how they are hashed, its own list, and every key that it holds itself",
)
_NAMES: Final[dict[MatchingDefence, str]] = {
    "hashed": "Hashed lists",
    "keyed_hash": "Lists hashed with a shared key",
    "blinded": "Blinded lists",
}
_LEAST_NUMBER = 10_000_000
_KEY_BYTES = 32


@dataclass(frozen=True, repr=False)
class MatchingResult:
    """What came out of a matching, and of an attack on it by one of its parties.

    Attributes:
      finding: share of the people on others' lists whom the attacker named.
      match: the matching; private to each party as it says.
      rows: what `table` shows.
    """

    finding: Finding
    match: Match = field(repr=False)
    rows: Sequence[dict[str, object]] = field(repr=False)

    @property
    def transcript(self) -> Transcript:
        """Who saw what of the matching."""
        return self.match.messages

    def table(self) -> pd.DataFrame:
        """A row per defence: defence, people, candidates, share, low, high, chance, found, found_wrongly, matched,
        bytes, seconds (of all parties' work)."""
        return pd.DataFrame(list(self.rows))

    def __repr__(self) -> str:
        return self.finding.sentence


def draw_patient_lists(
    n_people: int = 100, n_shared: int = 40, n_numbers: int = 2000, seed: int = 0
) -> dict[str, tuple[str, ...]]:
    """Lists of patient numbers of three providers; nobody has these numbers.

    Args:
      n_people: on each list; public.
      n_shared: how many of them are on all lists by arrangement; more may be by chance; public.
      n_numbers: how many numbers are given out, from 10000000 on; public.
      seed: public.

    Raises:
      SpecificationError: if there are not so many people or numbers.
    """
    if not 0 <= n_shared < n_people:
        raise SpecificationError(f"n_shared: expected from 0 to below n_people {n_people}, got {n_shared}")
    if not 3 * n_people <= n_numbers <= 9 * _LEAST_NUMBER:
        raise SpecificationError(
            f"n_numbers: expected from {3 * n_people}, three times n_people, to {9 * _LEAST_NUMBER}, got {n_numbers}"
        )
    draw = np.random.default_rng(seed)
    numbers = [str(_LEAST_NUMBER + each) for each in draw.permutation(n_numbers)]
    shared, others = numbers[:n_shared], numbers[n_shared:]
    lists = {}
    for name in PROVIDERS:
        own = [*shared, *(others[each] for each in draw.permutation(len(others))[: n_people - n_shared])]
        lists[name] = tuple(own[each] for each in draw.permutation(n_people))
    return lists


def attack_matching(
    defence: MatchingDefence = "blinded",
    *,
    n_people: int = 100,
    n_shared: int = 40,
    n_numbers: int = 2000,
    seed: int = 0,
) -> MatchingResult:
    """Match lists of three providers in one way, and let the first provider try all numbers on what it saw.

    Whom it has itself is no secret from it, so the others' other people are counted. Everything is about people who do
    not exist; nobody is charged.

    Args:
      defence: "hashed" lists that everybody sends everybody; "keyed_hash": hashed with a key that all parties have;
        "blinded": `match_people`.
      n_people, n_shared, n_numbers, seed: as for `draw_patient_lists`; public. Keys and secrets never depend on the
        seed.

    Raises:
      SpecificationError: if a choice is not there, or sizes do not fit.
    """
    if defence not in MATCHING_DEFENCES:
        raise SpecificationError(f"defence: expected one of {', '.join(MATCHING_DEFENCES)}, got {defence!r}")
    lists = draw_patient_lists(n_people, n_shared, n_numbers, seed)
    if defence == "blinded":
        match = match_people(lists)
    else:
        match = match_naively(lists, key=secrets.token_bytes(_KEY_BYTES) if defence == "keyed_hash" else b"")
    attacker = THREAT.access
    own = set(lists[attacker])
    others = {each for name, people in lists.items() if name != attacker for each in people} - own
    given_out = map(str, range(_LEAST_NUMBER, _LEAST_NUMBER + n_numbers))
    candidates = tuple(each for each in given_out if each not in own)
    knowledge = PublicKnowledge(facts={"candidates": candidates, "tries": match.tries[attacker]})
    claims = let_attack(guess_identifiers, match.messages, knowledge, THREAT)
    finding = measure_naming(claims, np.array([each in others for each in candidates]), _NAMES[defence])
    row = {
        "defence": defence,
        **finding.table[0],
        "matched": match.n_matched,
        "bytes": sum(message.n_bytes for message in match.messages),
        "seconds": sum(match.seconds.values()),
    }
    return MatchingResult(finding, match, (row,))


def compare_matching(
    defences: Sequence[MatchingDefence] = MATCHING_DEFENCES,
    *,
    n_people: int = 100,
    n_shared: int = 40,
    n_numbers: int = 2000,
    seed: int = 0,
) -> MatchingResult:
    """The same lists matched and attacked in several ways; arguments as for `attack_matching`. Its finding and matching
    are the last one's."""
    if not defences:
        raise SpecificationError(f"defences: expected at least one of {', '.join(MATCHING_DEFENCES)}, got none")
    results = [
        attack_matching(each, n_people=n_people, n_shared=n_shared, n_numbers=n_numbers, seed=seed) for each in defences
    ]
    return MatchingResult(results[-1].finding, results[-1].match, tuple(row for each in results for row in each.rows))
