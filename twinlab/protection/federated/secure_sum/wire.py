"""Messages as bytes and back: short, one way to write each, and nothing in them is ever run.

A message is four letters, a kind, and its fields: whole numbers in eight bytes, byte strings and lists with their
length in front, big end first. Reading accepts exactly what writing makes; everything else is a `ProtocolError`.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from twinlab.errors import ProtocolError

_MAGIC = b"TWS1"


def write_number(number: int) -> bytes:
    """A whole number from 0 to 2^64 - 1 in eight bytes."""
    return struct.pack(">Q", number)


def write_bytes(data: bytes) -> bytes:
    """A byte string with its length in front."""
    return struct.pack(">I", len(data)) + data


def join_parts(*parts: bytes) -> bytes:
    """Parts as one string that no other parts give: what is hashed, signed and authenticated."""
    return b"".join(map(write_bytes, parts))


class Reader:
    """Takes a message apart from the front. Never reads beyond its end, whatever lengths it claims."""

    def __init__(self, data: bytes) -> None:
        """Start at the front."""
        self._data = data
        self._at = 0

    def take(self, n_bytes: int) -> bytes:
        """The next bytes."""
        end = self._at + n_bytes
        if end > len(self._data):
            raise ProtocolError("message: expected more bytes than came; it was cut off or altered; send it again")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def take_number(self) -> int:
        """A whole number."""
        return int.from_bytes(self.take(8), "big")

    def take_bytes(self) -> bytes:
        """A byte string."""
        return self.take(int.from_bytes(self.take(4), "big"))

    def close(self) -> None:
        """Refuse what is left over."""
        if self._at != len(self._data):
            raise ProtocolError("message: expected its end, got more bytes; it was altered; send it again")


@dataclass(frozen=True)
class Field:
    """How one field of a message is written and read."""

    write: Callable[[Any], bytes]
    read: Callable[[Reader], Any]


NUMBER = Field(write_number, Reader.take_number)
BYTES = Field(write_bytes, Reader.take_bytes)


def fixed(n_bytes: int) -> Field:
    """A byte string of a known length, without the length."""

    def write(data: bytes) -> bytes:
        if len(data) != n_bytes:
            raise ProtocolError(f"message: expected a field of {n_bytes} bytes, got {len(data)}; check who made it")
        return data

    return Field(write, lambda reader: reader.take(n_bytes))


def many(field: Field) -> Field:
    """A tuple of such fields. A claimed length beyond the message's end fails at the first missing entry."""

    def read(reader: Reader) -> tuple[Any, ...]:
        return tuple(field.read(reader) for _ in range(int.from_bytes(reader.take(4), "big")))

    return Field(lambda values: struct.pack(">I", len(values)) + b"".join(map(field.write, values)), read)


def part(kind: type[Part]) -> Field:
    """A message's part that is itself made of fields."""
    return Field(lambda value: value.write_fields(), kind.read_fields)


@functools.lru_cache
def _list_fields(kind: type[Part]) -> tuple[tuple[str, Field], ...]:
    """Names and fields of a part, in order."""
    names = [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return tuple(zip(names, kind.layout, strict=True))


PartType = TypeVar("PartType", bound="Part")
MessageType = TypeVar("MessageType", bound="WireMessage")


class Part:
    """Something made of fields. A frozen dataclass whose `layout` has a `Field` for each of its own, in order."""

    layout: ClassVar[tuple[Field, ...]] = ()

    def write_fields(self) -> bytes:
        """The fields, one after the other."""
        return b"".join([field.write(getattr(self, name)) for name, field in _list_fields(type(self))])  # type: ignore[arg-type]

    @classmethod
    def read_fields(cls: type[PartType], reader: Reader) -> PartType:
        """The same from the front of a message."""
        return cls(*[field.read(reader) for field in cls.layout])


class WireMessage(Part):
    """A whole message."""

    kind: ClassVar[int] = 0

    def encode(self) -> bytes:
        """The message in bytes."""
        return _MAGIC + bytes([self.kind]) + self.write_fields()

    @classmethod
    def decode(cls: type[MessageType], data: bytes) -> MessageType:
        """The message that `encode` wrote.

        Raises:
          ProtocolError: if the bytes are anything else, such as cut off, too long, or another kind of message.
        """
        reader = Reader(bytes(data))
        if reader.take(5) != _MAGIC + bytes([cls.kind]):
            raise ProtocolError(f"message: expected {cls.__name__}, got something else; check who made it")
        message = cls.read_fields(reader)
        reader.close()
        return message
