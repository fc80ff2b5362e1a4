"""Claim: summaries that a simulator is fitted to hide a whole person as well as they say."""

import numpy as np
import pandas as pd

from twinlab.pipeline.canary_audit import audit_release
from twinlab.pipeline.simulator_release import SUMS, SimulatorRelease, draw_hours_table
from twinlab.pipeline.table_release import Released
from twinlab.signals import SIGNALS

SIGNALS_HERE = ("steps", "heart_rate_bpm", "sleep_min", "glucose_mg_dl")
HOURS = 7 * 24
#: A person who is at an end of every bound, all week.
CANARIES = pd.DataFrame({name: [SIGNALS[name].upper, SIGNALS[name].lower] for name in SIGNALS_HERE})


def audit(release, epsilon: float):
    """Wrong about a correct release with probability below 1e-6, as `audit_release` says."""
    table = draw_hours_table(SIGNALS_HERE, 12, 7, seed=2)
    return audit_release(
        release, table, unit="person", epsilon=epsilon, rows_per_person=HOURS, canaries=CANARIES, n_shadows=10
    )


def test_the_worst_person_is_hidden_as_promised() -> None:
    found = audit(SimulatorRelease(SIGNALS_HERE, epsilon=1.0), epsilon=1.0)
    assert found.verdict != "broken"
    assert found.report.ceiling > 1


def test_noise_for_an_hour_sold_as_noise_for_a_person_is_caught() -> None:
    """A naive version of ours: noise is made for one of the hours that a person's means are taken over."""
    honest = SimulatorRelease(SIGNALS_HERE, epsilon=1.0)
    (scale,) = honest.recipe.scales.values()
    rng = np.random.default_rng(1)  # repeatable, so that this test cannot fail by chance

    def release_naively(table: pd.DataFrame) -> Released:
        sums = honest.recipe.measure(table)[SUMS]
        return Released({SUMS: sums + scale / HOURS * rng.standard_normal(sums.shape)})

    assert audit(release_naively, epsilon=1.0).verdict == "broken"
