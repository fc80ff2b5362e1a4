"""One way to write a thing as JSON, so that a hash or a signature of it means one thing."""

import json
from typing import Any

from twinlab.errors import DataContractError, SpecificationError


def write_canonical(value: Any) -> bytes:
    """A value as JSON in ASCII: sorted keys, no spaces. The same value gives the same bytes.

    Raises:
      SpecificationError: if it is not made of mappings, lists, texts, finite numbers, truth values and None.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError):
        raise SpecificationError(
            "expected what JSON can hold, got a value of another type or a number that is not finite; "
            "write it as a text or a number"
        ) from None


def read_canonical(data: bytes) -> Any:
    """The value of canonical JSON; accepts exactly what `write_canonical` makes.

    Raises:
      DataContractError: if the bytes are anything else, such as the same value with a key twice.
    """
    try:
        value = json.loads(data.decode("ascii"))
        if write_canonical(value) == data:
            return value
    except (ValueError, RecursionError):
        pass
    raise DataContractError("expected canonical JSON, got other bytes; ask for the file again, unchanged") from None


def read_hex(name: str, text: object, n_bytes: int | None = None) -> bytes:
    """Bytes from lower-case hex digits.

    Args:
      name: of the field, for the error.
      text: the digits; never shown.
      n_bytes: how many bytes they must be.

    Raises:
      DataContractError: if they are anything else.
    """
    try:
        data = bytes.fromhex(text) if isinstance(text, str) else None
    except ValueError:
        data = None
    if data is None or data.hex() != text or (n_bytes is not None and len(data) != n_bytes):
        size = "" if n_bytes is None else f"{n_bytes} bytes as "
        raise DataContractError(f"{name}: expected {size}lower-case hex digits, got something else; ask for it again")
    return data
