"""The readings of one device: those of its own person, and of nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from twinlab.cohorts.cohort import Cohort
from twinlab.cohorts.dataset import load_shipped
from twinlab.cohorts.person import draw_people
from twinlab.cohorts.readings import load_readings
from twinlab.cohorts.simulator import SIMULATED_SIGNALS, simulate
from twinlab.cohorts.stream import PEOPLE_PER_BLOCK
from twinlab.errors import DataContractError, SpecificationError
from twinlab.experiment import Experiment, ReadingsCohort, SimulatedCohort

#: Names in a node's settings: the device's number, and the file with its person's readings.
DEVICE_NUMBER, READINGS = "partition-id", "readings"


def load_own_readings(experiment: Experiment, node_config: Mapping[str, Any]) -> Cohort:
    """Load the one person of a device.

    Of simulated and shipped people it is the one whose place is the node's `partition-id`. Of real people it is the one
    in the file that the node's own `readings` names, in the format of `load_readings`; no server chooses that file. A
    signal that the device does not measure is empty.

    Args:
      experiment: public.
      node_config: the settings of the device's own node; public.

    Returns:
      A cohort of one; private.

    Raises:
      SpecificationError: if the settings do not fit the experiment.
      DataContractError: if the file is not there, breaks its schema or holds more than one person.
    """
    number, path = read_number(node_config), node_config.get(READINGS)
    cohort = experiment.cohort
    if isinstance(cohort, ReadingsCohort):
        if not path:
            raise SpecificationError(
                f'node config: expected {READINGS}="FILE" with this device\'s own readings, got none; start the '
                f"SuperNode with --node-config '{READINGS}=\"readings.csv\" {DEVICE_NUMBER}=0'"
            )
        return _fill_signals(load_readings(str(path)))
    if path:
        raise SpecificationError(
            f"node config: expected no {READINGS}, since the people of this experiment do not exist and nobody would "
            "be charged for real ones; export the experiment with cohort.kind = 'readings'"
        )
    n_people = count_people(experiment)
    if number >= n_people:
        raise SpecificationError(f"node config: expected {DEVICE_NUMBER} below {n_people} people, got {number}")
    if isinstance(cohort, SimulatedCohort):
        block = _simulate_block(cohort, number // PEOPLE_PER_BLOCK)
        return block.select(people=[block.person_ids[number % PEOPLE_PER_BLOCK]])
    shipped = _load_shipped_once()
    return shipped.select(people=[shipped.person_ids[number]])


def count_people(experiment: Experiment) -> int:
    """How many people of a simulated or shipped cohort there are, a device each."""
    if isinstance(experiment.cohort, SimulatedCohort):
        return experiment.cohort.n_people
    return _load_shipped_once().n_people


@lru_cache(maxsize=4)
def _simulate_block(choice: SimulatedCohort, block: int) -> Cohort:
    """The simulated people who are drawn together; a device lives among few instead of all."""
    first = block * PEOPLE_PER_BLOCK
    last = min(first + PEOPLE_PER_BLOCK, choice.n_people)
    return simulate(draw_people(last, choice.seed).slice(first, last), choice.n_days, choice.seed).cohort


@lru_cache(maxsize=1)
def _load_shipped_once() -> Cohort:
    return load_shipped()


def read_number(node_config: Mapping[str, Any]) -> int:
    """A device's number, from its own node's settings."""
    number = node_config.get(DEVICE_NUMBER)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise SpecificationError(
            f"node config: expected {DEVICE_NUMBER}, the device's number from 0 on, got none; start the SuperNode with "
            f"--node-config '{DEVICE_NUMBER}=0'"
        )
    return number


def _fill_signals(cohort: Cohort) -> Cohort:
    """One person with all signals of the federation; what the device does not measure was never measured."""
    if cohort.n_people != 1:
        raise DataContractError(
            f"readings: expected those of one person, the device's own, got {cohort.n_people} people; keep one person "
            "in each file"
        )
    values = np.full((1, cohort.n_hours, len(SIMULATED_SIGNALS)), np.nan, np.float32)
    for column, signal in enumerate(SIMULATED_SIGNALS):
        if signal in cohort.signals:
            values[:, :, column] = cohort.signal(signal)
    return Cohort(cohort.name, cohort.person_ids, cohort.start, SIMULATED_SIGNALS, values)
