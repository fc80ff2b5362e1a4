"""Trying all identifiers: what is found, how often, and what is refused."""

import numpy as np
import pytest

from twinlab.attacks.identifier_guess import guess_identifiers
from twinlab.errors import DataContractError, SpecificationError
from twinlab.release import Message, NoGuarantee
from twinlab.threat import PublicKnowledge, ThreatModel

THREAT = ThreatModel("membership", "clinic", "all identifiers")


def send(*texts):
    payload = np.frombuffer("".join(texts).encode(), dtype=np.uint8).reshape(-1, 2)
    return Message("maker", "clinic", "list", payload.nbytes, 0.0, payload, NoGuarantee("open"))


def know(candidates, *ways):
    return PublicKnowledge(facts={"candidates": candidates, "tries": lambda text: tuple(way(text) for way in ways)})


def test_a_candidate_scores_by_the_lists_it_is_on_whichever_way_it_was_written():
    def plainly(text):
        return text.encode()

    def backwards(text):
        return text[::-1].encode()

    seen = [send("ab", "cd"), send("ba"), send("ab", "ba")]
    scores = guess_identifiers(seen, know(("ab", "cd", "ef", "bc"), plainly), THREAT).scores
    assert scores.tolist() == [2, 1, 0, 0]  # "bc" lies across two values and is none
    scores = guess_identifiers(seen, know(("ab", "cd", "ef"), plainly, backwards), THREAT).scores
    assert scores.tolist() == [3, 1, 0]


def test_what_is_no_list_and_what_is_not_known_is_refused():
    with pytest.raises(DataContractError, match="got 0 messages"):
        guess_identifiers([], know(("ab",)), THREAT)
    odd = Message("maker", "clinic", "list", 1, 0.0, np.zeros(2, np.uint8), NoGuarantee("open"))
    with pytest.raises(DataContractError, match="not all such"):
        guess_identifiers([send("ab"), odd], know(("ab",)), THREAT)
    with pytest.raises(SpecificationError, match="'tries'"):
        guess_identifiers([send("ab")], PublicKnowledge(facts={"candidates": ("ab",)}), THREAT)
