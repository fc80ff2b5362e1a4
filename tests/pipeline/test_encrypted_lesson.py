"""The lesson on asking in secret: each leak works where it should, and is closed where it should be."""

import numpy as np
import pytest

from twinlab.attacks.encrypted_key import list_conjugates, recover_key
from twinlab.attacks.encrypted_model import LabelThief, find_direction_distance, fit_model, read_weights
from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.encrypted_lesson import EncryptedLesson
from twinlab.pipeline.encrypted_people import FEATURES, make_days

#: Claims and quicker tests watch over the same.
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def lesson():
    return EncryptedLesson()


def test_the_model_learned_something_about_people_who_do_not_exist(lesson):
    """Labels are half and half; the days are those of 40 people."""
    made = make_days(0)
    assert (made.rows == lesson.rows).all()
    assert (made.model.weight == lesson.model.weight).all()
    assert lesson.rows.shape[1] == len(FEATURES) == 40
    assert len(lesson.rows) > 400
    assert 20 < len(np.unique(lesson.people)) <= 40
    # a model of nothing would give nearly the same answer to all
    assert lesson.model.answer_plain(lesson.rows).std() > 1


def test_weights_are_read_from_the_naive_answer_and_not_from_ours(lesson):
    found = lesson.steal_model()
    assert (found.table["true"] == lesson.model.weight[0]).all()
    assert (found.table["naive"] - found.table["true"]).abs().max() < 1e-3
    assert found.table["ours"].abs().max() < 0.01 < 0.5 < found.table["true"].abs().max()
    assert "all 40 weights" in repr(found) == found.sentence


def test_two_published_results_give_the_key_away_unless_made_for_sharing(lesson):
    table = lesson.recover_key().table
    assert list(table["share"]) == [1.0, 1.0, 0.0]
    assert list(table["way"]) == ["naive", "plan not made for sharing", "plan made for sharing"]
    only = lesson.recover_key(share_results=(True,))
    assert list(only.table["share"]) == [1.0, 0.0]
    assert "100% for the naive way, 0% for the plan made for sharing" in only.sentence


def test_a_dropped_key_is_found_and_our_server_has_none(lesson):
    found = lesson.drop_key()
    naive, ours, control = found.table.to_dict("records")
    assert naive["keys"] == "Decryptor, Encryptor"
    assert (ours["n_keys"], ours["keys"]) == (0, "")
    assert ours["looked_at"] > 50
    assert "KeyHolder" in control["keys"]
    assert "still decrypts" in found.sentence
    assert "our server, none can" in found.sentence


def test_small_parameters_flip_labels_and_the_planner_refuses_them(lesson):
    """Of 150 keys, 16 flipped none of ten such labels and 25 flipped one. With ten keys, at most one flip in all comes
    by chance once in a hundred million.
    """
    found = lesson.flip_signs()
    flipped = found.table.groupby("way")["is_flipped"].sum()
    assert flipped["small parameters"] > 1
    assert flipped["our plan"] == 0
    ours = found.table[found.table["way"] == "our plan"]
    assert (ours["answer"] - ours["plain"]).abs().max() < 1e-3
    assert found.refusal.startswith("tolerance: expected an error of at most 1.0e-03, got")
    assert "take ring degree 4096" in found.refusal
    assert f"{flipped['small parameters']} the wrong label and our plan 0" in found.sentence


def test_d_plus_one_answers_give_the_model_and_labels_take_many_more(lesson):
    found = lesson.count_questions()
    answers, labels = (found.table[found.table["way"] == way] for way in ("answers", "labels only"))
    by_count = answers.set_index("n_questions")["error"]
    assert by_count[41] < 1e-3 < 0.05 < by_count[39]
    assert by_count.max() <= 1 + 1e-6
    assert labels["n_questions"].min() > 41
    assert labels["error"].iloc[-1] < 0.05 < labels["error"].iloc[0]
    assert "41 encrypted answers give the model of 40 features" in found.sentence
    for most in (40, 100_000):
        with pytest.raises(SpecificationError, match="most: expected 41 to"):
            lesson.count_questions(most)


