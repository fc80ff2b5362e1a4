"""Synthetic frames in the shapes that the charts take."""

import math
from functools import cache

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


EPSILONS = np.array([0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8])


def make_curve():
    """A frontier that goes from harm over no clear gain to gain."""
    mean = 3.95 + 0.55 * np.exp(-1.1 * EPSILONS) + 1.1 * np.exp(-3 * EPSILONS)
    spread = 0.12 + 0.35 * np.exp(-2 * EPSILONS)
    verdict = np.where(mean + spread < 4.5, "train", np.where(mean < 4.5, "no clear gain", "do not train"))
    columns = {"epsilon": EPSILONS, "mean": mean, "lowest": mean - spread, "highest": mean + spread}
    return pd.DataFrame({**columns, "verdict": verdict})


CURVE = {"signal": "heart_rate_bpm", "unit": "bpm", "zero_budget": 4.5, "who": "300 simulated people"}


def make_posterior(epsilon=1.0):
    prior = np.linspace(0, 1, 101)
    rise = math.exp(epsilon)
    return pd.DataFrame(
        {
            "prior": prior,
            "largest_posterior": prior * rise / (1 - prior + prior * rise),
            "smallest_posterior": prior / (prior + (1 - prior) * rise),
        }
    )


def make_deployed():
    rows = [("Apple", "emoji", 4.0, "a day"), ("Google", "mobility reports", 2.64, "a day"),
            ("US Census 2020", "persons", 17.14, "a census"), ("US Census 2020", "housing units", 2.47, "a census"),
            ("Wikimedia", "page views", 1.0, "a day")]  # fmt: skip
    return pd.DataFrame(rows, columns=["who", "what", "epsilon", "period"])


def make_gauge(purposes=True):
    shares = [("research", 3.0, 1.9), ("teaching", 8.0, 0.41)] if purposes else []
    return {
        "epsilon": 8.0, "spent": 2.31, "remaining": 5.69, "delta": 1e-6, "privacy_unit": "person",
        "neighboring_relation": "add or remove one", "n_events": 4,
        "purposes": [{"purpose": name, "quota": quota, "spent": spent} for name, quota, spent in shares],
    }  # fmt: skip


BADGE = {
    "claimed": 3.96, "lower_bound": 2.24, "ceiling": 6.1, "implied": 3.7, "verdict": "consistent", "confidence": 0.95,
    "sentence": "Consistent: 14 checks of step, sampling, books and a whole run found no fault. Claimed: epsilon 3.96 "
    "at delta 1e-06. Measured from one run: at least 2.2 (95% confidence); this audit could not have shown more than "
    "6.1. Composed over all steps, what one step leaked comes to 3.7. An audit finds faults; it proves no privacy.",
}  # fmt: skip


def make_mechanisms():
    noises = {"laplace": (792, 396, 198, 99, 49.5, 24.7), "duchi": (563, 286, 152, 91.9, 72.6, 70.0),
              "piecewise": (646, 323, 160, 77.5, 34.4, 11.1), "hybrid": (563, 286, 145, 71.5, 32.7, 11.0)}  # fmt: skip
    rows = [
        {"mechanism": name, "epsilon": epsilon, "worst_standard_deviation": float(noise), "unit": "bpm"}
        for name, each in noises.items()
        for epsilon, noise in zip((0.25, 0.5, 1.0, 2.0, 4.0, 8.0), each, strict=True)
    ]
    return pd.DataFrame(rows)


def make_people():
    people, wiggle = np.array([10, 100, 1000, 10_000]), np.array([1.04, 0.97, 0.9, 1.02])
    columns = {"mechanism": "hybrid", "epsilon": 1.0, "n_people": people, "unit": "bpm"}
    promised = 284 / np.sqrt(people)
    return pd.DataFrame({**columns, "promised_half_width": promised, "measured_half_width": promised * wiggle})


def make_stream_errors():
    schemes = {"constant mean, no noise": (7.6, 7.6), "uniform": (17.5, 2.1), "uniform, harmonic Kalman": (2.9, 0.74),
               "sample": (10.8, 10.7), "budget distribution": (20.9, 3.6), "budget absorption": (13.1, 3.3),
               "population division, hybrid, harmonic Kalman": (3.8, 1.0), "budget division, hybrid": (189, 23.2),
               "shape of the day": (3.2, 0.74)}  # fmt: skip
    hides = {"constant mean, no noise": "nobody", "shape of the day": "person"}
    rows = [
        {"scheme": scheme, "hides": hides.get(scheme, "window"), "n_people": 200, "epsilon": epsilon,
         "window_hours": 24, "mean_absolute_error": error, "unit": "bpm"}
        for scheme, errors in schemes.items()
        for epsilon, error in zip((1.0, 8.0), errors, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def make_hours():
    hours = np.arange(7 * 24)
    truth = 72 + 12 * np.sin((hours - 8) / 24 * 2 * np.pi)
    noise = 16 * np.sin(hours * 12.9898) * np.sin(hours * 78.233)
    series = {"truth": truth, "published": truth + noise, "after the filter": truth + 3 * np.sin(hours / 9)}
    return pd.concat([pd.DataFrame({"hour": hours, "series": name, "value": each}) for name, each in series.items()])


def draw_privacy():
    """The charts about privacy, by the name of their picture."""
    from twinlab import charts

    frontier = charts.make_frontier(
        make_curve(), 1.0, non_private=3.7, point={"epsilon": 1.0, "mean": 4.2}, limits=(3.6, 5.7), **CURVE
    )
    people = charts.make_people_needed(make_people(), 20_184, 2.0, epsilon=1.0, who="heart rate")
    return {
        "frontier": charts.draw_frontier(frontier),
        "frontier_tracing": charts.draw_frontier(charts.make_frontier(make_curve().iloc[:0], 5.0, **CURVE)),
        "meaning": charts.draw_meaning(charts.make_meaning(make_posterior(), 1.0, 1e-6, make_deployed(), "person")),
        "budget": charts.draw_budget(charts.make_budget(make_gauge(), 1.2)),
        "budget_exceeded": charts.draw_budget(charts.make_budget(make_gauge(), 6.2)),
        "budget_unprotected": charts.draw_budget(charts.make_budget(make_gauge(purposes=False), math.inf)),
        "badge": charts.draw_badge(**BADGE),
        "badge_broken": charts.draw_badge(**{**BADGE, "verdict": "broken", "lower_bound": 5.2, "implied": None}),
        "badge_out_of_reach": charts.draw_badge(
            **{**BADGE, "verdict": "could not have seen it", "ceiling": math.inf, "claimed": 20.0}
        ),
        "mechanisms": charts.draw_mechanisms(make_mechanisms(), signal="heart_rate_bpm"),
        "people_needed": charts.draw_people_needed(people),
        "stream_errors": charts.draw_stream_errors(make_stream_errors()),
        "stream": charts.draw_stream(make_hours()),
    }


@cache
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
        **draw_privacy(),
        "empty": tl.charts.draw_days(make_history().iloc[:0]),
    }
