"""A promise for a person holds against a canary person, and one for a row does not; by noise that nobody can repeat."""

from twinlab.pipeline.canary_lesson import compare_releases, draw_days_table
from twinlab.pipeline.synthetic_audit import AUDITED, choose_synthetic_releases


def test_the_unit_decides_whether_a_canary_person_is_seen():
    """With 40 runs an area of 0.98 falls to 0.75, and one of a half rises to 0.9, with probability below 1e-6."""
    releases = choose_synthetic_releases(1.0, n_days=20)
    assert {each.unit for each in releases.values()} == {"person"}, "both are sold for a person"
    days = draw_days_table(60, 20)[["person", *AUDITED]]
    found = compare_releases(releases, days, n_candidates=1, n_shadows=20, n_runs=40)
    of_person, of_row = found.audits.values()
    areas = [each.table.set_index("statistic")["area"].iloc[0] for each in (of_person, of_row)]
    assert areas[0] < 0.9
    assert areas[1] > 0.75
    assert of_person.verdict == "consistent"
