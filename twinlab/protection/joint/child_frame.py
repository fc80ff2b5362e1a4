"""What a process and its child say to each other through pipes: fields as JSON and arrays as they lie in memory.

A frame is the length of its header in 4 bytes, big-endian, the header, and the arrays' bytes in order. The header says
what kind of frame it is, its fields, and each array's type and shape. Both ends are our own processes on one machine.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinlab.errors import ProtocolError

_LENGTH = struct.Struct(">I")
_MOST_HEADER_BYTES, _MOST_ARRAY_BYTES = 2**26, 2**32
_TYPES = ("float64", "int64", "uint64", "uint8")


@dataclass(frozen=True)
class Frame:
    """One thing that was said.

    Attributes:
      kind: what it is.
      fields: plain values, as JSON has them.
      arrays: float64, int64, uint64 or uint8, of any shape.
    """

    kind: str
    fields: dict[str, Any] = field(repr=False)
    arrays: list[np.ndarray] = field(repr=False)


def pack_frame(kind: str, fields: Mapping[str, Any], arrays: Sequence[np.ndarray] = ()) -> bytes:
    """A frame as bytes.

    Raises:
      ProtocolError: if an array is of another type than can be sent.
    """
    if wrong := sorted({array.dtype.name for array in arrays} - set(_TYPES)):
        raise ProtocolError(f"{kind}: expected arrays of {', '.join(_TYPES)}, got {', '.join(wrong)}; convert them")
    shapes = [[array.dtype.name, list(array.shape)] for array in arrays]
    header = json.dumps({"kind": kind, "fields": dict(fields), "arrays": shapes}).encode()
    return b"".join([_LENGTH.pack(len(header)), header, *(array.tobytes() for array in arrays)])


def read_frame(read: Callable[[int], bytes]) -> Frame | None:
    """The next frame, or None where they end.

    Args:
      read: gives up to so many bytes, none at the end.

    Raises:
      ProtocolError: if it is cut off, or no frame.
    """
    start = _read_exactly(read, _LENGTH.size, may_end=True)
    if not start:
        return None
    (n_bytes,) = _LENGTH.unpack(start)
    if n_bytes > _MOST_HEADER_BYTES:
        raise ProtocolError("frame: expected a header of a usual length, got another; something else wrote to the line")
    try:
        header = json.loads(_read_exactly(read, n_bytes))
        kind, fields, shapes = str(header["kind"]), dict(header["fields"]), list(header["arrays"])
        sizes = [math.prod(shape) * np.dtype(name).itemsize for name, shape in shapes if name in _TYPES]
    except (ValueError, KeyError, TypeError):
        raise ProtocolError("frame: expected a header in JSON, got something else; did something else write?") from None
    if len(sizes) < len(shapes) or not all(0 <= size <= _MOST_ARRAY_BYTES for size in sizes):
        raise ProtocolError(f"{kind}: expected arrays of {', '.join(_TYPES)}, got others")
    arrays = [
        np.frombuffer(_read_exactly(read, size), dtype=name).reshape(shape)
        for size, (name, shape) in zip(sizes, shapes, strict=True)
    ]
    return Frame(kind, fields, arrays)


def _read_exactly(read: Callable[[int], bytes], n_bytes: int, *, may_end: bool = False) -> bytearray:
    """So many bytes; none if they end before the first and may."""
    found = bytearray()
    while len(found) < n_bytes:
        part = read(n_bytes - len(found))
        if not part:
            if may_end and not found:
                break
            raise ProtocolError(f"frame: expected {n_bytes} bytes, got {len(found)}; its sender ended in between")
        found += part
    return found
