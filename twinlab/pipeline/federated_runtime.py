"""An exported app on this machine, in Flower's own processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twinlab.errors import ProtocolError, SpecificationError
from twinlab.protection.federated.deployment import SuperLink


@dataclass(frozen=True)
class AppRun:
    """Where a run left its results.

    Attributes:
      final_weights, round_reports: files.
      logs: folder with everybody's log; private.
    """

    final_weights: Path
    round_reports: Path
    logs: Path


def run_exported_app(
    app: Path, output: Path, n_devices: int, *, with_ray: bool = False, cluster: str | None = None, seconds: float = 600
) -> AppRun:
    """Run an exported app of people who do not exist between processes of this machine, over TLS.

    Args:
      app: folder that `python -m twinlab federated export` wrote.
      output: an empty folder for results and logs.
      n_devices: SuperNodes with registered keys, or devices that Ray simulates.
      with_ray: simulate devices with Ray.
      cluster: address of a Ray cluster; this machine alone when None.
      seconds: that the run may take.

    Raises:
      SpecificationError: if there is no app, no device, or the output folder is not empty.
      MissingDependencyError: if Ray is wanted and not installed.
      ProtocolError: if the run fails; the logs say why.
    """
    if not (app / "pyproject.toml").is_file():
        raise SpecificationError(f"{app}: expected an exported app, got a folder without pyproject.toml")
    if n_devices < 1:
        raise SpecificationError(f"devices: expected at least 1, got {n_devices}")
    with SuperLink(output, simulates=with_ray, cluster=cluster) as link:
        for number in range(0 if with_ray else n_devices):
            link.start_node({"partition-id": number})
        end = link.run(app.resolve(), {"min-devices": n_devices}, n_devices=n_devices, seconds=seconds)
    if not end.is_complete:
        raise ProtocolError(f"run: expected it to complete, got {end.status}: {end.details}; see the logs in {output}")
    return AppRun(output / "final_weights.npz", output / "round_reports.json", output)
