"""Arithmetic on MPyC's shares: what programs do with them, and what becomes of a value that is opened.

MPyC itself is handed in (`Library`); the one module that imports it is `mpyc_party`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.joint.mpyc_wire import pack_value
from twinlab.protection.joint.secret_solution import MASK_BITS

#: Fixed point numbers of the naive plan.
_NAIVE_BITS = 80
_TAMPERED = 12345


@dataclass(frozen=True)
class Library:
    """MPyC, as far as it is used.

    Attributes:
      runtime: the process's one runtime.
      fields, sharing, exchange: its modules of finite fields, of shares and of messages.
    """

    runtime: Any
    fields: Any
    sharing: Any
    exchange: Any


def choose_fixed_point(runtime: Any, n_bits: int, n_fraction_bits: int) -> Any:
    """MPyC's type of fixed point numbers, if it can divide them.

    Args:
      runtime: MPyC's.
      n_bits, n_fraction_bits: public; bits of a number, and binary places.

    Raises:
      SpecificationError: unless there are twice as many bits as places: MPyC's quotients would be 0 without a word.
    """
    if n_bits != 2 * n_fraction_bits:
        raise SpecificationError(
            f"fixed point: expected {2 * n_fraction_bits} bits for {n_fraction_bits} places, got {n_bits}; quotients "
            "would be 0 without a word"
        )
    return runtime.SecFxp(n_bits, n_fraction_bits)


class MpycArithmetic:
    """Arithmetic on MPyC's shares; see `PartyArithmetic`. Everything that it opens goes into one hash."""

    def __init__(self, library: Library, names: Sequence[str], *, tampers: bool = False) -> None:
        """Begin.

        Args:
          library: connected.
          names: of the parties, in their order.
          tampers: for lessons and tests: give others a false share of what is opened.
        """
        self._runtime, self._fields, self._sharing = library.runtime, library.fields, library.sharing
        self._names, self._tampers, self._opened = tuple(names), tampers, sha256()
        runtime = library.runtime
        self.n_parties = len(runtime.parties)
        self.place = int(runtime.pid)
        self.n_masks = math.comb(self.n_parties, runtime.threshold)

    async def share(self, own: np.ndarray, shapes: Sequence[tuple[int, ...]], modulus: int) -> list[np.ndarray]:
        """Each party's numbers as shares."""
        field = self._fields.GF(modulus)
        coming = []
        for sender, shape in enumerate(shapes):
            numbers = own if sender == self.place else np.zeros(shape, dtype=object)
            # A vector of nothing cannot be sent; nobody needs it.
            coming.append(
                self._runtime.input(field.array(numbers, check=False), senders=sender) if numbers.size else None
            )
        return [
            (await future)[0][0].value if future is not None else np.zeros(shape, dtype=object)
            for future, shape in zip(coming, shapes, strict=True)
        ]

    async def open(self, shares: np.ndarray, modulus: int) -> list[int]:
        """The numbers, to all parties; none of them uses its before all have the same."""
        numbers = await self._open_raw((shares + _TAMPERED) % modulus if self._tampers else shares, modulus, None)
        await self.check_opened()
        return [int(number) - modulus if number > modulus // 2 else int(number) for number in numbers.tolist()]

    async def reshare(self, products: np.ndarray, modulus: int) -> np.ndarray:
        """Shares of what products of two shares stand for, that can be multiplied again."""
        field = self._fields.GF(modulus)
        return np.asarray((await self._runtime._reshare(field.array(products, check=False))).value)

    async def cut(self, product: np.ndarray, n_cut: int, n_bits: int, modulus: int) -> np.ndarray:
        """Shares without their last binary places, in one message to each party.

        Every set of parties that leaves out as many as may collude has a key, from which its members draw a number that
        all the others know nothing of. The mask is the sum of these numbers, on shares; so is the sum of these numbers
        without their last places. The masked product is opened, loses its last places in the open, and the latter sum
        is taken away. This is how MPyC cuts too, but for the mask: it has the last places of one number as single
        shared bits, each of which costs a root modulo the prime.

        Of a number that is cut and then opened, all see it plus the sum of the masks' lost places, a random number of a
        few of the last places that are left. So no place after these is told.

        A product of two shares is a point of a polynomial of twice the degree, of which more than its value at 0 would
        be told. So a random such polynomial that is 0 at 0 is added, from the same keys.
        """
        runtime, field, n = self._runtime, self._fields.GF(modulus), len(product)
        drawn_by = runtime.prfs(1 << n_bits + 1 + MASK_BITS)
        common = runtime._prss_uci()
        mask = kept = 0
        for members, draw in drawn_by.items():
            weight = self._sharing._f_S_i(field, self.n_parties, self.place, members)
            drawn = draw(common, (n,))
            mask, kept = mask + drawn * weight, kept + (drawn >> n_cut) * weight
        nothing = self._sharing.np_pseudorandom_share_0(
            field, self.n_parties, self.place, runtime.prfs(modulus), runtime._prss_uci(), n
        ).value
        masked = (product + (1 << n_bits) + mask + nothing) % modulus
        opened = await self._open_raw(masked, modulus, 2 * runtime.threshold)
        # Cut off places that carried over are made up for by their mean.
        return np.asarray(((opened >> n_cut) - (1 << n_bits - n_cut) - (self.n_masks - 1) // 2 - kept) % modulus)

    async def tell_all(self, word: str) -> list[str]:
        """Each party's word; public."""
        return list(await self._runtime.transfer(word))

    async def is_sum_negative(self, own: int, n_bits: int) -> bool:
        """Whether all parties' numbers add up to less than 0."""
        parts = self._runtime.input(self._make_integers(own, n_bits))
        (found,) = await self._runtime.output(self._runtime.np_sgn(sum(parts[1:], parts[0]), LT=True))
        return bool(self._note(int(found)))

    async def find_largest(self, own: int, n_bits: int) -> int:
        """The place of the party with the largest number, the first of equal ones."""
        parts = self._runtime.input(self._make_integers(own, n_bits))
        largest = self._runtime.np_argmax(self._runtime.np_concatenate(tuple(parts)))
        return self._note(int(await self._runtime.output(largest)))

    async def solve_naively(self, rows: np.ndarray, n_rows: Sequence[int], penalty: float) -> list[float]:
        """Share every row, multiply and eliminate on shares, with nothing but MPyC's fixed point numbers."""
        runtime, n = self._runtime, sum(n_rows)
        fixed = choose_fixed_point(runtime, _NAIVE_BITS, _NAIVE_BITS // 2)
        blank = [rows if at == self.place else np.zeros((many, rows.shape[1])) for at, many in enumerate(n_rows)]
        parts = [runtime.input(fixed.array(part), senders=at) for at, part in enumerate(blank) if len(part)]
        whole = runtime.np_concatenate(tuple(parts))
        size = rows.shape[1] - 1
        system = (runtime.np_transpose(whole[:, :size]) @ whole) * (1 / n)
        penalties = np.zeros((size, size + 1))
        penalties[1:, 1:size] = penalty / n * np.eye(size - 1)
        system = system + fixed.array(penalties)
        # The matrix is positive definite, so no row needs to be looked for.
        for at in range(size):
            pivot = system[at, :] * (1 / system[at, at])
            column = system[:, at]
            column = runtime.np_concatenate((column[:at], fixed.array(np.zeros(1)), column[at + 1 :]))
            system = system - runtime.np_outer(column, pivot)
            system = runtime.np_concatenate((system[:at], runtime.np_reshape(pivot, (1, size + 1)), system[at + 1 :]))
        found = [float(weight) for weight in await runtime.output(system[:, size])]
        self._opened.update(repr(found).encode())
        return found

    async def check_opened(self) -> None:
        """Compare hashes of all that was opened so far.

        Raises:
          ProtocolError: if not all opened the same.
        """
        await self.check_agreed(self._opened.hexdigest(), "opened values")

    async def check_agreed(self, word: str, what: str) -> None:
        """Refuse what not all parties say alike.

        Raises:
          ProtocolError: if some say something else.
        """
        words = await self.tell_all(word)
        if others := [name for name, said in zip(self._names, words, strict=True) if said != word]:
            raise ProtocolError(
                f"{what}: expected the same at all parties, got others at {', '.join(others)}; nothing is answered; "
                "some party gave a false share, or asks something else; this does not tell which"
            )

    def _make_integers(self, own: int, n_bits: int) -> Any:
        return self._runtime.SecInt(n_bits + 2).array(np.array([own], dtype=object))

    async def _open_raw(self, shares: np.ndarray, modulus: int, threshold: int | None) -> np.ndarray:
        field = self._fields.GF(modulus)
        numbers = await self._runtime.output(field.array(shares, check=False), threshold=threshold)
        self._opened.update(pack_value(numbers.value))
        return np.asarray(numbers.value)

    def _note(self, number: int) -> int:
        self._opened.update(pack_value(np.array([number])))
        return number
