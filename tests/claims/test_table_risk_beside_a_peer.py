"""Claim: our risks of a released table agree with an independent judge's, and where they do not, the reason is known.

The judge lives in an environment that benchmarks/table_risk.py makes. Run that once, and the comparison here runs too.
"""

import pandas as pd
import pytest
import table_risk

from twinlab.pipeline.table_lesson import TABLE_ATTACKS, choose_table_releases, draw_people_tables


@pytest.fixture(scope="module")
def benchmark():
    return table_risk


@pytest.fixture(scope="module")
def draws():
    return [draw_people_tables(150, 2, seed=5)]


@pytest.fixture(scope="module")
def releases(draws):
    return [choose_table_releases(draws[0], 5)]


def test_half_lines_find_a_copy_and_lose_it_in_a_little_noise(benchmark, draws, releases):
    """Why one of the numbers differs: the kind of description, not the score."""
    found = benchmark.measure_half_lines(draws, releases).set_index("release")
    assert found.loc[benchmark.COPY, "low"] > 0.9
    assert found.loc[benchmark.NOISY, "high"] < 0.3


def test_risks_are_pooled_over_draws_by_counts(benchmark):
    row = {"release": "a copy", "attack": "inference", "n_targets": 10}
    ours = [{**row, "rate": rate, "control_rate": 0.2, "low": -0.1, "high": 0.1 - rate} for rate in (0.6, 0.0)]
    row = {"release": "a copy", "attack": "inference", "risk": 0.5, "low": 0.1, "high": 0.9}
    theirs = [{**row, "n_right": n_right, "n_control": 40} for n_right in (400, 200)]
    (pooled,) = benchmark.pool(pd.DataFrame(ours), pd.DataFrame(theirs)).to_dict("records")
    assert pooled["ours"] == pytest.approx((0.3 - 0.2) / 0.8)
    assert pooled["ours_hold_0"] == 1
    assert pooled["theirs"] == pytest.approx((600 / 800 - 0.1) / 0.9)
    assert pooled["theirs_hold_0"] == 0


@pytest.mark.thorough
def test_without_a_package_index_the_reason_is_told(benchmark, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    python, missing = benchmark.prepare_environment(tmp_path / "peer")
    assert python is None
    assert f"{benchmark.PEER} could not be installed" in missing


@pytest.mark.thorough
def test_both_judges_agree(benchmark, draws, releases, monkeypatch):
    if not benchmark.find_cache().is_dir():
        pytest.skip(f"NO {benchmark.PEER}: run benchmarks/table_risk.py once to compare with it")
    python, missing = benchmark.prepare_environment(benchmark.find_cache())
    assert python, missing
    monkeypatch.setattr(benchmark, "N_TARGETS", 150)
    theirs = pd.DataFrame(benchmark.measure_theirs(python, draws, releases)["rows"])
    table = benchmark.pool(benchmark.measure_ours(draws, releases), theirs).set_index(["release", "attack"])
    apart = (table["ours"] - table["theirs"]).abs()
    assert apart[benchmark.COPY].max() < 0.03
    # the same people are targets of both, who differ by what counts as within 5 %
    assert apart[benchmark.FRESH, "inference"] < 0.1
    alike = [attack for attack in TABLE_ATTACKS if attack != benchmark.SEVERAL]
    assert apart[benchmark.NOISY][alike].max() < 0.1
    assert table.loc[(benchmark.NOISY, benchmark.SEVERAL), "ours_low"] > 0.8
    assert table.loc[(benchmark.NOISY, benchmark.SEVERAL), "theirs_low"] == 0
