"""Controls for an experiment: one for every field, made from its limits, its unit and its sentence."""

import html
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, get_args, get_origin

import ipywidgets
from pydantic.fields import FieldInfo

from twinlab.choice import Choice, describe_limits
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.widgets.control import Control, Pick, Slide, Tick, Write
from twinlab.widgets.live import SpokenNames
from twinlab.widgets.panel import is_moved_by_hand

_MANY_DECADES = 2  # a span of more than this moves in factors
_TOO_MANY_DECADES = 6  # a span of more than this is written, not slid


def controls_for(
    experiment: Experiment, prefix: str = "", on_change: Callable[[Experiment], None] | None = None
) -> "ExperimentForm":
    """Controls for all fields of an experiment, or for those of one place.

    Args:
      experiment: where the controls start.
      prefix: a place such as "twin" or "learn.privacy"; empty for everything.
      on_change: called with the new experiment after every change that the experiment allows.

    Raises:
      SpecificationError: if there is no such place.
    """
    return ExperimentForm(experiment, prefix, on_change)


class ExperimentForm:
    """The controls of an experiment. A change yields a new experiment; one that it refuses becomes a sentence.

    Attributes:
      experiment: what is chosen now; always valid.
      box: the widget; a panel can put it among its own.
    """

    def __init__(self, experiment: Experiment, prefix: str, on_change: Callable[[Experiment], None] | None) -> None:
        """See `controls_for`."""
        self.experiment = experiment
        self._prefix = prefix.rstrip(".")
        self._on_change = on_change
        self._is_quiet = False
        self.widgets: dict[str, Any] = {}
        self._fault = ipywidgets.HTML()
        self._fault.add_class("twinlab-status-holder")
        self._fields = ipywidgets.VBox()
        self.box = ipywidgets.VBox([self._fields, self._fault, SpokenNames()])
        self.box.add_class("twinlab-panel")
        self._build()

    def _build(self) -> None:
        """Make the controls anew; a change of kind changes which there are."""
        controls = dict(_list_controls(_find(self.experiment, self._prefix), self._prefix))
        self.widgets = {name: control.make() for name, control in controls.items()}
        for name, widget in self.widgets.items():
            widget.observe(lambda change, name=name, control=controls[name]: self._hear(name, control, change), "value")
        self._fields.children = list(self.widgets.values())

    def _hear(self, name: str, control: Control, change: Any) -> None:
        """Ask the experiment whether it allows the change; if not, say why and go back."""
        if self._is_quiet:
            return
        try:
            value = control.read(change["new"]) if isinstance(control, Write) else change["new"]
            changed = self.experiment.with_({name: value})
        except SpecificationError as error:
            self._go_back(name, change["old"])
            if not is_moved_by_hand():
                raise
            self._fault.value = f'<span class="twinlab-status twinlab-fault">{html.escape(str(error))}</span>'
            return
        self._fault.value = ""
        self.experiment = changed
        if name.endswith("kind"):
            self._build()
        if self._on_change is not None:
            self._on_change(changed)

    def _go_back(self, name: str, value: Any) -> None:
        self._is_quiet = True
        try:
            self.widgets[name].value = value
        finally:
            self._is_quiet = False

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The controls, as ipywidgets shows them."""
        return self.box._repr_mimebundle_(**options)


def _find(experiment: Experiment, prefix: str) -> Choice:
    """The part of an experiment that a prefix names."""
    found: Any = experiment
    for name in filter(None, prefix.split(".")):
        found = getattr(found, name, None)
        if not isinstance(found, Choice):
            there = [name for name in type(experiment).model_fields if isinstance(getattr(experiment, name), Choice)]
            raise SpecificationError(f"expected a place such as {', '.join(there)}; there is no place {prefix!r}")
    return found


def _list_controls(choice: Choice, prefix: str) -> Iterator[tuple[str, Control]]:
    """Dotted field names and their controls, parts of parts included."""
    for field, info in type(choice).model_fields.items():
        name = f"{prefix}.{field}" if prefix else field
        value = getattr(choice, field)
        if isinstance(value, Choice):
            kinds = _list_kinds(info.annotation)
            if len(kinds) > 1:
                options = [(kind.replace("_", " "), kind) for kind in kinds]
                yield f"{name}.kind", Pick(f"{name}.kind", _label(name), options, value.kind, info.description or "")  # type: ignore[attr-defined]
            yield from _list_controls(value, name)
        elif field != "kind":
            yield name, make_control(name, info, value)


def make_control(name: str, info: FieldInfo, value: Any) -> Control:
    """The control that suits a field: its limits, options, unit and sentence are the field's own.

    Args:
      name: dotted name of the field.
      info: what pydantic knows about it.
      value: where the control starts.
    """
    label, hint = _label(name), info.description or ""
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    unit = str(extra.get("unit", ""))
    if isinstance(value, bool):
        return Tick(name, label, value, hint)
    if get_origin(info.annotation) is Literal:
        return Pick(name, label, [(str(option), option) for option in get_args(info.annotation)], value, hint)
    if isinstance(value, int | float) and type(None) not in get_args(info.annotation):
        return _make_number(name, label, info, value, unit, hint)
    if isinstance(value, str):
        return Write(name, label, value, hint)
    if type(None) in get_args(info.annotation) and {int, float} & set(get_args(info.annotation)):
        is_whole = int in get_args(info.annotation)
        return Write(name, label, "" if value is None else value, hint, partial(_read_open_number, name, is_whole))
    return Write(name, label, _write_list(value), hint, _read_list)


def _make_number(name: str, label: str, info: FieldInfo, value: float, unit: str, hint: str) -> Control:
    """A slider if the span is one that a hand can cover, a logarithmic one if it is wide, else a line to write in."""
    low, high = _find_limits(info)
    is_whole = isinstance(value, int)
    if low is None or high is None or math.log10(max(high, 1) / max(low, 1)) > _TOO_MANY_DECADES:
        hint = f"{hint} {describe_limits(info).capitalize()}.".strip()
        return Write(name, label, value, hint, partial(_read_number, name, is_whole))
    if is_whole:
        if math.log10(high / max(low, 1)) > _MANY_DECADES:
            return Pick(name, label, [(f"{n:,}", n) for n in _list_steps(low, high, value)], value, hint, slides=True)
        return Slide(name, label, low, high, value, 1, unit, hint)
    if low > 0 and math.log10(high / low) > _MANY_DECADES:
        return Slide(name, label, low, high, value, 0.05, unit, hint, is_log=True)
    step = 10 ** math.floor(math.log10((high - low) / 20))
    return Slide(name, label, low, high, value, step / (2 if (high - low) / step < 50 else 1), unit, hint)


def _read_number(name: str, is_whole: bool, text: str) -> float:
    """The number that a text says."""
    try:
        return int(text) if is_whole else float(text)
    except ValueError:
        kind = "a whole number" if is_whole else "a number"
        raise SpecificationError(f"{name}: expected {kind}, got {text!r}") from None


def _read_open_number(name: str, is_whole: bool, text: str) -> float | None:
    """The number that a text says; None where the field is left open."""
    return _read_number(name, is_whole, text) if text.strip() else None


def _find_limits(info: FieldInfo) -> tuple[float | None, float | None]:
    """Lowest and highest value that a control offers; an open limit is approached, not reached."""
    keys = ("ge", "gt", "le", "lt")
    bounds = {key: getattr(item, key) for item in info.metadata for key in keys if hasattr(item, key)}
    is_whole = info.annotation is int
    low, high = bounds.get("ge"), bounds.get("le")
    if low is None and "gt" in bounds:
        start = info.default if isinstance(info.default, int | float) else high
        above = bounds["gt"] + 1 if is_whole else bounds["gt"]
        low = above if is_whole or above > 0 or start is None else min(start, high or start) / 1000
    if high is None and "lt" in bounds:
        high = bounds["lt"] - 1 if is_whole else bounds["lt"] * (1 - 1e-6)
    return low, high


def _list_steps(low: float, high: float, value: float) -> list[int]:
    """1, 2, 5, 10, 20 ... within the limits, with both ends and the value that is chosen."""
    decades = range(math.floor(math.log10(max(low, 1))), math.floor(math.log10(high)) + 1)
    steps = {factor * 10**decade for decade in decades for factor in (1, 2, 5)}
    return sorted({int(low), int(high), int(value)} | {step for step in steps if low <= step <= high})


def _list_kinds(annotation: Any) -> list[str]:
    """The kinds that a place can be of."""
    if isinstance(annotation, type) and issubclass(annotation, Choice):
        return [annotation.model_fields["kind"].default] if "kind" in annotation.model_fields else []
    return [kind for option in get_args(annotation) for kind in _list_kinds(option)]


def _label(name: str) -> str:
    return name.rsplit(".", 1)[-1].replace("_", " ").capitalize()


def _write_list(value: Any) -> str:
    return ", ".join(map(str, value)) if value else ""


def _read_list(text: str) -> tuple[str, ...] | None:
    return tuple(word.strip() for word in text.split(",") if word.strip()) or None
