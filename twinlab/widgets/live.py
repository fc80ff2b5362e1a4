"""The door to anywidget: a chart that moves with a slider, and the names that a screen reader speaks."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import altair as alt
import anywidget
import pandas as pd
import traitlets

from twinlab.charts.picture import load_vega_module
from twinlab.charts.rows import make_rows
from twinlab.charts.theme import read_description, use_offline_charts


def _read_static(name: str) -> str:
    return files("twinlab.widgets").joinpath("static", name).read_text(encoding="utf-8")


class _Scripted(anywidget.AnyWidget):
    """An anywidget whose script is a file of the package, read when the first one is made, not on import."""

    _script = ""
    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)

    @traitlets.default("_esm")
    def _load_script(self) -> str:
        return _read_static(self._script)

    @traitlets.default("_css")
    def _load_style(self) -> str:
        return _read_static("panel.css")


class LiveChart(_Scripted):
    """A chart whose data and values change in place, which takes a third of the time of drawing it anew.

    The chart names its data (`datasets` of the specification, as every `draw_...` of twinlab does) and its values
    (`params`). `update` sends new rows and new values to those names.

    Attributes:
      alt_text: one sentence with the numbers, spoken by a screen reader in place of the picture.
    """

    _script = "live.js"
    spec = traitlets.Dict().tag(sync=True)
    data = traitlets.Dict().tag(sync=True)
    signals = traitlets.Dict().tag(sync=True)
    alt_text = traitlets.Unicode("").tag(sync=True)
    file_name = traitlets.Unicode("twinlab-chart").tag(sync=True)
    revision = traitlets.Int(0).tag(sync=True)

    def __init__(self, chart: alt.TopLevelMixin, file_name: str = "twinlab-chart") -> None:
        """Show a chart.

        Args:
          chart: any Altair chart; what it calls its named data and params can be changed later.
          file_name: what a picture is called that the reader saves.
        """
        use_offline_charts()
        spec = chart.to_dict()
        super().__init__(spec=spec, alt_text=read_description(spec), file_name=file_name)
        self.on_msg(self._answer)

    def draw(self, chart: alt.TopLevelMixin) -> None:
        """Replace the whole chart; for a new shape, not for new numbers."""
        spec = chart.to_dict()
        with self.hold_sync():
            self.data, self.signals = {}, {}
            self.alt_text = read_description(spec)
            self.spec = spec

    def update(
        self,
        data: Mapping[str, pd.DataFrame] | None = None,
        signals: Mapping[str, Any] | None = None,
        alt_text: str | None = None,
    ) -> None:
        """Change rows and values of the chart in place, in one message.

        Args:
          data: new rows by name of the data; names that are left out stay as they are.
          signals: new values by name of the param.
          alt_text: the sentence that goes with the new numbers.
        """
        with self.hold_sync():
            if data:
                self.data = {**self.data, **{name: make_rows(frame) for name, frame in data.items()}}
            if signals:
                self.signals = {**self.signals, **signals}
            if alt_text is not None:
                self.alt_text = alt_text
            self.revision += 1

    def _answer(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        """Hand Vega to a page that asks for it."""
        if content.get("kind") == "vega?":
            self.send({"kind": "vega"}, [load_vega_module()])


class SpokenNames(_Scripted):
    """Invisible; gives the sliders and progress bars of the panel around it names and spoken values."""

    _script = "spoken.js"
