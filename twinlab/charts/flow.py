"""The way of the data in one figure: four places where protection can act, the trust boundary, and the record."""

import altair as alt
import pandas as pd

from twinlab.charts.theme import describe, use_offline_charts

_PLACES = (
    # name, what happens, left, bottom
    ("1  sense", "readings leave\nthe sensor", 16.0, 54.0),
    ("2  learn", "many people meet\nin one model", 42.0, 54.0),
    ("3  ask", "a question,\nan answer", 68.0, 71.0),
    ("4  share", "a table,\na statistic", 68.0, 37.0),
)
_ENDS = (("a person,\ntheir watch", 0.5, 54.0), ("the person,\na clinic", 91.0, 71.0), ("the world", 91.0, 37.0))
_ARROWS = ((9.5, 66, 15.5, 66), (32.5, 66, 41.5, 66), (58.5, 70, 67.5, 80), (58.5, 62, 67.5, 50),
           (84.5, 83, 90.5, 83), (84.5, 49, 90.5, 49))  # fmt: skip
_WIDTH, _HEIGHT = 16.0, 24.0
_SENTENCE = (
    "Flow from a person's device through four places, sense, learn, ask and share, to the person, a clinic or the "
    "world. Protection can act at each of the four; whatever crosses a trust boundary is recorded in a transcript, "
    "from which cost, guarantee and attacks are read."
)


def draw_flow(width: int = 720) -> alt.TopLevelMixin:
    """Draw the map of the lab.

    Args:
      width: of the figure, in pixels.
    """
    use_offline_charts()
    x = alt.X("x:Q", scale=alt.Scale(domain=[0, 101], nice=False), axis=None)
    y = alt.Y("y:Q", scale=alt.Scale(domain=[0, 100], nice=False), axis=None)
    boxes = pd.DataFrame(
        [{"name": name, "what": what, "x": left, "y": low, "x2": left + _WIDTH, "y2": low + _HEIGHT,
          "middle": left + _WIDTH / 2, "top": low + _HEIGHT - 5, "body": low + _HEIGHT - 12}
         for name, what, left, low in _PLACES]
    )  # fmt: skip
    ends = pd.DataFrame(
        [{"what": what, "x": left + 4.5, "y": low + _HEIGHT / 2 + 2.5 * what.count("\n")} for what, left, low in _ENDS]
    )
    arrows = pd.DataFrame([dict(zip(("x", "y", "x2", "y2"), arrow, strict=True)) for arrow in _ARROWS])
    record = pd.DataFrame([{"x": 16.0, "y": 6.0, "x2": 84.0, "y2": 22.0}])
    drops = pd.DataFrame(
        [{"x": left + _WIDTH / 2, "y": low - 1, "y2": 22.5} for _, _, left, low in _PLACES if low != 71.0]
    )
    home = pd.DataFrame([{"x": -0.5, "y": 50.0, "x2": 33.5, "y2": 96.0}])
    layers = [
        alt.Chart(home)
        .mark_rect(fill="#f2f7fb", stroke="#0072B2", strokeDash=[6, 4])
        .encode(x=x, y=y, x2="x2", y2="y2"),
        _write(
            pd.DataFrame([{"x": 16.5, "y": 91.0, "what": "the person's own devices"}]), "what", x, y, color="#0072B2"
        ),
        alt.Chart(drops).mark_rule(color="#777777", strokeDash=[2, 3]).encode(x=x, y=y, y2="y2"),
        alt.Chart(arrows).mark_rule(color="#444444", strokeWidth=2).encode(x=x, y=y, x2="x2", y2="y2"),
        alt.Chart(arrows)
        .mark_point(shape="triangle-right", filled=True, size=70, color="#444444", opacity=1)
        .encode(x=alt.X("x2:Q", axis=None), y=alt.Y("y2:Q", axis=None)),
        alt.Chart(boxes).mark_rect(fill="white", stroke="#222222", cornerRadius=6).encode(x=x, y=y, x2="x2", y2="y2"),
        _write(boxes, "name", alt.X("middle:Q", axis=None), alt.Y("top:Q", axis=None), is_bold=True, size=14),
        _write(boxes, "what", alt.X("middle:Q", axis=None), alt.Y("body:Q", axis=None)),
        _write(ends, "what", x, y),
        alt.Chart(record)
        .mark_rect(fill="#fdf3e1", stroke="#E69F00", cornerRadius=6)
        .encode(x=x, y=y, x2="x2", y2="y2"),
        _write(pd.DataFrame([{"x": 50.0, "y": 17.5, "what": "transcript: who saw what"}]), "what", x, y, is_bold=True),
        _write(
            pd.DataFrame([{"x": 50.0, "y": 10.0, "what": "cost, guarantee and attacks are read from it"}]), "what", x, y
        ),
    ]
    return describe(alt.layer(*layers).properties(width=width, height=round(width * 0.36)), _SENTENCE)


def _write(
    table: pd.DataFrame, column: str, x: alt.X, y: alt.Y, color: str = "#222222", is_bold: bool = False, size: int = 12
) -> alt.Chart:
    """Centred words, line by line."""
    mark = alt.Chart(table).mark_text(
        color=color,
        fontWeight="bold" if is_bold else "normal",
        fontSize=size,
        align="center",
        baseline="middle",
        lineBreak="\n",
    )
    return mark.encode(x=x, y=y, text=f"{column}:N")
