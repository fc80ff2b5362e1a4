"""Numbers and words as bytes, in place of `pickle`, by which MPyC would run whatever a peer sends it.

There are two kinds of values: a vector of whole numbers, and a word. Nothing else is read, and reading makes nothing
but these.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

import numpy as np

from twinlab.errors import ProtocolError

_HEADER = struct.Struct(">cII")
_NUMBERS, _WORD = b"n", b"w"


def pack_value(value: np.ndarray | str) -> bytes:
    """A vector of whole numbers of any size, or a word, as bytes: its kind, its length, the width of a number, itself.

    Raises:
      ProtocolError: if it is something else.
    """
    if isinstance(value, str):
        word = value.encode()
        return _HEADER.pack(_WORD, len(word), 1) + word
    if not isinstance(value, np.ndarray) or value.ndim != 1:
        raise ProtocolError(f"message: expected a vector or a word, got {type(value).__name__}; send one of these")
    numbers = [int(number) for number in value.tolist()]
    width = max((number.bit_length() for number in numbers), default=0) // 8 + 1
    body = b"".join(number.to_bytes(width, "little", signed=True) for number in numbers)
    return _HEADER.pack(_NUMBERS, len(numbers), width) + body


def unpack_value(data: bytes) -> np.ndarray | str:
    """What `pack_value` packed; whole numbers come as Python's, in an array of objects.

    Raises:
      ProtocolError: if it is anything else.
    """
    kind, n, width = _HEADER.unpack_from(data) if len(data) >= _HEADER.size else (b"", 0, 0)
    body = bytes(data[_HEADER.size :])
    if kind not in (_NUMBERS, _WORD) or width < 1 or len(body) != n * width:
        raise ProtocolError("message: expected numbers or a word, got something else; a party runs another program")
    if kind == _WORD:
        return body.decode(errors="replace")
    numbers = [int.from_bytes(body[at : at + width], "little", signed=True) for at in range(0, len(body), width)]
    return np.array([*numbers, None], dtype=object)[:-1]


class WireFormat:
    """Stands where a library expects the module `pickle`.

    Attributes:
      sends_pickles: for lessons and tests: send what `pickle` makes, which an honest party refuses.
    """

    def __init__(self, *, sends_pickles: bool = False) -> None:
        """Begin."""
        self.sends_pickles = sends_pickles

    def dumps(self, value: Any) -> bytes:
        """As bytes."""
        return pickle.dumps(value) if self.sends_pickles else pack_value(value)

    def loads(self, data: bytes) -> np.ndarray | str:
        """From bytes."""
        return unpack_value(data)
