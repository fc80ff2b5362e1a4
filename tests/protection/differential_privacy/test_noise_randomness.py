"""The source of noise. Statistical tests here use rehearsal noise, so that their outcome never changes."""

import math
import os
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from twinlab.errors import SpecificationError
from twinlab.protection.differential_privacy.randomness import (
    NoiseSource,
    _find_laplace_thresholds,
    exponential_of,
    find_threshold,
    open_noise,
)


def test_two_secret_sources_never_agree():
    assert not (open_noise().draw_words(4) == open_noise().draw_words(4)).any()


def test_a_rehearsal_repeats_itself_and_says_so():
    first, again = (open_noise(rehearsal=True, seed=5) for _ in range(2))
    assert (first.draw_words(300_000) == again.draw_words(300_000)).all()
    assert first.is_rehearsal
    assert not open_noise().is_rehearsal


def test_a_seed_without_a_rehearsal_is_refused():
    with pytest.raises(SpecificationError, match="subtract the noise"):
        open_noise(seed=3)
    with pytest.raises(SpecificationError, match="rehearsal"):
        open_noise(rehearsal=True)


def test_numpy_and_torch_seeds_do_not_reach_the_noise():
    import torch

    drawn = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            drawn.append(open_noise().draw_discrete_laplace(Fraction(1, 100), (50,)))
    assert (drawn[0] != drawn[1]).any()


def test_a_process_that_inherits_a_source_draws_other_noise(monkeypatch):
    source, rehearsal = open_noise(), open_noise(rehearsal=True, seed=1)
    before = source._stream
    monkeypatch.setattr(os, "getpid", lambda: -1)
    source.draw_words(1)
    assert source._stream is not before
    kept = rehearsal._stream
    rehearsal.draw_words(1)
    assert rehearsal._stream is kept


def test_words_are_the_keystream_of_aes_in_counter_mode():
    source = NoiseSource(rehearsal_seed=5)
    words = np.concatenate([source.draw_words(n_words) for n_words in (0, 1, 70_001, 3)])
    plain = Cipher(algorithms.AES((5).to_bytes(32, "little")), modes.CTR(bytes(16))).encryptor()
    assert words.tobytes() == plain.update(bytes(words.nbytes))


def test_words_do_not_depend_on_how_many_are_asked_for_at_once():
    whole = open_noise(rehearsal=True, seed=2).draw_words(10)
    parts = open_noise(rehearsal=True, seed=2)
    assert (np.concatenate([parts.draw_words(3), parts.draw_words(7)]) == whole).all()


@pytest.mark.parametrize("rate", [Fraction(1, 3), Fraction(1, 1000), Fraction(4)])
def test_digits_of_discrete_laplace_multiply_to_its_probabilities(rate):
    is_zero, *digits = (
        sum(Fraction(word, 2 ** (64 * (place + 1))) for place, word in enumerate(words))
        for words in _find_laplace_thresholds(rate)
    )
    r = math.exp(-float(rate))
    assert math.isclose(float(is_zero), (1 - r) / (1 + r), rel_tol=1e-12)
    for less_one in (0, 1, 2, 5, 40):
        chance = (1 - is_zero) / 2
        for place, digit in enumerate(digits):
            chance *= digit if less_one >> place & 1 else 1 - digit
        expected = (1 - r) / (1 + r) * math.exp(-float(rate) * (less_one + 1))
        assert math.isclose(float(chance), expected, rel_tol=1e-9, abs_tol=2.0**-180)


def test_discrete_laplace_has_its_probabilities():
    """Chi-squared over 13 cells; 60 is passed by chance once in 40 million."""
    n_draws, rate = 200_000, Fraction(1, 2)
    drawn = np.clip(open_noise(rehearsal=True, seed=3).draw_discrete_laplace(rate, (n_draws,)), -6, 6)
    r = math.exp(-0.5)
    expected = np.array([(1 - r) / (1 + r) * r ** abs(k) for k in range(-6, 7)])
    expected[[0, -1]] = r**6 / (1 + r)
    assert math.isclose(expected.sum(), 1, rel_tol=1e-12)
    counts = np.bincount(drawn + 6, minlength=13)
    assert ((counts - n_draws * expected) ** 2 / (n_draws * expected)).sum() < 60


def test_the_smallest_noise_rate_is_refused_with_advice():
    with pytest.raises(SpecificationError, match="raise epsilon"):
        open_noise().draw_discrete_laplace(Fraction(1, 2**41), (1,))
    assert open_noise().draw_discrete_laplace(Fraction(1, 2**40), (100,)).dtype == np.int64


def test_ties_of_the_first_word_are_settled_by_the_next():
    class Scripted(NoiseSource):
        def __init__(self, words):
            super().__init__()
            self.words = list(words)

        def draw_words(self, n_words):
            return np.array([self.words.pop(0) for _ in range(n_words)], dtype=np.uint64)

    assert Scripted([7, 4])._draw_bernoulli((7, 5), 1).tolist() == [True]
    assert Scripted([7, 5])._draw_bernoulli((7, 5), 1).tolist() == [False]
    assert Scripted([6])._draw_bernoulli((7, 5), 1).tolist() == [True]


def test_integers_are_uniform_and_an_order_is_complete():
    source = open_noise(rehearsal=True, seed=4)
    counts = np.bincount(source.draw_integers(7, (70_000,)), minlength=7)
    assert len(counts) == 7
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 50  # 6 degrees of freedom: once in 200 million
    assert sorted(source.draw_order(100)) == list(range(100))


def test_a_rejected_word_is_drawn_again():
    class Scripted(NoiseSource):
        def __init__(self, words):
            super().__init__()
            self.words = words

        def draw_words(self, n_words):
            return np.array(self.words.pop(0), dtype=np.uint64)

    assert Scripted([[2**64 - 1, 5], [2]]).draw_integers(3, (2,)).tolist() == [2, 2]


def test_thresholds_round_towards_more_privacy():
    assert find_threshold(1, 3) == -(-(2**64) // 3)
    assert float(exponential_of(2.0)) == pytest.approx(math.exp(2))
    assert exponential_of(1.0) < find_exact_e()


def find_exact_e():
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 60
        return Decimal(1).exp()
