import numpy as np
import pandas as pd
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.canary_audit import audit_release, propose_canaries
from twinlab.pipeline.canary_lesson import choose_canary_releases, compare_releases, draw_days_table
from twinlab.pipeline.table_release import Released

TABLE = pd.DataFrame(
    {"person": np.repeat(np.arange(10), 4), "steps": np.arange(40.0), "kind": ["a", "a", "a", "b"] * 10}
)


def sum_up(table):
    """A release without noise."""
    return Released({"sum": table[["steps"]].sum().to_numpy()})


def test_a_release_sees_a_whole_person_more_and_no_canary_in_the_controls():
    sizes = []

    def release(table):
        sizes.append((len(table), table["person"].nunique()))
        return sum_up(table)

    audit = audit_release(release, TABLE, unit="person", epsilon=1.0, rows_per_person=6, n_candidates=2, n_runs=12)
    assert set(sizes) == {(40, 10), (46, 11)}
    assert sizes[90:] == [(46, 11)] * 12 + [(40, 10)] * 24
    assert audit.finding.table[0]["n_with"] == 12
    assert list(audit.table["claimed"]) == [1.0]


def test_progress_counts_every_run():
    heard = []
    audit_release(
        sum_up,
        TABLE,
        unit="row",
        epsilon=1.0,
        n_candidates=2,
        n_runs=10,
        n_shadows=8,
        progress=lambda *a: heard.append(a),
    )
    assert heard[-1] == ("releases of the table", 54, 54)
    assert [done for _, done, _ in heard] == sorted(done for _, done, _ in heard)


def test_candidates_are_corners_and_the_rarest_word():
    made = propose_canaries(TABLE[["steps", "kind"]], 5, np.random.default_rng(0))
    assert set(made["steps"]) == {0.0, 39.0}
    assert list(made["steps"][:2]) == [39.0, 0.0]
    assert set(made["kind"]) == {"b"}


def test_what_would_say_nothing_is_refused():
    with pytest.raises(SpecificationError, match="an epsilon without its unit says nothing"):
        audit_release(sum_up, TABLE, unit="week", epsilon=1.0)
    with pytest.raises(SpecificationError, match="at least 10 runs"):
        audit_release(sum_up, TABLE, unit="row", epsilon=1.0, n_runs=3)
    with pytest.raises(DataContractError, match="for claims about a person"):
        audit_release(sum_up, TABLE.drop(columns="person"), unit="person", epsilon=1.0)
    with pytest.raises(DataContractError, match="no value missing"):
        audit_release(sum_up, TABLE.assign(steps=np.nan), unit="row", epsilon=1.0)
    with pytest.raises(DataContractError, match="canaries: expected"):
        audit_release(sum_up, TABLE, unit="row", epsilon=1.0, canaries=TABLE[["steps"]])
    with pytest.raises(DataContractError, match="got neither"):
        audit_release(lambda table: Released(), TABLE, unit="row", epsilon=1.0)
    with pytest.raises(SpecificationError, match="at least one"):
        compare_releases({}, TABLE)


def test_the_lesson_names_every_verdict_and_shows_nobody():
    table = draw_days_table(12, 3)
    chosen = choose_canary_releases(n_rows=0, rehearsal_seed=4)
    found = compare_releases(chosen, table, n_candidates=1, n_shadows=8)
    assert list(found.audits) == list(chosen)
    assert "no noise at all: broken" in repr(found)
    assert "epsilon 1 of a person: consistent" in repr(found)
    assert len(found.table) == len(found.findings) == 4
    heaviest = f"{table['steps'].max():.3f}"
    assert heaviest not in repr(found) + found.table.to_string()
