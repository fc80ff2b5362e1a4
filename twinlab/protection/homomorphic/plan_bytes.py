"""A plan as bytes, to hand it to the other side: JSON that says its version and its own hash, and runs nothing.

Reading accepts exactly what writing makes. The hash finds accidents, not forgers, who would compute it anew: whoever
must be sure of a plan's author compares `EncryptionPlan.digest` on another way. A wrong plan gives nothing away, since
each message bears the digest under its tag and the other side refuses a message of another plan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Any, get_args

from twinlab.errors import EncryptionError, SpecificationError
from twinlab.protection.homomorphic.convolution_layout import PackedConvolutionLayout, TiledConvolutionLayout
from twinlab.protection.homomorphic.layout import Layout
from twinlab.protection.homomorphic.linear_layout import FeatureMajorLayout, InterleavedLayout
from twinlab.protection.homomorphic.model import Link
from twinlab.protection.homomorphic.network_layout import BlockLayout, TiledLayout
from twinlab.protection.homomorphic.parameters import RingParameters
from twinlab.protection.homomorphic.schedule import list_stages

FORMAT_VERSION = 1
_FORMAT = "twinlab encryption plan"
#: A plan takes a kilobyte and some 20 bytes per feature; nothing longer is parsed.
_MOST_BYTES = 1 << 20
_LAYOUTS: dict[str, type[Layout]] = {
    kind.name: kind
    for kind in (
        *(InterleavedLayout, FeatureMajorLayout, TiledLayout),
        *(BlockLayout, TiledConvolutionLayout, PackedConvolutionLayout),
    )
}
#: Scales are far below 2 to this.
_MOST_SCALE_BITS = 1000
#: No count of a layout is larger.
_MOST_ITEMS = 1 << 16
_LARGEST = 2.0**1000
_REALS = (
    *("input_margin", "output_bound", "noise_deviation", "flooding_deviation"),
    *("rounding", "expected_error", "tolerance", "seconds"),
)


def write_fields(fields: Mapping[str, Any]) -> bytes:
    """The fields of a plan as bytes; numbers come back as they were, to the last bit.

    Args:
      fields: by name; public.
    """
    layout = fields["layout"]
    plain = {
        **fields,
        "shape": dict(fields["shape"]),
        "layout": {"name": layout.name, **asdict(layout)},
        "ring": asdict(fields["ring"]),
        "stages": [asdict(stage) for stage in fields["stages"]],
    }
    body = _write_json(plain)
    start = {"format": _FORMAT, "version": FORMAT_VERSION, "sha256": sha256(body.encode()).hexdigest()}
    # the plan last, as it was hashed
    return f'{_write_json(start)[:-1]},"plan":{body}}}'.encode("ascii")


def read_fields(data: bytes, names: frozenset[str]) -> dict[str, Any]:
    """The fields of a plan that `write_fields` wrote.

    Args:
      data: as they came; not to be trusted.
      names: of all fields that a plan has.

    Raises:
      EncryptionError: if they were cut off or altered, are of another version, or describe no plan.
    """
    plain = _open(data)
    try:
        if set(plain) != names:
            raise SpecificationError("other fields")
        fields = _build(plain)
        _check(fields)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as fault:
        raise EncryptionError(
            "plan: expected the fields of an encryption plan, got others; it was not made by to_bytes: ask its maker "
            "for the bytes again"
        ) from fault
    return fields


def _open(data: bytes) -> dict[str, Any]:
    """What is in the frame, once format, version and hash are right."""
    try:
        frame = json.loads(bytes(data[: _MOST_BYTES + 1]).decode("ascii"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        raise EncryptionError(
            "plan: expected the bytes of a plan, got something else or a part; send it again"
        ) from fault
    if not isinstance(frame, dict) or frame.get("format") != _FORMAT:
        raise EncryptionError("plan: expected the bytes of an encryption plan, got something else; check who made them")
    version = frame.get("version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise EncryptionError(
            f"plan: expected format version {FORMAT_VERSION}, got another; install the same twinlab on both sides"
        )
    plain = frame.get("plan")
    if not isinstance(plain, dict) or frame.get("sha256") != _hash(plain):
        raise EncryptionError(
            "plan: expected what its own hash says, got something else; it was altered: send it again"
        )
    return plain


def _build(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Objects out of what JSON knows."""
    described = dict(plain["layout"])
    layout = _LAYOUTS[described.pop("name")](**_tuples(described))
    ring = RingParameters(**_tuples(plain["ring"]))
    # stages follow from the layout and the primes; equality with what came is checked by whoever writes them again
    stages = list_stages(layout.n_squares, len(ring.data_bits))
    made = {"shape": plain["shape"], "layout": layout, "ring": ring, "stages": stages}
    return {**_tuples(plain), **made}


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Lists as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _check(fields: Mapping[str, Any]) -> None:
    """Refuse what fits no program, before a ring is built for it."""
    layout, ring, shape, bound = fields["layout"], fields["ring"], fields["shape"], fields["question_bound"]
    sizes, scales = _list_sizes(layout), fields["scale_bits"] + fields["weight_bits"]
    reals = [*fields["input_scale"], *(bound or ()), *(fields[name] for name in _REALS)]
    is_typed = (
        all(type(number) is int for number in (*sizes, *scales, fields["batch"], ring.ring_degree, *ring.prime_bits))
        and all(type(number) in (int, float) and 0 <= number < _LARGEST for number in reals)
        and all(type(fields[name]) is bool for name in ("quantum_safe", "share_results"))
    )
    fits = (
        is_typed
        and all(0 < size <= _MOST_ITEMS for size in sizes)
        and layout.n_slots == ring.n_slots
        and layout.n_positions * layout.columns_per_row <= ring.n_slots
        and fields["stages"][-1].level >= 0
        and len(fields["scale_bits"]) == len(fields["weight_bits"]) == len(fields["stages"])
        and all(0 <= bits < _MOST_SCALE_BITS for bits in scales)
        and len(fields["input_scale"]) == layout.n_features == shape["features"]
        and (bound is None or len(bound) == layout.n_features)
        and shape["outputs"] == layout.n_outputs
        and (shape["kind"] == "head") == (bound is not None)
        and fields["link"] in get_args(Link)
    )
    if not fits:
        raise SpecificationError("fields that do not fit together")


def _list_sizes(layout: Layout) -> list[Any]:
    """All counts of a layout."""
    counts: list[Any] = []
    for value in vars(layout).values():
        counts += list(value) if isinstance(value, tuple) else [] if isinstance(value, bool) else [value]
    return counts


def _write_json(value: Mapping[str, Any]) -> str:
    """One way to write it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _hash(plain: Mapping[str, Any]) -> str:
    """Of what a frame holds; empty if that cannot be written again, like a number too large to be one."""
    try:
        return sha256(_write_json(plain).encode()).hexdigest()
    except ValueError:
        return ""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of a plan")
