"""The naive exhibits answer right, say what they are, and are looked at without a key leaving its owner."""

import numpy as np
import pytest

from twinlab.errors import EncryptionError, SpecificationError
from twinlab.protection import homomorphic
from twinlab.protection.homomorphic import naive as naive_module
from twinlab.protection.homomorphic.inspection import find_live_keys, read_all_slots, score_key
from twinlab.protection.homomorphic.naive import NaiveQuery


def test_a_naive_answer_is_right_in_its_first_slot_and_a_partial_sum_in_the_next():
    draw = np.random.default_rng(0)
    row, weights = draw.normal(size=(2, 10))
    exhibit = NaiveQuery(8192, (60, 40, 60), 40)
    slots = exhibit.read_slots(exhibit.answer(row, weights))
    np.testing.assert_allclose(slots[:10], np.cumsum((row * weights)[::-1])[::-1], atol=1e-4)


def test_exhibits_say_that_they_are_not_to_be_used_and_are_no_public_names():
    exhibit = NaiveQuery(2048, (54,), 20)
    assert repr(exhibit) == "NaiveQuery(an exhibit, not to be used; with its key)"
    exhibit.drop_key()
    assert repr(exhibit) == "NaiveQuery(an exhibit, not to be used; key dropped)"
    assert "not to be used" in naive_module.__doc__
    assert not {"NaiveQuery", "naive", "inspection", "read_all_slots", "score_key"} & set(homomorphic.__all__)


def test_what_no_ring_offers_is_refused_by_the_naive_way_too():
    with pytest.raises(SpecificationError, match="128-bit security"):
        NaiveQuery(2048, (60, 60), 20)
    # a ring of one prime has no keys to rotate and no prime to drop
    exhibit = NaiveQuery(2048, (54,), 20)
    with pytest.raises(EncryptionError, match=r"^naive sum: expected"):
        exhibit.answer(np.ones(4), np.ones(4))


def test_a_score_tells_the_share_that_is_right_and_a_dropped_key_cannot_be_scored():
    exhibit = NaiveQuery(2048, (54,), 20)
    key = [int(exhibit.secret_key.data()[place]) for place in range(2048)]
    assert score_key(exhibit, key) == 1.0
    half = [number if place % 2 else number + 1 for place, number in enumerate(key)]
    assert score_key(exhibit, half) == 0.5
    exhibit.drop_key()
    with pytest.raises(SpecificationError, match="compare before it is dropped"):
        score_key(exhibit, key)


def test_all_slots_of_an_answer_are_read_as_its_key_holder_could(logistic):
    found, model, rows, holder, server = logistic
    slots = read_all_slots(holder, server.answer(holder.encrypt(rows[:1])))
    assert slots.shape == (1, found.ring.n_slots)
    np.testing.assert_allclose(slots, model.answer_plain(rows[:1])[0, 0], atol=found.tolerance)


def test_the_search_for_keys_finds_them_behind_anything_and_counts(logistic):
    *_, holder, _ = logistic
    assert find_live_keys({"a": [1, 2]})[0] == []

    class Slotted:
        __slots__ = ("inside",)

    assert find_live_keys(holder._decryptor) == ([holder._decryptor], 1)
    assert find_live_keys({"deep": [{"deeper": (holder._decryptor,)}]})[0] == [holder._decryptor]
    slotted = Slotted()
    slotted.inside = holder._decryptor
    assert find_live_keys(slotted)[0] == [holder._decryptor]
    decryptor = holder._decryptor
    assert find_live_keys(lambda: decryptor)[0] == [decryptor]
    assert find_live_keys([lambda number=decryptor: number])[0] == [decryptor]
