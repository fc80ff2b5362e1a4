"""Parties that pool the shares they were dealt: from the threshold on they open every vector, below it they have noise.

With one share fewer than the threshold every claim about a vector has a polynomial that goes through the shares, one
for each claim, and polynomials are equally probable: after the shares a claim is exactly as probable as before.

What pooled parties know beside their shares is the total of the others, which they have by taking their own vectors
from an opened sum. That is the answer's doing, and `moment_reconstruction` is the attack on it.

Source: Shamir, "How to share a secret", CACM 1979.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from twinlab.attacks.moment_reconstruction import estimate_rows
from twinlab.attacks.opened_sum import SharingRules, interpolate
from twinlab.errors import DataContractError
from twinlab.release import Message
from twinlab.threat import Claims, PublicKnowledge, ThreatModel

#: How a transcript calls a share that was dealt, and the round that it is of.
_DEALT = re.compile(r"share of a vector(?:, round (\d+))?")


def attack_shares(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Claim the rows of one party from the shares that colluding ones pool.

    Args:
      seen: what they pool: payloads are mappings of holder, the party that was dealt the share, dealer, whose vector it
        is of, and elements. Messages of another kind are passed over.
      knowledge: "dealer", who is attacked; as `estimate_rows` takes it, n_people being the dealer's; and parties,
        threshold, fraction_bits, prime.
      threat: of reconstruction.

    Returns:
      As `attack_moments`, of the dealer's rows. With fewer shares than the threshold it is a blind guess, and there is
      no better one.

    Raises:
      SpecificationError: if something is not known.
    """
    rules, dealer = SharingRules.of(knowledge), str(knowledge.find("dealer"))
    pooled = pool_shares(seen, dealer, rules)
    found = [open_vector(pooled[number], rules) for number in sorted(pooled)]
    vectors = [each for each in found if each is not None]
    return estimate_rows((vectors[-2], vectors[-1]) if len(vectors) > 1 else None, knowledge).claims


def attack_by_fit(seen: Sequence[Message], knowledge: PublicKnowledge, threat: ThreatModel) -> Claims:
    """Say of each of some vectors whether it can be a party's, given the shares that colluding ones pool.

    Args:
      seen, threat: as in `attack_shares`; the last round is judged.
      knowledge: "dealer"; "candidates", float (candidate, value), on the grid of the sum; and parties, threshold,
        fraction_bits, prime.

    Returns:
      Scores (candidate,): 1 where some polynomial goes through the shares and the candidate, 0 where none does.

    Raises:
      DataContractError: if nothing was pooled.
    """
    rules, dealer = SharingRules.of(knowledge), str(knowledge.find("dealer"))
    pooled = pool_shares(seen, dealer, rules)
    if not pooled:
        raise DataContractError("seen: expected shares of the dealer's vector, got none; let somebody pool theirs")
    shares = pooled[max(pooled)]
    fits = [fit_claim(shares, rules.encode(each), rules) is not None for each in knowledge.find("candidates")]
    return Claims("inference", np.array(fits, dtype=float), method="polynomials that fit the pooled shares")


def pool_shares(seen: Sequence[Message], dealer: str, rules: SharingRules) -> dict[int, dict[int, list[int]]]:
    """Shares of one party's vectors: by round, point to elements."""
    pooled: dict[int, dict[int, list[int]]] = {}
    for message in seen:
        if (found := _DEALT.fullmatch(message.kind)) and message.payload["dealer"] == dealer:
            point = rules.find_point(message.payload["holder"])
            pooled.setdefault(int(found[1] or 1), {})[point] = [int(each) for each in message.payload["elements"]]
    return pooled


def open_vector(shares: dict[int, list[int]], rules: SharingRules) -> np.ndarray | None:
    """The vector, float (value,), or None where there are fewer shares than the threshold."""
    if len(shares) < rules.threshold:
        return None
    return rules.decode(interpolate(shares, 0, rules.prime))


def fit_claim(shares: dict[int, list[int]], claimed: list[int], rules: SharingRules) -> dict[int, list[int]] | None:
    """What all parties hold if a vector is what somebody claims it to be.

    Args:
      shares: point to elements (value,), of those who pool.
      claimed: elements (value,), the claim.
      rules: public.

    Returns:
      Point to elements for every party: the shares that are known, and for the others those of the one polynomial per
      value that goes through the shares and the claim. (With less than one share below the threshold it is one of
      many.) None where no polynomial of the right degree does: the claim is false.
    """
    through = {0: claimed, **shares}
    points = range(1, len(rules.parties) + 1)
    basis = dict(list(through.items())[: rules.threshold])
    fitted = {point: interpolate(basis, point, rules.prime) for point in points}
    return fitted if all(fitted[point] == list(elements) for point, elements in shares.items()) else None
