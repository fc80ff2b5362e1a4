"""Synthetic frames in the shapes that the charts take."""

import numpy as np
import pandas as pd

from twinlab.finding import Finding

NOW = pd.Timestamp("2026-04-15 08:00")


def make_history(n_hours=72, signals=("heart_rate_bpm",), gap=True):
    times = pd.date_range(end=NOW, periods=n_hours, freq="h")
    awake = np.clip(np.sin((times.hour.to_numpy() - 6) / 24 * 2 * np.pi) + 0.3, 0, None)
    wiggle = np.sin(np.arange(n_hours) * 12.9898)
    shapes = {
        "heart_rate_bpm": 62 + 14 * awake + 3 * wiggle,
        "steps": np.clip(900 * awake * (1 + wiggle), 0, None),
        "sleep_min": np.where(times.hour < 7, 50 + 8 * wiggle, 0),
        "calories_kcal": 70 + 60 * awake + 6 * wiggle,
    }
    parts = []
    for signal in signals:
        values = shapes[signal].astype(float)
        if gap:
            values[n_hours // 4 : n_hours // 4 + 5] = np.nan
        parts.append(pd.DataFrame({"time": times, "signal": signal, "value": values}))
    return pd.concat(parts, ignore_index=True)


def make_forecast(n_hours=24, signals=("heart_rate_bpm",)):
    steps = np.arange(1, n_hours + 1)
    times = NOW + pd.to_timedelta(steps, unit="h")
    mean = 62 + 14 * np.clip(np.sin((times.hour.to_numpy() - 6) / 24 * 2 * np.pi) + 0.3, 0, None)
    spread = 3 + 2 * np.sqrt(steps)
    columns = {"time": times, "horizon_hours": steps, "mean": mean, "lower": mean - spread, "upper": mean + spread}
    columns["actual"] = mean + 4 * np.sin(steps * 7.3)
    return pd.concat([pd.DataFrame(columns).assign(signal=signal) for signal in signals], ignore_index=True)


def make_what_if(n_hours=12, signals=("heart_rate_bpm",)):
    forecast = make_forecast(n_hours, signals)
    steps = forecast["horizon_hours"]
    effect = 25 * np.exp(-((steps - 2.0) ** 2) / 2) - 1.5 * np.exp(-((steps - 8.0) ** 2) / 8)
    return pd.DataFrame(
        {
            "time": forecast["time"], "horizon_hours": steps, "signal": forecast["signal"],
            "without": forecast["mean"], "with_action": forecast["mean"] + effect, "effect": effect,
            "effect_lower": effect - 3, "effect_upper": effect + 3,
        }
    )  # fmt: skip


def make_errors():
    days = np.arange(1, 22)
    models = {"pooled": (6.2, 0.1), "twin": (4.1, 3.0), "same hour yesterday": (6.3, 0), "persistence": (7.4, 0)}
    parts = [
        pd.DataFrame(
            {
                "day": days, "signal": "heart_rate_bpm", "model": model,
                "error": level + extra * np.exp(-days / 4) + 0.1 * np.sin(days * 5.1 + level),
            }
        )
        for model, (level, extra) in models.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def make_findings():
    kind = "90 % bootstrap over people"
    return [
        Finding("steps_rmse", 561, "The error on steps is 561 steps/h (533 to 590); the pooled model's is 602.",
                "steps/h", (533, 590), kind, 602, "pooled model", 640),
        Finding("worst_person_coverage", 0.87, "The worst person's coverage is 0.87 (0.85 to 0.90).",
                "", (0.85, 0.9), kind, 0.9, "promised"),
        Finding("share_made_worse", 0.04, "The twin makes 0.04 of the people worse."),
    ]  # fmt: skip


def draw_gallery():
    """Every chart of the package, by the name of its picture."""
    import twinlab as tl

    several = ("steps", "heart_rate_bpm", "sleep_min", "calories_kcal")
    outlook = tl.charts.make_outlook(
        make_history(48), make_forecast(), make_what_if(), who="person 12", action="walking 30 min now"
    )
    return {
        "outlook": tl.charts.draw_outlook(outlook),
        "days": tl.charts.draw_days(make_history(7 * 24, several), "Seven days of person 12"),
        "rhythm": tl.charts.draw_rhythm(make_history(14 * 24), "heart_rate_bpm"),
        "forecast": tl.charts.draw_forecast(make_history(), make_forecast()),
        "forecast_two": tl.charts.draw_forecast(make_history(48, several[:2]), make_forecast(12, several[:2])),
        "what_if": tl.charts.draw_what_if(make_what_if(), "walking 30 min"),
        "personalization": tl.charts.draw_personalization(make_errors()),
        "findings": tl.charts.draw_findings(make_findings()),
        "empty": tl.charts.draw_days(make_history().iloc[:0]),
    }
