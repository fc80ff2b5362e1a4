"""Claim: four ways in which encrypted queries leak when done naively, each shown to work there, none on ours.

The model from one answer (partial sums in other slots), the secret key from two published results, a server that still
decrypts although its key was dropped, and answers of the wrong sign. The naive ways are written out here.
"""

import gc
import types

import numpy as np
import pytest
from tenseal import sealapi

from twinlab.errors import IncompatibleChoicesError
from twinlab.protection.homomorphic import (
    ConvolutionModel,
    EncryptedHead,
    KeyHolder,
    LogisticModel,
    Server,
    SquareNetwork,
    ask,
    plan,
    set_up,
)
from twinlab.protection.homomorphic.seal import Ciphertext, make_context, read_object

DRAW = np.random.default_rng(11)
N_FEATURES = 40
MODEL = LogisticModel(0.4 * DRAW.normal(size=(1, N_FEATURES)), [0.3])
ROWS = DRAW.normal(size=(2100, N_FEATURES))


class Naive:
    """A query without care: one object makes the keys, encrypts, computes and decrypts."""

    def __init__(self, ring_degree, prime_bits, scale_bits):
        parameters = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
        parameters.set_poly_modulus_degree(ring_degree)
        parameters.set_coeff_modulus(sealapi.CoeffModulus.Create(ring_degree, prime_bits))
        self.context = sealapi.SEALContext(parameters, True, sealapi.SEC_LEVEL_TYPE.TC128)
        self.scale = 2.0**scale_bits
        generator = sealapi.KeyGenerator(self.context)
        self.secret_key = generator.secret_key()
        public_key = sealapi.PublicKey()
        generator.create_public_key(public_key)
        self.rotation_keys = sealapi.GaloisKeys()
        generator.create_galois_keys(self.rotation_keys)
        self.encoder = sealapi.CKKSEncoder(self.context)
        self.encryptor = sealapi.Encryptor(self.context, public_key)
        self.decryptor = sealapi.Decryptor(self.context, self.secret_key)

    def drop_key(self):
        """What passes for making it public: the key is gone, and what was made of it is not."""
        self.secret_key = None

    def answer(self, row, weights):
        """The inner product in the first slot, by adding rotations: what is in the others, nobody asks."""
        question, product, turned = (sealapi.Ciphertext() for _ in range(3))
        self.encryptor.encrypt(self._encode(row, None), question)
        evaluator = sealapi.Evaluator(self.context)
        evaluator.multiply_plain(question, self._encode(weights, question), product)
        evaluator.rescale_to_next_inplace(product)
        for step in (1, 2, 4, 8, 16, 32):
            evaluator.rotate_vector(product, step, self.rotation_keys, turned)
            evaluator.add_inplace(product, turned)
        return product

    def read_slots(self, ciphertext):
        """All slots, as who decrypts sees them."""
        decrypted = sealapi.Plaintext()
        self.decryptor.decrypt(ciphertext, decrypted)
        return np.array(self.encoder.decode_double(decrypted))

    def _encode(self, numbers, like):
        encoded = sealapi.Plaintext()
        if like is None:
            self.encoder.encode(list(numbers), self.scale, encoded)
        else:
            self.encoder.encode(list(numbers), like.parms_id(), self.scale, encoded)
        return encoded


# (a) the model from one answer


def steal_weights(slots, row, bias):
    """Differences of neighbouring slots over the features: right if slots hold sums over the last features."""
    sums = slots[: N_FEATURES + 1] - bias
    return (sums[:N_FEATURES] - sums[1 : N_FEATURES + 1]) / row


def test_one_naive_answer_gives_the_whole_model_away():
    naive = Naive(8192, [60, 40, 60], 40)
    slots = naive.read_slots(naive.answer(ROWS[0], MODEL.weight[0])) + MODEL.bias[0]
    assert slots[0] == pytest.approx(np.dot(ROWS[0], MODEL.weight[0]) + MODEL.bias[0], abs=1e-4)
    assert np.abs(steal_weights(slots, ROWS[0], MODEL.bias[0]) - MODEL.weight[0]).max() < 1e-4


def list_exchanges():
    """Each layout that plans take: its name, a model, rows, and the batch that calls for it."""
    draw = np.random.default_rng(12)
    network = SquareNetwork(
        (draw.normal(size=(12, 10)) / 3, draw.normal(size=(10, 2)) / 3), (draw.normal(size=10), draw.normal(size=2))
    )
    convolution = ConvolutionModel(
        draw.normal(size=(3, 2, 4)) / 3, draw.normal(size=3), draw.normal(size=(1, 3, 10)) / 5, [0.4], 13
    )
    windows, rows = draw.normal(size=(60, 26)), draw.normal(size=(60, 12))
    head = EncryptedHead(draw.normal(size=(3, 11)))
    return [
        ("interleaved", MODEL, ROWS[:60], 1),
        ("feature-major", MODEL, ROWS[:60], 3000),
        ("tiled", network, rows, 1),
        ("block", network, rows, 60),
        ("feature-major", network, rows, 4000),
        ("tiled convolution", convolution, windows, 1),
        ("packed convolution", convolution, windows, 1000),
        ("interleaved", head, draw.normal(size=(60, 11)), 1),
    ]


