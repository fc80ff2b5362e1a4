"""`python -m twinlab federated`: an experiment's federation as a Flower app folder, and such a folder run here."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

import twinlab
from twinlab.errors import SpecificationError
from twinlab.experiment import Experiment
from twinlab.pipeline.federated_app import check_app, plan_run_config
from twinlab.pipeline.federated_runtime import AppRun, run_exported_app
from twinlab.pipeline.federating import describe_weights

#: Name of the package in the folder; Flower imports it from there.
PACKAGE = "federation_app"
_TEMPLATES = Path(__file__).with_name("flower_app")

_CLIENT = '''"""What runs on each device."""

from federation_app import EXPERIMENT
from twinlab.pipeline.federated_app import make_client_app

app = make_client_app(EXPERIMENT)
'''
_SERVER = '''"""What runs at the server."""

from federation_app import EXPERIMENT
from twinlab.pipeline.federated_app import make_server_app

app = make_server_app(EXPERIMENT, tell=print)
'''
_PACKAGE = '''"""A federation of twinlab as a Flower app; its choices are in experiment.json."""

import json
from pathlib import Path

from twinlab.experiment import Experiment

EXPERIMENT = Experiment(**json.loads(Path(__file__).with_name("experiment.json").read_text(encoding="utf-8")))
'''


def export_app(experiment: Experiment, folder: Path) -> tuple[Path, ...]:
    """Write the federation of an experiment as a folder for `flwr run`.

    It holds public choices and no reading of anybody. Devices need twinlab of the same version.

    Args:
      experiment: public; a federated one.
      folder: empty, or not there yet.

    Returns:
      The files written.

    Raises:
      SpecificationError: if the folder is not empty.
      IncompatibleChoicesError: if no app can be made of the experiment.
    """
    check_app(experiment)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecificationError(f"{folder}: expected an empty folder or none, got one with files; choose another")
    text = json.dumps(json.loads(experiment.model_dump_json()), indent=2) + "\n"
    files = {
        "pyproject.toml": _fill("pyproject.toml", {"run_config": _write_toml(plan_run_config(experiment))}),
        "README.md": _fill("README.md", _describe(experiment)),
        f"{PACKAGE}/__init__.py": _PACKAGE,
        f"{PACKAGE}/client_app.py": _CLIENT,
        f"{PACKAGE}/server_app.py": _SERVER,
        f"{PACKAGE}/experiment.json": text,
    }
    (folder / PACKAGE).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return tuple(folder / name for name in files)


def run_app(folder: Path, output: Path, n_devices: int, *, with_ray: bool, cluster: str | None) -> AppRun:
    """Run an exported app of people who do not exist on this machine; see `run_exported_app`.

    Raises:
      SpecificationError: if it is none, or one of real people, whose devices bring their own readings.
    """
    try:
        text = (folder / PACKAGE / "experiment.json").read_text(encoding="utf-8")
        experiment = Experiment(**json.loads(text))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SpecificationError(
            f"{folder}: expected a folder that `federated export` wrote, got one without its experiment "
            f"({type(error).__name__})"
        ) from None
    if experiment.cohort.kind == "readings":
        raise SpecificationError(
            "federated run: expected people who do not exist, since real ones' devices bring their own readings; start "
            f"SuperNodes as {folder / 'README.md'} says"
        )
    return run_exported_app(folder, output, n_devices, with_ray=with_ray, cluster=cluster)


def _describe(experiment: Experiment) -> dict[str, object]:
    """What the page says of this app."""
    return {
        "version": twinlab.__version__,
        "fingerprint": experiment.fingerprint,
        "guarantee": describe_weights(experiment),
        "min_devices": plan_run_config(experiment)["min-devices"],
        "people": (
            "real people: each device reads the file that its own node config names"
            if experiment.cohort.kind == "readings"
            else f"{experiment.cohort.kind} people, who do not exist; a device's `partition-id` says who lives on it"
        ),
    }


def _fill(name: str, values: Mapping[str, object]) -> str:
    return Template((_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")).substitute(
        {"version": twinlab.__version__, **values}
    )


def _write_toml(values: Mapping[str, str | int | float]) -> str:
    """Key-value lines; JSON writes plain texts and numbers as TOML does."""
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
