"""How a forecast opens: the hours behind, the expected path with its interval, and what came."""

import altair as alt
import pandas as pd

from twinlab.charts.fan import FORECAST, MEASURED, WHAT_CAME, layer_paths
from twinlab.charts.outlook import FORECAST_COLUMNS, HISTORY_COLUMNS, make_outlook
from twinlab.charts.rows import check_columns, empty_chart, is_long, make_rows
from twinlab.charts.theme import describe, use_offline_charts


def draw_forecast(history: pd.DataFrame, forecast: pd.DataFrame, who: str = "the person") -> alt.TopLevelMixin:
    """Draw the forecast of one person as a fan; several signals stand below each other.

    Args:
      history: columns time, signal, value; the hours up to now. A gap is drawn as a gap.
      forecast: columns time, horizon_hours, signal, mean, lower, upper, actual, all from one origin; actual may be NaN.
      who: what the person is called.

    Raises:
      SpecificationError: if a frame lacks a column.
    """
    use_offline_charts()
    check_columns(history, HISTORY_COLUMNS, "history")
    check_columns(forecast, FORECAST_COLUMNS, "forecast")
    names = list(dict.fromkeys(forecast["signal"]))
    if not names:
        return empty_chart("There is no forecast to draw: no hour was forecast.", "Forecast")
    is_far = is_long(pd.concat([history["time"], forecast["time"]]))
    height = 250 if len(names) == 1 else 150
    data: dict[str, list[dict]] = {}
    fans, params, sentences = [], [], []
    for name in names:
        picture = make_outlook(history, forecast, signal=name, who=who)
        title = alt.Title(text=picture.signals["headline"], subtitle=picture.signals["numbers"])
        prefix = f"{name}_" if len(names) > 1 else ""
        fans.append(layer_paths(prefix, (MEASURED, FORECAST, WHAT_CAME), title, height, is_far))
        params += [alt.param(name=f"{prefix}{end}", value=picture.signals[end]) for end in ("low", "high")]
        data |= {f"{prefix}{part}": make_rows(picture.data[part]) for part in ("paths", "band", "now")}
        sentences.append(picture.sentence)
    chart = fans[0] if len(fans) == 1 else alt.vconcat(*fans, spacing=16).resolve_scale(x="shared")
    return describe(chart.add_params(*params).properties(datasets=data), " ".join(sentences))
