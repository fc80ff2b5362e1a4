"""The unit decides: a synthesizer whose noise hides a person, and the same with a row's noise, sold for a person's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import pandas as pd

from twinlab.budget import PrivacyUnit
from twinlab.pipeline.canary_audit import PERSON
from twinlab.pipeline.canary_lesson import DAY_BINS, ReleaseUnderAudit
from twinlab.pipeline.table_release import Released, TableRelease
from twinlab.protection.differential_privacy.accounting import calibrate_noise_multiplier
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.protection.synthetic import (
    Domain,
    NumericAttribute,
    TreeSynthesizer,
)

#: Columns of `draw_days_table` that are enough to tell a canary by.
AUDITED = ("steps", "heart_rate_bpm", "sleep_min", "glucose_mg_dl")


def choose_synthetic_releases(
    epsilon: float = 1.0, *, delta: float = 1e-5, n_days: int = 20, n_made: int = 200
) -> Mapping[str, ReleaseUnderAudit]:
    """A tree of marginals for each unit, both with this epsilon and both claimed for a person.

    Args:
      epsilon, delta: of one unit; public.
      n_days: rows that a person has at most; public.
      n_made: synthetic rows.

    Returns:
      By name, for `compare_releases` on the columns "person" and `AUDITED` of `draw_days_table`.
    """
    of_people = Domain(_list_attributes(), PrivacyUnit.PERSON, person_column=PERSON, most_rows_per_person=n_days)
    of_rows = Domain(_list_attributes(), PrivacyUnit.ROW)
    multiplier = calibrate_noise_multiplier(epsilon, delta)
    return {
        f"epsilon {epsilon:g} of a person": ReleaseUnderAudit(_release(of_people, multiplier, n_made), epsilon, delta),
        f"epsilon {epsilon:g} of a row, sold for a person": ReleaseUnderAudit(
            _release(of_rows, multiplier, n_made), epsilon, delta
        ),
    }


def _list_attributes() -> tuple[NumericAttribute, ...]:
    return tuple(
        NumericAttribute(name, edges[0], edges[-1], edges=edges)
        for name, edges in ((name, tuple(map(float, DAY_BINS[name]))) for name in AUDITED)
    )


def _release(domain: Domain, noise_multiplier: float, n_made: int) -> TableRelease:
    """A release as an audit makes it again and again, each with fresh noise."""
    synthesizer, noise, seeds = TreeSynthesizer(domain, noise_multiplier, n_made), open_noise(), count()

    def make(table: pd.DataFrame) -> Released:
        made = synthesizer.draw(table, noise, next(seeds))
        return Released(made.model, made.rows)

    return make
