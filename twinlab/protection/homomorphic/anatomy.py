"""What the parts of a message are, for a reader: nothing here is verified, decrypted or trusted."""

from __future__ import annotations

from twinlab.errors import EncryptionError
from twinlab.protection.homomorphic.envelope import (
    _HEADER,
    _LENGTH,
    _MAGIC,
    _START,
    _TAG_BYTES,
    DIGEST_BYTES,
    FORMAT_VERSION,
    ID_BYTES,
    KINDS,
)

#: What the parts of each kind of message hold.
_CONTENTS = {"set-up": "evaluation keys", "question": "ciphertext", "head": "ciphertext", "answer": "ciphertext"}


def list_message_parts(data: bytes, *, is_plain: bool = False) -> list[dict[str, str | int]]:
    """Name each part of a message, in the order of its bytes.

    Args:
      data: a message as the receiver gets it.
      is_plain: whether what it carries is in the clear, as questions to an encrypted head are.

    Returns:
      Rows of part, bytes and meaning; the bytes add up to the message.

    Raises:
      EncryptionError: if it does not begin as a message, or was cut off.
    """
    try:
        return _list_parts(data, is_plain)
    except (IndexError, ValueError) as fault:
        raise EncryptionError("message: expected an envelope of encrypted queries, got something else") from fault


def _list_parts(data: bytes, is_plain: bool) -> list[dict[str, str | int]]:
    magic, version = data[: len(_MAGIC)], data[len(_MAGIC) : _START.size]
    if magic != _MAGIC or int.from_bytes(version, "big") != FORMAT_VERSION:
        raise ValueError("no message of this version")
    at = _START.size
    libraries, at = _read_text(data, at)
    layout, at = _read_text(data, at)
    header = data[at : at + _HEADER.size]
    if len(header) < _HEADER.size:
        raise ValueError("cut off")
    number, digest, key_id, exchange_id, level, n_rows, n_parts = _HEADER.unpack(header)
    kind = KINDS[number]
    content = "in the clear" if is_plain else _CONTENTS.get(kind, "ciphertext")
    lengths = _measure_parts(data, at + _HEADER.size, n_parts)
    n_content = len(data) - at - _HEADER.size - _TAG_BYTES
    what = f"{n_parts} {content}s" if n_parts > 1 and content == "ciphertext" else content
    asked = f"; {n_rows} questions" if kind == "question" else ""
    rows: list[tuple[str, int, str]] = [
        ("magic", len(magic), f"{magic.decode()}: says that this is a message of encrypted queries"),
        ("version", 2 + 1 + len(libraries), f"format {FORMAT_VERSION}; {libraries}"),
        ("layout", 1 + len(layout), f"{layout}: how numbers lie in the slots"),
        ("kind", 1, f"{kind}: which way it goes"),
        ("plan hash", DIGEST_BYTES, f"{digest.hex()[:12]}...: both sides mean the same plan"),
        ("key id", ID_BYTES, f"{key_id.hex()[:12]}...: whose key, drawn at random"),
        ("exchange id", ID_BYTES, f"{exchange_id.hex()[:12]}...: which question, so that no old answer fits it"),
        ("level", 1, f"{level} rescalings left"),
        ("counts", 4 + 2, f"{n_parts} parts{asked}"),
        (content, n_content, f"{what}, {max(lengths, default=0):,} bytes at most: {_explain_content(content)}"),
        ("tag", _TAG_BYTES, "HMAC-SHA256 over all before it: nobody altered it on the way"),
    ]
    return [{"part": part, "bytes": n_bytes, "meaning": meaning} for part, n_bytes, meaning in rows]


def _explain_content(content: str) -> str:
    return {
        "ciphertext": "to whoever has no key, random bytes",
        "evaluation keys": "they rotate and relinearize, and decrypt nothing",
    }.get(content, "numbers that the provider may read")


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    """A short text and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("ascii"), end


def _measure_parts(data: bytes, at: int, n_parts: int) -> list[int]:
    """Length of each part."""
    lengths = []
    for _ in range(n_parts):
        if at + _LENGTH.size > len(data):
            raise ValueError("cut off")
        (length,) = _LENGTH.unpack(data[at : at + _LENGTH.size])
        lengths.append(length)
        at += _LENGTH.size + length
    if at + _TAG_BYTES != len(data):
        raise ValueError("cut off")
    return lengths