def test_the_server_reads_how_many_and_when_and_not_whose(lesson):
    found = lesson.read_traffic((1, 32, 33))
    table = found.table
    assert (table["seen_days"] == table["n_days"]).all()
    assert list(table.groupby("n_days")["n_messages"].first()) == [1, 1, 2]
    assert (table["milliseconds"] > 0).all()
    # whoever asks: what differs is the compression of what looks random, not a hundredth
    sizes = table["question_bytes"] / table["n_messages"]
    assert sizes.max() < 1.01 * sizes.min()
    assert "On 12 of 12 questions" in found.sentence


def test_a_lesson_shows_no_value_of_anybody(lesson):
    assert repr(lesson) == f"EncryptedLesson({len(lesson.rows)} days of people who do not exist, {lesson.model!r})"


# the arithmetic of the attacks, without any encryption


def evaluate(coefficients, roots, prime):
    """A polynomial at each root, the slow way."""
    found = [sum(c * pow(root, power, prime) for power, c in enumerate(coefficients)) % prime for root in roots]
    return np.array(found, dtype=np.uint64)


def test_the_key_follows_from_two_equations_and_not_from_noise():
    """In a ring of degree 8 modulo 97, 17 = x^8 + 1 splits; written out by hand, in bit-reversed order."""
    prime, size = 97, 8
    generator = next(each for each in range(2, prime) if pow(each, 8, prime) == prime - 1)
    places = [int(format(place, "03b")[::-1], 2) for place in range(size)]
    roots = [pow(generator, 2 * place + 1, prime) for place in places]
    conjugate = list_conjugates(size)
    inverse = [pow(root, -1, prime) for root in roots]
    assert [roots[place] for place in conjugate] == inverse

    draw = np.random.default_rng(0)
    key = evaluate([1, 0, 96, 1, 96, 0, 0, 1], roots, prime)
    seen = []
    for _ in range(2):
        constant, factor = (evaluate(draw.integers(0, prime, size).tolist(), roots, prime) for _ in range(2))
        message = (constant.astype(int) + factor.astype(int) * key.astype(int)) % prime
        seen.append((((message + message[conjugate]) % prime).astype(np.uint64), constant, factor))
    found = recover_key(*seen, prime)
    known = found != 0
    assert known.sum() >= 6
    assert (found[known] == key[known]).all()
    noisy = [((message + np.uint64(5)) % prime, constant, factor) for message, constant, factor in seen]
    assert (recover_key(*noisy, prime)[known] == key[known]).sum() <= 2
    with pytest.raises(DataContractError, match="a power of two"):
        recover_key(seen[0], tuple(each[:3] for each in seen[1]), prime)


def test_a_linear_model_follows_from_its_answers_or_its_labels():
    draw = np.random.default_rng(1)
    weight, bias = draw.normal(size=5), 0.3
    rows = draw.normal(size=(6, 5))
    np.testing.assert_allclose(fit_model(rows, rows @ weight + bias), [*weight, bias], atol=1e-9)
    inside, outside = (sign * weight for sign in (2.0, -2.0))
    thief = LabelThief(lambda rows: rows @ weight + bias > 0, inside, outside, np.full(5, 10.0))
    thief.start()
    errors = []
    for _ in range(12):
        thief.halve()
        errors.append(find_direction_distance(thief.read(), weight))
    assert errors[-1] < 0.02 < errors[0]
    # one for each halving of the way, two sides and twelve halvings of five features
    assert thief.n_questions == 16 + 14 * 5
    assert find_direction_distance(np.zeros(5), weight) == 1.0
    assert find_direction_distance(-3 * weight, weight) == pytest.approx(0, abs=1e-9)


def test_weights_cannot_be_read_where_there_is_nothing_to_divide_by():
    for slots, row in ((np.ones(2), np.ones(2)), (np.ones(5), np.array([1.0, 0.0]))):
        with pytest.raises(DataContractError, match="ask another row"):
            read_weights(slots, row)
