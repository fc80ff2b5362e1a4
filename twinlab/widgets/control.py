"""Controls from plain specifications: what can be chosen, within which limits, and in one sentence why."""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets

from twinlab.errors import SpecificationError

_LABEL_WIDTH = "104px"
_WIDTH = "340px"
_WIDE = "696px"


@dataclass(frozen=True)
class Slide:
    """A number within limits.

    Attributes:
      name: what the panel calls its value.
      label: what stands before it, and what a screen reader speaks.
      low, high: its limits; both can be chosen.
      value: where it starts.
      step: the distance of two positions; on a logarithmic slider in decades.
      unit: its unit.
      hint: one sentence.
      is_log: whether the slider moves in factors instead of differences.
      is_wide: whether it takes the whole width of the panel.
    """

    name: str
    label: str
    low: float
    high: float
    value: float
    step: float = 1
    unit: str = ""
    hint: str = ""
    is_log: bool = False
    is_wide: bool = False

    def check(self, value: Any) -> Any:
        """The value, if the limits allow it; a widget would silently move it."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or not self.low <= value <= self.high or (self._is_whole() and value != int(value)):
            kind = "a whole number" if self._is_whole() else "a number"
            unit = f" {self.unit}" if self.unit else ""
            raise SpecificationError(
                f"{self.name}: expected {kind} from {self.low:g} to {self.high:g}{unit}, got {value!r}"
            )
        return int(value) if self._is_whole() else float(value)

    def _is_whole(self) -> bool:
        return not self.is_log and all(float(number).is_integer() for number in (self.low, self.high, self.step))

    def make(self) -> ipywidgets.Widget:
        """The slider."""
        label = f"{self.label} ({self.unit})" if self.unit else self.label
        common = {"value": self.check(self.value), "description": label, "tooltip": self.hint}
        common |= _looks(self.is_wide)
        if self.is_log:
            low, high = math.log10(self.low), math.log10(self.high)
            return ipywidgets.FloatLogSlider(base=10, min=low, max=high, step=self.step, readout_format=".3g", **common)
        if self._is_whole():
            return ipywidgets.IntSlider(min=int(self.low), max=int(self.high), step=int(self.step), **common)
        return ipywidgets.FloatSlider(min=self.low, max=self.high, step=self.step, readout_format=".4g", **common)


@dataclass(frozen=True)
class Pick:
    """One of a few, from a list that opens; or, with `slides`, one of many in an order, from a slider.

    Attributes:
      options: pairs of the words shown and the value meant.
      slides: whether it is a slider.
      is_wide: whether it takes the whole width of the panel, for fine steps.
    """

    name: str
    label: str
    options: Sequence[tuple[str, Hashable]]
    value: Hashable
    hint: str = ""
    slides: bool = False
    is_wide: bool = False

    def check(self, value: Any) -> Any:
        """The value, if it is one of the options."""
        known = [option for _, option in self.options]
        if value not in known:
            shown = ", ".join(str(option) for option in known[:8]) + (", ..." if len(known) > 8 else "")
            raise SpecificationError(f"{self.name}: expected one of {shown}; got {value!r}")
        return value

    def make(self) -> ipywidgets.Widget:
        """The list or the slider."""
        if not self.options:
            raise SpecificationError(f"{self.name}: expected at least one option to choose from, got none")
        kind = ipywidgets.SelectionSlider if self.slides else ipywidgets.Dropdown
        made = kind(
            options=list(self.options),
            value=self.check(self.value),
            description=self.label,
            tooltip=self.hint,
            **_looks(self.is_wide),
        )
        if self.slides:
            made.add_class("twinlab-words")
        return made


@dataclass(frozen=True)
class Tick:
    """Yes or no."""

    name: str
    label: str
    value: bool
    hint: str = ""

    def check(self, value: Any) -> bool:
        """The value, if it is yes or no."""
        if not isinstance(value, bool):
            raise SpecificationError(f"{self.name}: expected True or False, got {value!r}")
        return value

    def make(self) -> ipywidgets.Widget:
        """The box to tick."""
        return ipywidgets.Checkbox(
            value=self.check(self.value),
            description=self.label,
            tooltip=self.hint,
            indent=False,
            layout={"width": _WIDTH},
        )


@dataclass(frozen=True)
class Write:
    """A text or a number with too many values for a slider. `read` turns the text into the value and may refuse it."""

    name: str
    label: str
    value: Any
    hint: str = ""
    read: Callable[[str], Any] = str

    def check(self, value: Any) -> Any:
        """The value as it is; who uses it refuses it."""
        return value

    def make(self) -> ipywidgets.Widget:
        """The line to write in; it counts when Enter is pressed or the line is left."""
        return ipywidgets.Text(
            value=str(self.value), description=self.label, tooltip=self.hint, continuous_update=False, **_looks()
        )


Control = Slide | Pick | Tick | Write


def _looks(is_wide: bool = False) -> dict[str, Any]:
    width = _WIDE if is_wide else _WIDTH
    return {"style": {"description_width": _LABEL_WIDTH}, "layout": ipywidgets.Layout(width=width, max_width="98%")}
