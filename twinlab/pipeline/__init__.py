"""The only folder that knows every stage: run(experiment) -> Result, and what panels and the command line ask of it.

Names are resolved on first use: a process of its own, such as a party of a joint computation, starts without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.pipeline.composition import load_cohort, run
    from twinlab.pipeline.result import OpenedTwin, Result

_HOMES = {"OpenedTwin": "result", "Result": "result", "load_cohort": "composition", "run": "composition"}

__all__ = ["OpenedTwin", "Result", "load_cohort", "run"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