@pytest.mark.parametrize(("layout", "model", "rows", "batch"), list_exchanges())
def test_our_answers_hold_nothing_but_answers(layout, model, rows, batch):
    """Every slot, in every layout, is one of the answers asked for or zero."""
    found = plan(model, rows, batch=batch)
    assert found.layout.name == layout
    asked = rows[: min(2, found.layout.capacity)]
    holder, server, _ = set_up(found, model)
    if found.head_is_encrypted:
        server.store_head(holder.encrypt_head(model.typical))
        reply, expected = server.answer(holder.write_question(asked)), asked @ model.typical.T
    else:
        reply, expected = server.answer(holder.encrypt(asked)), model.answer_plain(asked)
    parts = holder._unseal(reply, "answer").parts[1:]
    slots = np.array([holder._decrypt_slots(part) for part in parts])
    away = np.abs(slots.real.ravel()[:, None] - np.append(expected.ravel(), 0.0)).min(1)
    assert away.max() <= found.tolerance
    # and each answer is there, so that the slots were the right ones to look at
    assert np.abs(slots.real.ravel()[:, None] - expected.ravel()).min(0).max() <= found.tolerance


def test_the_theft_that_works_there_learns_nothing_here():
    found = plan(MODEL, ROWS)
    holder, server, _ = set_up(found, MODEL)
    reply = server.answer(holder.encrypt(ROWS[0]))
    slots = holder._decrypt_slots(holder._unseal(reply, "answer").parts[1]).real
    by_position = slots.reshape(found.layout.n_positions, found.layout.width)
    for seen in (slots, by_position[:, 0]):
        stolen = steal_weights(seen, ROWS[0], MODEL.bias[0])
        assert np.abs(stolen).max() < 0.01, "differences between equal slots are noise"
    assert abs(np.abs(MODEL.weight).max()) > 0.5


# (b) the secret key from two published results


def read_polynomial(words, size, first=0):
    return np.fromiter((words[first + k] for k in range(size)), dtype=np.uint64, count=size)


def list_conjugates(size):
    """In SEAL's order of evaluations, where the complex conjugate of each stands."""
    bits = size.bit_length() - 1
    places = np.empty(size, dtype=int)
    for place in range(size):
        exponent = int(format(size + place, f"0{bits + 1}b")[::-1], 2)
        places[place] = int(format((((2 * size - 1) * exponent) >> 1) & (size - 1), f"0{bits}b")[::-1], 2)
    return places


def recover_key(context, observations):
    """The secret key from ciphertexts and the numbers that were published about them (Li and Micciancio 2021).

    A published result re-encodes to c0 + c1 s plus its conjugate. Two of them are two linear equations for s and its
    conjugate in each place.
    """
    parameters = context.first_context_data().parms()
    size, prime = parameters.poly_modulus_degree(), parameters.coeff_modulus()[0].value()
    conjugate = list_conjugates(size)
    encoder = sealapi.CKKSEncoder(context)
    rows = []
    for ciphertext, numbers in observations:
        first = read_polynomial(ciphertext, size)
        second = read_polynomial(ciphertext, size, ciphertext.coeff_modulus_size() * size)
        encoded = sealapi.Plaintext()
        encoder.encode((2 * numbers).tolist(), ciphertext.parms_id(), ciphertext.scale, encoded)
        message = read_polynomial(encoded, size)
        known = [(int(m) - int(a) - int(b)) % prime for m, a, b in zip(message, first, first[conjugate], strict=True)]
        rows.append((known, second.tolist(), second[conjugate].tolist()))
    (known_1, own_1, other_1), (known_2, own_2, other_2) = rows
    key = np.zeros(size, dtype=object)
    for place in range(size):
        determinant = (own_1[place] * other_2[place] - own_2[place] * other_1[place]) % prime
        if determinant:
            product = known_1[place] * other_2[place] - known_2[place] * other_1[place]
            key[place] = product * pow(determinant, -1, prime) % prime
    return key


def find_share(found, secret_key):
    """Share of the key's places that are right; by guessing, one in 2^50."""
    true = read_polynomial(secret_key.data(), len(found)).tolist()
    return np.mean([int(one) == other for one, other in zip(found, true, strict=True)])


def publish_two(found, model):
    """A key holder publishes all answers of two full messages; what the server has of them, and the holder."""
    holder = KeyHolder(found)
    server = Server.from_bytes(holder.public_bytes(), plan=found, model=model, secret=holder.secret)
    draw = np.random.default_rng(2)
    observations = []
    for _ in range(2):
        reply = server.answer(holder.encrypt(draw.uniform(-1, 1, (found.layout.capacity, model.n_features))))
        ciphertext = read_object(Ciphertext, make_context(found.ring), holder._unseal(reply, "answer").parts[1])
        observations.append((ciphertext, holder.decrypt(reply)[:, 0]))
    return observations, holder


