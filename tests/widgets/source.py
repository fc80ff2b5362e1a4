"""A synthetic source of twins for the panel: sines instead of people, so that every number is known."""

import math
import time

import numpy as np
import pandas as pd

from twinlab.errors import TwinlabError

SIGNALS = ("heart_rate_bpm", "steps")
_LEVELS = {"heart_rate_bpm": (68.0, 12.0), "steps": (420.0, 400.0)}


class SyntheticPerson:
    """A twin that knows the sine behind the readings."""

    def __init__(self, times, phase):
        self.times, self.phase = times, phase

    def _expect(self, hours, signal):
        level, swing = _LEVELS[signal]
        clock = np.asarray(hours) % 24
        return level + swing * np.sin((clock - 8 + self.phase) / 24 * 2 * math.pi)

    def _measure(self, hours, signal):
        wiggle = np.sin(np.asarray(hours) * 12.9898 + self.phase) * _LEVELS[signal][1] * 0.18
        return np.maximum(self._expect(hours, signal) + wiggle, 0)

    def _time(self, hours):
        return self.times[0] + pd.to_timedelta(np.asarray(hours), unit="h")

    def history(self, hour, n_hours=72):
        hours = np.arange(max(0, hour - n_hours + 1), hour + 1)
        parts = []
        for signal in SIGNALS:
            values = self._measure(hours, signal).astype(float)
            values[(hours % 60) // 4 == 9] = np.nan  # four hours on the charger, now and then
            parts.append(pd.DataFrame({"time": self._time(hours), "signal": signal, "value": values}))
        return pd.concat(parts, ignore_index=True)

    def forecast(self, hour, horizons):
        steps = np.asarray(list(horizons))
        hours = hour + steps
        parts = []
        for signal in SIGNALS:
            mean, spread = self._expect(hours, signal), _LEVELS[signal][1] * 0.35 * np.sqrt(1 + steps / 6)
            actual = np.where(hours < len(self.times), self._measure(hours, signal), np.nan)
            parts.append(
                pd.DataFrame(
                    {
                        "time": self._time(hours), "horizon_hours": steps, "signal": signal, "mean": mean,
                        "lower": mean - spread, "upper": mean + spread, "actual": actual,
                    }
                )
            )  # fmt: skip
        return pd.concat(parts, ignore_index=True)

    def what_if(self, hour, minutes, start_in_hours, n_hours):
        if minutes == 115:
            raise TwinlabError("this twin has never seen a walk of 115 min; choose a shorter one")
        if minutes == 120:
            raise KeyError("secret value 61.7")
        steps = np.arange(1, n_hours + 1)
        parts = []
        for signal in SIGNALS:
            without = self._expect(hour + steps, signal)
            since = steps - start_in_hours - 1
            gain = _LEVELS[signal][1] * minutes / 20
            effect = np.where(since >= 0, gain * np.exp(-(since**2) / 2.0) - 0.03 * gain * (since > 2), 0.0)
            spread = np.abs(effect) * 0.2 + _LEVELS[signal][1] * 0.05 * (since >= 0)
            parts.append(
                pd.DataFrame(
                    {
                        "time": self._time(hour + steps), "horizon_hours": steps, "signal": signal,
                        "without": without, "with_action": without + effect, "effect": effect,
                        "effect_lower": effect - spread, "effect_upper": effect + spread,
                    }
                )
            )  # fmt: skip
        return pd.concat(parts, ignore_index=True)


class SyntheticSource:
    """Three people for three weeks."""

    person_ids = ("ada", "bea", "cem")
    signals = SIGNALS
    n_hours = 24 * 21
    times = pd.date_range("2026-04-06", periods=24 * 21, freq="h")

    def __init__(self, seconds_to_open=0.0):
        self.seconds_to_open = seconds_to_open

    def open_person(self, person_id, progress):
        for step in range(5):
            progress(f"Reading the days of {person_id}", step, 5)
            time.sleep(self.seconds_to_open / 5)
        progress("", 5, 5)
        return SyntheticPerson(self.times, self.person_ids.index(person_id) * 1.5)
