"""The only folder that knows every stage: run(experiment) -> Result, and what panels and the command line ask of it."""

from twinlab.pipeline.composition import load_cohort, run
from twinlab.pipeline.result import OpenedTwin, Result

__all__ = ["OpenedTwin", "Result", "load_cohort", "run"]
