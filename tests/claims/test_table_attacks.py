"""Claims: a copy of a table is found out even through noise, by some attack if not by another; a fresh draw of the
population is found innocent; and a control smaller than the original would have called it guilty."""

import numpy as np
import pandas as pd
import pytest

from twinlab.attacks.released_table import attack_singling_out
from twinlab.evaluation.table_risk import measure_table_risk, score_singling_out
from twinlab.pipeline.attacker_view import let_attack
from twinlab.pipeline.table_lesson import TABLE_ATTACKS, attack_table, choose_table_releases, draw_people_tables
from twinlab.release import Message, NoGuarantee, Transcript
from twinlab.threat import PublicKnowledge, ThreatModel

ONE_COLUMN, SEVERAL, LINK, INFER = TABLE_ATTACKS
SEEDS = range(8)


@pytest.fixture(scope="module")
def draws():
    return [draw_people_tables(300, 2, seed=seed) for seed in SEEDS]


def attack(tables, release, **options):
    return attack_table(release, tables.originals, tables.control, n_targets=200, **options).table.set_index("attack")


def test_a_copy_is_found_by_every_attack(draws):
    table = attack(draws[0], choose_table_releases(draws[0])["a copy"])
    assert (table["low"] > 0.9).all()


def test_a_copy_with_noise_is_safe_from_one_attack_and_open_to_the_others(draws):
    """So one attack is not enough: who tries single columns alone would have released it."""
    table = attack(draws[0], choose_table_releases(draws[0])["a copy with 0.5 % noise"])
    assert table.loc[ONE_COLUMN, "risk"] == 0
    assert table.loc[SEVERAL, "low"] > 0.7
    assert table.loc[LINK, "low"] > 0.9
    assert table.loc[INFER, "low"] > 0.9


def test_columns_shuffled_apart_link_nobody_yet_give_values_away(draws):
    table = attack(draws[0], choose_table_releases(draws[0])["columns shuffled apart"])
    assert table.loc[LINK, "low"] <= 0 <= table.loc[LINK, "high"]
    assert table.loc[INFER, "low"] <= 0 <= table.loc[INFER, "high"]
    assert table.loc[ONE_COLUMN, "low"] > 0.9, "a value that nobody else has is still there"


def test_a_fresh_draw_of_the_population_is_innocent(draws):
    """32 intervals of 95 % or more; more than 12 beside zero has p < 1e-6. Together they say it more sharply."""
    tables = [attack(each, each.fresh) for each in draws]
    beside = sum(((each["low"] > 0) | (each["high"] < 0)).sum() for each in tables)
    assert beside <= 12
    for name in TABLE_ATTACKS:
        rows = pd.DataFrame([each.loc[name] for each in tables])
        inside, outside = ((rows[key] * 200).round().sum() for key in ("rate", "control_rate"))
        n = 200 * len(rows)
        spread = np.sqrt((inside + outside) * (1 - (inside + outside) / (2 * n)) + 1)
        assert abs(inside - outside) < 6 * spread, name  # guesses of one release lean on each other


def test_a_small_control_would_have_called_it_guilty():
    """Wide descriptions of a fresh draw fit one of a hundred people less often than one of three hundred."""
    inside, small, large = [], [], []
    for seed in range(6):
        tables = draw_people_tables(300, 2, seed=seed)
        sent = Transcript()
        sent.record(Message("trainer", "public", "table", 0, 0.0, tables.fresh, NoGuarantee("open")))

        def guess(seen, knowledge, threat):
            return attack_singling_out(seen, knowledge, threat, n_guesses=200, n_columns=3)

        claims = let_attack(guess, sent, PublicKnowledge(), ThreatModel("singling_out", "public", "nothing"))
        inside.append(score_singling_out(claims, tables.originals))
        small.append(score_singling_out(claims, tables.control.iloc[:100]))
        large.append(score_singling_out(claims, tables.control))
    own = np.concatenate(inside)
    guilty = measure_table_risk("singling out", own, np.concatenate(small))
    innocent = measure_table_risk("singling out", own, np.concatenate(large))
    assert guilty.interval[0] > 0
    assert innocent.interval[0] <= 0 <= innocent.interval[1]
