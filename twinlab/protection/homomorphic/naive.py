"""Exhibits, not to be used: encrypted queries as they are often first written, to show how they leak.

Every function of it works and gives right answers. What is wrong with it, `tests/claims/test_encrypted_leaks.py` and
the lesson on asking in secret show, beside `plan`, `KeyHolder` and `Server`, which close these leaks:

- sums by rotations that stop half-way leave partial sums in the other slots, which tell the weights;
- results are published as they were decrypted, and their noise tells the secret key;
- one object holds everything, and dropping its key leaves what was made of the key;
- parameters are taken as given, and noise may be larger than answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twinlab.protection.homomorphic.parameters import RingParameters
from twinlab.protection.homomorphic.seal import (
    Ciphertext,
    CKKSEncoder,
    Decryptor,
    Encryptor,
    Evaluator,
    GaloisKeys,
    KeyGenerator,
    Plaintext,
    explain_faults,
    find_galois_element,
    make_context,
)


class NaiveQuery:
    """Exhibit, not to be used: one object makes the keys, encrypts, computes and decrypts.

    Attributes:
      context: SEAL's.
      secret_key: SEAL's; None once it was dropped.
    """

    def __init__(self, ring_degree: int, prime_bits: Sequence[int], scale_bits: int) -> None:
        """Make keys.

        Args:
          ring_degree, prime_bits, scale_bits: taken as they are; public.

        Raises:
          SpecificationError: if they are not secure or no parameters at all. Nothing else is checked.
        """
        self.context = make_context(RingParameters(ring_degree, tuple(prime_bits)))
        self._scale = 2.0**scale_bits
        generator = KeyGenerator(self.context)
        self.secret_key: Any = generator.secret_key()
        self._rotation_keys = GaloisKeys()
        self._steps = [1 << k for k in range((ring_degree // 2).bit_length() - 1)]
        if len(prime_bits) > 1:
            elements = [find_galois_element(step, ring_degree) for step in self._steps]
            generator.create_galois_keys(elements, self._rotation_keys)
        self._encoder, self._evaluator = CKKSEncoder(self.context), Evaluator(self.context)
        self._encryptor = Encryptor(self.context, self.secret_key)
        self._decryptor = Decryptor(self.context, self.secret_key)

    def drop_key(self) -> None:
        """What passes for making it public: the key is gone, and what was made of it is not."""
        self.secret_key = None

    def weigh(self, numbers: np.ndarray, weights: np.ndarray) -> Any:
        """Encrypt numbers and multiply them with weights, slot by slot.

        Args:
          numbers: (slot,), private.
          weights: (slot,), the provider's.
        """
        question, product = Ciphertext(), Ciphertext()
        with explain_faults("naive product"):
            self._encryptor.encrypt_symmetric(self._encode(numbers, self.context.first_parms_id()), question)
            self._evaluator.multiply_plain(question, self._encode(weights, question.parms_id()), product)
        return product

    def answer(self, row: np.ndarray, weights: np.ndarray) -> Any:
        """The inner product in the first slot, by adding rotations. What is in the others, nobody asks."""
        product, turned = self.weigh(row, weights), Ciphertext()
        with explain_faults("naive sum"):
            self._evaluator.rescale_to_next_inplace(product)
            for step in [step for step in self._steps if step < len(row)]:
                self._evaluator.rotate_vector(product, step, self._rotation_keys, turned)
                self._evaluator.add_inplace(product, turned)
        return product

    def read_slots(self, ciphertext: Any) -> np.ndarray:
        """(slot,), all of them, as who decrypts sees them: private."""
        decrypted = Plaintext()
        with explain_faults("naive decryption"):
            self._decryptor.decrypt(ciphertext, decrypted)
            return np.array(self._encoder.decode_double(decrypted))

    def _encode(self, numbers: np.ndarray, level: Any) -> Any:
        encoded = Plaintext()
        self._encoder.encode(np.asarray(numbers, dtype=float).tolist(), level, self._scale, encoded)
        return encoded

    def __repr__(self) -> str:
        return f"NaiveQuery(an exhibit, not to be used; {'key dropped' if self.secret_key is None else 'with its key'})"
