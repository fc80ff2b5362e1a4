"""Differential privacy: noise on readings, on training and on answers, and what it costs in all."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.protection.differential_privacy.accounting import (
        bound_person_epsilon,
        calibrate_noise_multiplier,
        compute_delta,
        compute_epsilon,
    )
    from twinlab.protection.differential_privacy.aggregate import (
        count_people_needed,
        measure_mean_error,
        predict_mean_error,
    )
    from twinlab.protection.differential_privacy.answer import (
        answer_count,
        answer_histogram,
        answer_mean,
        answer_quantile,
    )
    from twinlab.protection.differential_privacy.dashboard import Dashboard
    from twinlab.protection.differential_privacy.guarantee import NobodyPays
    from twinlab.protection.differential_privacy.local import (
        compare_mechanisms,
        make_reading_sampler,
        predict_noise,
        protect_readings,
    )
    from twinlab.protection.differential_privacy.person_stream import release_day_shape
    from twinlab.protection.differential_privacy.postprocessing import filter_series
    from twinlab.protection.differential_privacy.randomness import open_noise
    from twinlab.protection.differential_privacy.renyi import compute_selection_epsilon
    from twinlab.protection.differential_privacy.stream import find_largest_window_spend, release_local_stream
    from twinlab.protection.differential_privacy.stream_comparison import compare_streams
    from twinlab.protection.differential_privacy.trusted_stream import release_trusted_stream

_HOMES = {
    "Dashboard": "dashboard",
    "NobodyPays": "guarantee",
    "answer_count": "answer",
    "answer_histogram": "answer",
    "answer_mean": "answer",
    "answer_quantile": "answer",
    "bound_person_epsilon": "accounting",
    "calibrate_noise_multiplier": "accounting",
    "compare_mechanisms": "local",
    "compare_streams": "stream_comparison",
    "compute_delta": "accounting",
    "compute_epsilon": "accounting",
    "compute_selection_epsilon": "renyi",
    "count_people_needed": "aggregate",
    "filter_series": "postprocessing",
    "find_largest_window_spend": "stream",
    "make_reading_sampler": "local",
    "measure_mean_error": "aggregate",
    "open_noise": "randomness",
    "predict_mean_error": "aggregate",
    "predict_noise": "local",
    "protect_readings": "local",
    "release_day_shape": "person_stream",
    "release_local_stream": "stream",
    "release_trusted_stream": "trusted_stream",
}

__all__ = [
    "Dashboard",
    "NobodyPays",
    "answer_count",
    "answer_histogram",
    "answer_mean",
    "answer_quantile",
    "bound_person_epsilon",
    "calibrate_noise_multiplier",
    "compare_mechanisms",
    "compare_streams",
    "compute_delta",
    "compute_epsilon",
    "compute_selection_epsilon",
    "count_people_needed",
    "filter_series",
    "find_largest_window_spend",
    "make_reading_sampler",
    "measure_mean_error",
    "open_noise",
    "predict_mean_error",
    "predict_noise",
    "protect_readings",
    "release_day_shape",
    "release_local_stream",
    "release_trusted_stream",
]


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used; some load torch or OpenDP."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'twinlab.protection.differential_privacy' has no attribute {name!r}; it has: {', '.join(__all__)}"
        )
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
