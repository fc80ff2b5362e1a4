"""Several charts as one that stands still, below each other: for exported pages, where no panel lives."""

import re
from collections.abc import Mapping
from typing import Any

import altair as alt

from twinlab.charts.theme import use_offline_charts

_TOP_LEVEL = ("$schema", "config", "datasets", "params", "description", "usermeta", "background", "padding", "autosize")


def stack_charts(charts: Mapping[str, alt.TopLevelMixin], sentence: str, spacing: int = 28) -> alt.VConcatChart:
    """Charts below each other. What two of them call by one name, data or values, gets two names.

    Args:
      charts: by a word that tells them apart, top first.
      sentence: what all of them show, with the numbers.
      spacing: pixels between them.
    """
    use_offline_charts()
    datasets: dict[str, Any] = {}
    params: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for word, chart in charts.items():
        spec = chart.to_dict(validate=False)  # checking takes seconds; the charts of twinlab are checked by its tests
        names = [param["name"] for param in spec.get("params", []) if "name" in param]
        own = _rename(spec, word, set(spec.get("datasets", {})), names)
        datasets |= own.get("datasets", {})
        params += own.get("params", [])
        parts.append({key: value for key, value in own.items() if key not in _TOP_LEVEL})
    whole = {"vconcat": parts, "datasets": datasets, "params": params, "spacing": spacing, "description": sentence}
    stacked: alt.VConcatChart = alt.VConcatChart.from_dict(whole, validate=False)
    return stacked


def _rename(spec: dict[str, Any], word: str, datasets: set[str], params: list[str]) -> dict[str, Any]:
    """A specification whose data and values carry a word in front of their names."""
    # a param stands in an expression as a word of its own: no field of a row, and not in quotes
    found = re.compile(rf"""(?<![\w.'"])({"|".join(map(re.escape, params)) or "(?!)"})(?![\w'"])""")

    def walk(node: Any, key: str = "") -> Any:
        if isinstance(node, list):
            return [walk(each, key) for each in node]
        if not isinstance(node, dict):
            return found.sub(rf"{word}_\1", node) if key == "expr" and isinstance(node, str) else node
        if key == "datasets":
            return {f"{word}_{name}": rows for name, rows in node.items()}
        made = {name: walk(value, name) for name, value in node.items()}
        if (key == "data" and made.get("name") in datasets) or (key == "params" and made.get("name") in params):
            made["name"] = f"{word}_{made['name']}"
        return made

    renamed: dict[str, Any] = walk(spec)
    return renamed
