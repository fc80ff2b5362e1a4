"""What each way to publish a stream costs in error, side by side."""

from collections.abc import Iterator
from typing import get_args

import numpy as np
import pandas as pd

from twinlab.errors import SpecificationError
from twinlab.finding import Finding
from twinlab.protection.differential_privacy.guarantee import NobodyPays
from twinlab.protection.differential_privacy.local import ReadingScale, check_readings, choose_scale
from twinlab.protection.differential_privacy.person_stream import release_day_shape
from twinlab.protection.differential_privacy.randomness import NoiseSource, open_noise
from twinlab.protection.differential_privacy.stream import Division, StreamRelease, release_local_stream
from twinlab.protection.differential_privacy.trusted_stream import Scheme, release_trusted_stream

#: The rival that follows nothing: the mean of all true hours, without noise.
CONSTANT = "constant mean, no noise"


def compare_streams(
    values: np.ndarray,
    signal: str,
    *,
    epsilons: tuple[float, ...] = (1.0, 8.0),
    n_people: tuple[int, ...] | None = None,
    window_hours: int = 24,
    bounds: tuple[float, float] | None = None,
    delta: float = 1e-6,
    n_repeats: int = 1,
    noise: NoiseSource | None = None,
) -> tuple[pd.DataFrame, Finding]:
    """Mean absolute error of every scheme, for some numbers of people and epsilons.

    It compares with the truth, which is itself a release: run it on people who do not exist.

    Args:
      values: private; (person, hour), in the signal's unit, NaN where nothing was measured.
      signal, bounds: public; as in `protect_readings`; the truth is the mean of the clipped readings.
      epsilons: public; for a window, and for the person-level scheme for the whole series.
      n_people: public; the first so many people of the array; all when left out.
      window_hours: public; length of the window.
      delta: public; of the person-level scheme alone.
      n_repeats: public; errors are averaged over so many draws.
      noise: where noise comes from; the operating system when left out.

    Returns:
      A row a scheme, number of people and epsilon: scheme, hides, n_people, epsilon, window_hours,
      mean_absolute_error, unit; and a finding on what the harmonic filter is worth on the uniform scheme.

    Raises:
      SpecificationError, DataContractError: as in the functions that publish.
    """
    scale = choose_scale(signal, bounds)
    values = check_readings(values)
    sizes = n_people if n_people is not None else (len(values),)
    if not sizes or max(sizes) > len(values) or min(sizes) < 1 or not epsilons or n_repeats < 1:
        raise SpecificationError(f"n_people: expected 1 to the {len(values)} there are, with epsilons and repeats")
    source = noise if noise is not None else open_noise()
    rows = []
    for size in sizes:
        for epsilon in epsilons:
            errors = _measure_errors(values[:size], scale, epsilon, window_hours, delta, n_repeats, source)
            rows += [
                {
                    "scheme": scheme,
                    "hides": hides,
                    "n_people": size,
                    "epsilon": float(epsilon),
                    "window_hours": window_hours,
                    "mean_absolute_error": float(np.mean(found)),
                    "unit": scale.signal.unit,
                }
                for (scheme, hides), found in errors.items()
            ]
    table = pd.DataFrame(rows)
    return table, _describe(table)


def _measure_errors(
    values: np.ndarray,
    scale: ReadingScale,
    epsilon: float,
    window_hours: int,
    delta: float,
    n_repeats: int,
    noise: NoiseSource,
) -> dict[tuple[str, str], list[float]]:
    """Errors of each scheme, by its name and by what it hides."""
    signal, bounds = scale.signal.name, (scale.lower, scale.upper)
    truth = scale.to_values(scale.to_positions(values).mean(axis=0))
    errors: dict[tuple[str, str], list[float]] = {(CONSTANT, "nobody"): [_find_error(truth.mean(), truth)]}
    for _ in range(n_repeats):
        for release in _draw_streams(values, signal, epsilon, window_hours, bounds, noise):
            errors.setdefault((release.scheme, "window"), []).append(_find_error(release.estimates, truth))
        shape = release_day_shape(values, signal, epsilon=epsilon, delta=delta, ledger=NobodyPays(), bounds=bounds)
        errors.setdefault(("shape of the day", "person"), []).append(_find_error(shape.estimates, truth))
    return errors


def _draw_streams(
    values: np.ndarray,
    signal: str,
    epsilon: float,
    window_hours: int,
    bounds: tuple[float, float] | None,
    noise: NoiseSource,
) -> Iterator[StreamRelease]:
    """Each scheme's stream, with the filters on those that publish every hour."""
    for scheme in get_args(Scheme):
        release = release_trusted_stream(
            values, signal, epsilon=epsilon, window_hours=window_hours, scheme=scheme, bounds=bounds, noise=noise
        )
        yield release
        if scheme == "uniform":
            yield release.smooth("random_walk")
            yield release.smooth("harmonic")
    for division in get_args(Division):
        release = release_local_stream(
            values, signal, epsilon=epsilon, window_hours=window_hours, division=division, bounds=bounds, noise=noise
        )
        yield release
        yield release.smooth("harmonic")


def _find_error(estimates: np.ndarray | float, truth: np.ndarray) -> float:
    """Mean absolute error over the hours that were published."""
    return float(np.nanmean(np.abs(estimates - truth)))


def _describe(table: pd.DataFrame) -> Finding:
    """What the harmonic filter is worth, and whether the adaptive schemes helped."""
    wide = table.pivot_table(index=["n_people", "epsilon"], columns="scheme", values="mean_absolute_error")
    gains = wide["uniform"] / wide["uniform, harmonic Kalman"]
    adaptive = wide[["budget distribution", "budget absorption"]].min(axis=1) < wide["uniform, harmonic Kalman"]
    useless = wide["uniform, harmonic Kalman"] >= wide[CONSTANT]
    return Finding(
        name="harmonic_filter_gain",
        value=float(gains.median()),
        interval=(float(gains.min()), float(gains.max())),
        interval_kind="smallest and largest over numbers of people and epsilons",
        control=1.0,
        sentence=(
            "A filter that knows what a day looks like divides the error of the uniform stream by "
            f"{gains.median():.1f} ({gains.min():.1f} to {gains.max():.1f}) at no cost; adaptive spending beats it in "
            f"{int(adaptive.sum())} of {len(wide)} cases, and in {int(useless.sum())} it is no better than a constant."
        ),
        table=tuple({str(key): value for key, value in row.items()} for row in table.to_dict("records")),
    )
