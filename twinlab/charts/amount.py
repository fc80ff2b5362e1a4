"""Bytes and seconds in the words that people use, for labels and sentences."""

import math

_BYTES = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))
_SECONDS = ((86_400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def say_bytes(n_bytes: float) -> str:
    """A number of bytes in powers of a thousand.

    >>> [say_bytes(n) for n in (0, 528, 33_110, 2_500_000, 6.6e10)]
    ['0 bytes', '528 bytes', '33.1 kB', '2.50 MB', '66.0 GB']
    """
    return _say(n_bytes, _BYTES)


def say_seconds(seconds: float) -> str:
    """A time in the largest unit of which there is at least one.

    >>> [say_seconds(s) for s in (0, 2e-6, 0.0123, 1.5, 90, 7200, 200_000)]
    ['0 s', '2.00 µs', '12.3 ms', '1.50 s', '1.50 min', '2.00 h', '2.31 days']
    """
    return _say(seconds, _SECONDS) if seconds else "0 s"


def _say(amount: float, units: tuple[tuple[float, str], ...]) -> str:
    if amount is None or not math.isfinite(amount):
        return "unknown"
    size, unit = next(((size, unit) for size, unit in units if abs(amount) >= size), units[-1])
    number = amount / size
    if unit == "bytes" or abs(number) >= 100:
        return f"{number:,.0f} {unit}"
    return f"{number:#.3g} {unit}"
