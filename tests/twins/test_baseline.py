import numpy as np

from twinlab.twins.baseline import (
    forecast_persistence,
    forecast_personal_hour_of_day,
    forecast_same_hour_yesterday,
)

_HOURS = np.arange(96, dtype=float).reshape(1, 96, 1)
_OF_DAY = np.arange(200) % 24


def test_persistence_says_the_last_reading():
    assert forecast_persistence(_HOURS, 3)[0, 50, 0] == 47
    assert np.isnan(forecast_persistence(_HOURS, 3)[0, 2, 0])


def test_yesterday_is_the_newest_day_that_is_known():
    assert forecast_same_hour_yesterday(_HOURS, 1)[0, 50, 0] == 26
    assert forecast_same_hour_yesterday(_HOURS, 24)[0, 50, 0] == 26
    assert forecast_same_hour_yesterday(_HOURS, 25)[0, 50, 0] == 2


def test_the_hour_of_day_mean_uses_only_days_before():
    assert forecast_personal_hour_of_day(_HOURS, _OF_DAY, 1)[0, 72, 0] == np.mean([0, 24, 48])
    assert forecast_personal_hour_of_day(_HOURS, _OF_DAY, 1)[0, 20, 0] == 19


def test_missing_readings_fall_back_to_persistence():
    gappy = _HOURS.copy()
    gappy[0, 26] = np.nan
    assert forecast_same_hour_yesterday(gappy, 1)[0, 50, 0] == 49
