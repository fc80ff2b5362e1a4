"""Controls and panels for JupyterLab. They show; plain functions and objects that are handed in do the work."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.widgets.ask_in_secret import AskInSecret
    from twinlab.widgets.attack_everything import AttackEverything
    from twinlab.widgets.control import Pick, Slide, Tick, Write
    from twinlab.widgets.federated_devices import FederatedDevices
    from twinlab.widgets.form import controls_for
    from twinlab.widgets.hospitals_together import HospitalsTogether
    from twinlab.widgets.live import LiveChart
    from twinlab.widgets.meet_your_twin import MeetYourTwin
    from twinlab.widgets.noise_at_the_sensor import NoiseAtTheSensor
    from twinlab.widgets.panel import Panel
    from twinlab.widgets.progress import show_progress
    from twinlab.widgets.synthetic_people import SyntheticPeople
    from twinlab.widgets.the_mirror import TheMirror
    from twinlab.widgets.tune_epsilon import TuneEpsilon

_HOMES = {
    "AskInSecret": "ask_in_secret",
    "AttackEverything": "attack_everything",
    "FederatedDevices": "federated_devices",
    "HospitalsTogether": "hospitals_together",
    "LiveChart": "live",
    "MeetYourTwin": "meet_your_twin",
    "NoiseAtTheSensor": "noise_at_the_sensor",
    "Panel": "panel",
    "Pick": "control",
    "Slide": "control",
    "SyntheticPeople": "synthetic_people",
    "TheMirror": "the_mirror",
    "Tick": "control",
    "TuneEpsilon": "tune_epsilon",
    "Write": "control",
    "controls_for": "form",
    "show_progress": "progress",
}

__all__ = [
    "AskInSecret",
    "AttackEverything",
    "FederatedDevices",
    "HospitalsTogether",
    "LiveChart",
    "MeetYourTwin",
    "NoiseAtTheSensor",
    "Panel",
    "Pick",
    "Slide",
    "SyntheticPeople",
    "TheMirror",
    "Tick",
    "TuneEpsilon",
    "Write",
    "controls_for",
    "show_progress",
]


def __getattr__(name: str) -> Any:
    """Import a widget when it is first used: ipywidgets and Altair take a while to load."""
    if name not in _HOMES:
        raise AttributeError(f"module 'twinlab.widgets' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"twinlab.widgets.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
