import numpy as np
import pandas as pd
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.pipeline.table_lesson import (
    TABLE_ATTACKS,
    attack_table,
    blur_table,
    choose_table_releases,
    compare_tables,
    draw_people_tables,
    shuffle_columns,
)

#: Claims and quicker tests watch over the same.
pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def tables():
    return draw_people_tables(80, 2, seed=1)


def test_three_tables_are_as_large_as_each_other_and_share_nobody(tables):
    parts = (tables.originals, tables.control, tables.fresh)
    assert [len(each) for each in parts] == [80] * 3
    assert not pd.concat(parts).duplicated().any()
    assert not pd.concat(parts).isna().any().any()
    assert repr(tables) == "PeopleTables(80 people three times, 12 columns)"


def test_shuffling_keeps_columns_and_parts_who_goes_with_what(tables):
    shuffled = shuffle_columns(tables.originals, np.random.default_rng(0))
    for name in tables.originals:
        assert sorted(shuffled[name]) == sorted(tables.originals[name])
    assert pd.concat([shuffled, tables.originals]).duplicated().sum() == 0


def test_noise_is_half_a_percent_of_the_range(tables):
    some = tables.originals.sort_values("bmi", ignore_index=True)
    blurred = blur_table(some, 0.005, np.random.default_rng(0)).sort_values("bmi", ignore_index=True)
    moved = np.abs(blurred["bmi"] - some["bmi"]).mean() / np.ptp(some["bmi"])
    assert 0 < moved < 0.01


def test_every_attack_is_a_row_with_a_baseline_and_a_control(tables):
    result = attack_table(tables.originals, tables.originals, tables.control, fresh=tables.fresh, n_targets=40)
    assert result.table["attack"].tolist() == list(TABLE_ATTACKS)
    assert all(each.baseline is not None and each.control is not None for each in result.findings)
    assert "risk of" in repr(result)
    alone = attack_table(tables.originals, tables.originals, tables.control, attacks=("inference",), secret="condition")
    assert alone.findings[0].control is None
    assert alone.findings[0].value > 0.9


def test_releases_stand_side_by_side(tables):
    releases = choose_table_releases(tables)
    table = compare_tables(releases, tables, n_targets=20)
    assert len(table) == len(releases) * len(TABLE_ATTACKS)
    with pytest.raises(SpecificationError, match="at least one"):
        compare_tables({}, tables)


def test_what_would_give_a_wrong_number_is_refused(tables):
    own, others = tables.originals, tables.control
    with pytest.raises(DataContractError, match="as many people as in the originals, 80, got 30"):
        attack_table(own, own, others.iloc[:30])
    with pytest.raises(DataContractError, match="same columns"):
        attack_table(own.drop(columns="bmi"), own, others)
    with pytest.raises(SpecificationError, match=r"attacks: .*; n_targets: "):
        attack_table(own, own, others, attacks=("magic",), n_targets=0)
    with pytest.raises(SpecificationError, match=r"left: .*; secret: "):
        attack_table(own, own, others, left=own.columns, secret="wealth")
    with pytest.raises(SpecificationError, match="20 people"):
        draw_people_tables(3)