def test_published_results_give_our_key_away_only_if_the_plan_was_not_made_for_sharing():
    model = LogisticModel([[0.5, -0.25, 0.125]], [0.1])
    rows = np.random.default_rng(3).uniform(-1, 1, (50, 3))
    shares = {}
    for share_results in (False, True):
        found = plan(model, rows, batch=5000, share_results=share_results)
        assert found.layout.width == found.ring.n_slots, "every slot is published"
        observations, holder = publish_two(found, model)
        key = recover_key(make_context(found.ring), observations)
        shares[share_results] = find_share(key, holder._generator.secret_key())
        plain = np.abs(observations[0][1]).max()
        assert plain < 2
    assert shares == {False: 1.0, True: 0.0}


# (c) who can decrypt

LIVE_KEYS = (sealapi.SecretKey, sealapi.Decryptor, sealapi.Encryptor, sealapi.KeyGenerator, KeyHolder)


def find_live_keys(start):
    """Everything that decrypts or encrypts, among all objects that can be reached from one."""
    seen, waiting, found = set(), [start], []
    while waiting:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, type | types.ModuleType | types.FunctionType | types.CodeType):
            continue
        seen.add(id(here))
        if isinstance(here, LIVE_KEYS):
            found.append(here)
        waiting += gc.get_referents(here)
        waiting += list(getattr(here, "__dict__", {}).values())
    return found


def test_a_naive_server_that_dropped_its_key_still_decrypts():
    naive = Naive(8192, [60, 40, 60], 40)
    answer = naive.answer(ROWS[0], MODEL.weight[0])
    naive.drop_key()
    assert naive.read_slots(answer)[0] == pytest.approx(np.dot(ROWS[0], MODEL.weight[0]), abs=1e-4)
    assert {type(each) for each in find_live_keys(naive)} == {sealapi.Decryptor, sealapi.Encryptor}


def test_nothing_that_can_be_reached_from_our_server_decrypts():
    network = SquareNetwork((np.ones((3, 2)), np.ones((2, 1))), (np.zeros(2), np.zeros(1)))
    for model, rows in ((MODEL, ROWS[:20]), (network, np.ones((5, 3)))):
        found = plan(model, rows)
        holder, server, _ = set_up(found, model)
        server.answer(holder.encrypt(rows[:1]))
        assert find_live_keys(server) == []
    # The search sees what is there: in a key holder, and in a server that somebody hid one in.
    assert {type(each) for each in find_live_keys(holder)} >= {KeyHolder, sealapi.Decryptor, sealapi.KeyGenerator}
    server._machine._encoded["hidden", 0] = [{"deep": holder._decryptor}]
    assert len(find_live_keys(server)) == 1


def test_what_crosses_to_our_server_holds_no_secret_key():
    """The set-up message against the key itself: no 16 bytes of one are in the other, and SEAL reads no key from it."""
    found = plan(MODEL, ROWS[:50])
    holder = KeyHolder(found)
    crossing = holder.public_bytes() + holder.encrypt(ROWS[0])
    key = holder._generator.secret_key()
    places = range(0, found.ring.ring_degree, 64)
    pieces = [b"".join(key.data()[place + k].to_bytes(8, "little") for k in range(2)) for place in places]
    assert not any(piece in crossing for piece in pieces)
    assert holder.secret not in crossing
    for part in holder._unseal(holder.public_bytes(), "set-up").parts:
        with pytest.raises(Exception, match="SEAL refused"):
            read_object(sealapi.SecretKey, make_context(found.ring), part)


# (d) answers of the wrong sign

#: Often seen in introductions: little room for noise.
SMALL = {"ring_degree": 4096, "prime_bits": [40, 20, 40], "scale_bits": 20}


def list_close_rows():
    """Rows near the line between yes and no, though further from it than our tolerance."""
    logits = np.abs(MODEL.answer_plain(ROWS)[:, 0])
    return ROWS[(logits > 2e-3) & (logits < 0.1)][:50]


def test_small_parameters_flip_signs():
    """Of 150 answers this close several flip; a single flip in all would come by chance once in a million."""
    rows = list_close_rows()
    assert len(rows) == 50
    plain, n_flips = MODEL.answer_plain(rows)[:, 0], 0
    for _ in range(3):
        naive = Naive(*SMALL.values())
        answers = [naive.read_slots(naive.answer(row, MODEL.weight[0]))[0] + MODEL.bias[0] for row in rows]
        n_flips += int((np.sign(answers) != np.sign(plain)).sum())
    assert n_flips > 1


def test_our_planner_refuses_them_and_offers_better_ones():
    with pytest.raises(IncompatibleChoicesError, match="take ring degree 4096 and let `plan` choose"):
        plan(MODEL, ROWS[:200], **SMALL)
    found = plan(MODEL, ROWS, ring_degree=4096)
    holder, server, _ = set_up(found, MODEL)
    answers = ask(found, holder, server, list_close_rows()).values
    plain = MODEL.answer_plain(list_close_rows())
    assert np.abs(answers - plain).max() < 1e-3
    assert (np.sign(answers) == np.sign(plain)).all()
