"""Cohorts by name: the shipped one, public ones to fetch, and whichever an experiment chooses.

`python -m twinlab.cohorts.dataset` makes the shipped cohort again.
"""

from pathlib import Path
from typing import Final

import pandas as pd

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.download import fetch
from twinlab.cohorts.fitbit import load_fitbit
from twinlab.cohorts.readings import load_readings, write_readings
from twinlab.cohorts.simulator import Simulation, Truth, simulate_cohort
from twinlab.errors import DataContractError
from twinlab.experiment import (
    N_SHIPPED_PEOPLE,
    CohortChoice,
    FitbitCohort,
    ReadingsCohort,
    ShippedCohort,
    SimulatedCohort,
)
from twinlab.roles import Progress, report_nothing

__all__ = ["fetch", "load_cohort", "load_shipped", "make_shipped", "write_shipped"]

DATA_FOLDER: Final = Path(__file__).resolve().parents[2] / "data"
SHIPPED_READINGS: Final = "simulated_cohort.parquet"
SHIPPED_PEOPLE: Final = "simulated_people.csv"
SHIPPED_CHOICE: Final = SimulatedCohort(n_people=N_SHIPPED_PEOPLE, n_days=28, seed=2025)


def load_cohort(choice: CohortChoice, progress: Progress = report_nothing) -> tuple[Cohort, Truth | None]:
    """Load or simulate the cohort that an experiment chooses.

    Args:
      choice: public.
      progress: told about files or days.

    Returns:
      The cohort (private), and for a cohort simulated just now the truth behind it, otherwise None.

    Raises:
      DataContractError: if there is no such file or it breaks its schema.
    """
    match choice:
        case SimulatedCohort():
            simulation = simulate_cohort(choice, progress)
            return simulation.cohort, simulation.truth
        case ShippedCohort():
            return load_shipped(), None
        case FitbitCohort():
            return load_fitbit(choice.path, progress=progress), None
        case ReadingsCohort():
            return load_readings(choice.path), None
    raise TypeError(f"choice: expected a cohort choice of twinlab.experiment, got {type(choice).__name__}")


def load_shipped() -> Cohort:
    """Load the simulated cohort that comes with twinlab: 40 people who do not exist, 28 days.

    Raises:
      DataContractError: if twinlab does not run from a checkout, which is where `data/` lies.
    """
    missing = [name for name in (SHIPPED_READINGS, SHIPPED_PEOPLE) if not (DATA_FOLDER / name).is_file()]
    if missing:
        raise DataContractError(
            f"{', '.join(missing)}: expected in {DATA_FOLDER}, which is part of a checkout of twinlab. Install it with "
            "`pip install -e .` from a clone, or choose cohort.kind = 'simulated', which needs no file"
        )
    cohort = load_readings(DATA_FOLDER / SHIPPED_READINGS)
    people = pd.read_csv(DATA_FOLDER / SHIPPED_PEOPLE, dtype={"person_id": str}, keep_default_na=False)
    return Cohort(
        name="shipped",
        person_ids=cohort.person_ids,
        start=cohort.start,
        signals=cohort.signals,
        values=cohort.values,
        attributes=people.set_index("person_id").loc[list(cohort.person_ids)],
        origin="simulated",
    )


def make_shipped(progress: Progress = report_nothing) -> Simulation:
    """Simulate the shipped cohort again, with its truth; takes half a second.

    It equals the files bit for bit on the platform and numpy version that wrote them; elsewhere the last bits of
    exponentials and cosines may differ.
    """
    return simulate_cohort(SHIPPED_CHOICE, progress)


def write_shipped(folder: Path = DATA_FOLDER) -> None:
    """Write the two files of the shipped cohort; `python -m twinlab.cohorts.dataset` does it for `data/`."""
    cohort = make_shipped().cohort
    write_readings(cohort, folder / SHIPPED_READINGS)
    cohort.attributes.to_csv(folder / SHIPPED_PEOPLE, index_label="person_id", lineterminator="\n")


if __name__ == "__main__":
    write_shipped()
