"""A button of a panel: something that is done once, when it is pressed."""

from dataclasses import dataclass
from typing import Literal

import ipywidgets


@dataclass(frozen=True)
class Press:
    """Something to do.

    Attributes:
      name: what the panel calls it.
      label: what stands on it, and what a screen reader speaks.
      hint: one sentence.
      look: "primary" for what the panel is there for, "" for all else.
    """

    name: str
    label: str
    hint: str = ""
    look: Literal["primary", ""] = ""

    def make(self) -> ipywidgets.Button:
        """The button; it can be reached with Tab and pressed with Enter or Space."""
        return ipywidgets.Button(
            description=self.label,
            tooltip=self.hint,
            button_style=self.look,
            layout={"width": "auto", "min_width": "96px"},
        )
