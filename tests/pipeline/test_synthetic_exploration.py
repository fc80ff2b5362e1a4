"""What the panel of synthetic people asks: people by every method, kept, judged, and beside their nearest."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from twinlab.cohorts.person import draw_people
from twinlab.cohorts.simulator import simulate
from twinlab.errors import SpecificationError
from twinlab.evaluation.nearest_person import find_nearest_people, place_days
from twinlab.pipeline.synthetic_exploration import COPY, GAN, explore_synthetic
from twinlab.pipeline.synthetic_view import STREAMS, TABLE

MARGINALS, TREE = "adaptive marginals", "tree of marginals"
SIMULATOR = "fitted simulator"


@pytest.fixture(scope="module")
def exploration():
    return explore_synthetic(n_people=40, gan={"n_steps": 6, "every": 3, "n_hidden": 8, "sampling_probability": 0.5})


class Stopped(Exception):
    """The reader pressed Stop."""


def test_people_are_made_once_and_keep_their_promise(exploration):
    first = exploration.make(MARGINALS, 2.0)
    assert exploration.make(MARGINALS, 2.0) is first
    assert exploration.is_known(MARGINALS, 2.0)
    assert not exploration.is_known(MARGINALS, 3.0)
    assert first.release.guarantee.epsilon == pytest.approx(2.0, rel=1e-3)
    assert (str(first.release.unit), len(first.release.rows)) == ("person", 40 * 7)
    assert first.release.rows["is_synthetic"].all()
    assert "epsilon 2, delta 1e-05 per person" in first.sentence
    assert set(first.shown["who"]) >= {"real", "synthetic"}
    assert first.shown["column"].nunique() == 6


def test_a_copy_is_caught_by_the_quick_attacks_and_promises_nothing(exploration):
    copied, made = exploration.make(COPY, 1.0), exploration.make(TREE, 1.0)
    assert exploration.make(COPY, 30.0) is copied
    assert math.isinf(copied.epsilon)
    assert "no guarantee" in copied.guarantee
    assert copied.judgement.find("nearest_copy").value > 0.9
    assert copied.judgement.find("membership_area").value > 0.9
    # that of the tree is 0.585 with a spread of 0.037 over its noise: a false alarm in less than 1e-9 of runs
    assert made.judgement.find("membership_area").value < 0.85
    near = copied.find_nearest(copied.people[0])
    assert near.counts[0] == 1
    assert near.distances["real"] < near.distances["holdout"]
    # a row of noise 2 % is nearer to its own person than to all others, nearly always
    assert (copied.neighbours.nearest.real_distances < copied.neighbours.nearest.other_distances).mean() > 0.8


def test_the_nearest_person_is_the_nearest_and_is_read_from_its_table(exploration):
    view = exploration.make(TREE, 1.0)
    near = view.find_nearest(view.people[3])
    wide = near.values.pivot(index="column", columns="who", values="value")
    assert set(wide.columns) == {"synthetic", "real", "holdout"}
    row = int(view.people[3].split()[1]) - 1
    assert wide.loc["steps", "synthetic"] == view.release.rows["steps"].iloc[row]
    real = exploration._table_side.real
    scaled = {name: bins for name, bins in exploration.bins.items() if not isinstance(bins[0], str)}
    gaps = sum(((real[n] - view.release.rows[n].iloc[row]) / (b[-1] - b[0])) ** 2 for n, b in scaled.items())
    gaps += (real["condition"] != view.release.rows["condition"].iloc[row]).astype(float)
    inside = np.prod([(real[n] >= b[0]) & (real[n] <= b[-1]) for n, b in scaled.items()], axis=0).astype(bool)
    assert near.distances["real"] <= math.sqrt(gaps[inside].min()) + 1e-9
    with pytest.raises(SpecificationError, match="person: expected one of row"):
        view.find_nearest("row 0")


def test_streams_are_made_by_the_simulator_who_makes_nobody_again(exploration):
    view = exploration.make(SIMULATOR, 5.0, STREAMS)
    assert view.release.made.values.shape == (40, 7 * 24, 6)
    assert view.shown.groupby("who")["hour"].nunique()["synthetic"] == 24
    near = view.find_nearest(view.people[0])
    assert near.values.groupby(["who", "column"])["hour"].nunique().eq(24).all()
    # With the seed of the real people it would simulate them once more, nearest to themselves. As it is, the share is
    # 0.45 with a spread of 0.02 over its noise: a false alarm in less than 1e-9 of runs.
    nearest = view.neighbours.nearest
    assert abs((nearest.real_distances < nearest.other_distances).mean() - 0.5) < 0.25
    copied = exploration.make(COPY, 5.0, STREAMS).neighbours.nearest
    assert (copied.real_distances < copied.other_distances).mean() > 0.95


def test_a_gan_shows_early_looks_and_can_be_stopped(exploration):
    looks = []
    view = exploration.make(GAN, 10.0, look=lambda words, shown: looks.append((words, len(shown))))
    assert [words for words, _ in looks] == ["after 3 steps", "after 6 steps"]
    assert looks[0][1] > 20
    assert view.release.guarantee.epsilon <= 10.0

    def stop(*_):
        raise Stopped

    with pytest.raises(Stopped):
        exploration.make(GAN, 3.0, progress=stop)
    assert not exploration.is_known(GAN, 3.0)


@pytest.mark.thorough
def test_days_of_a_gan_are_looked_at_as_days(exploration):
    looks = []
    exploration.make(GAN, 10.0, STREAMS, look=lambda words, shown: looks.append(shown))
    assert set(looks[0]["who"]) >= {"real", "synthetic"}
    assert looks[0].groupby("who")["hour"].nunique()["synthetic"] == 24


def test_all_attacks_on_demand_and_methods_compared_in_one_table(exploration):
    view = exploration.judge(MARGINALS, 2.0)
    assert view.is_judged_whole
    assert exploration.make(MARGINALS, 2.0) is view
    assert {"attribute_training", "linkability_risk", "inference_risk"} <= set(view.risks["metric"])
    table = exploration.compare((MARGINALS, COPY), (2.0, 10.0))
    assert list(table.columns[:5]) == ["method", "epsilon", "unit", "seed", "seconds"]
    runs = table[["method", "epsilon"]].drop_duplicates().to_records(index=False).tolist()
    assert runs == [(MARGINALS, 2.0), (MARGINALS, 10.0), (COPY, math.inf)]
    assert not table.duplicated(["method", "epsilon", "metric"]).any()
    with pytest.raises(SpecificationError, match="at least one method"):
        exploration.compare(())


def test_streams_judged_whole_are_attacked_by_their_days(exploration):
    kinds = exploration.judge(COPY, 1.0, STREAMS).risks.set_index("metric")["kind"]
    assert {"stream_circadian", "stream_autocorrelation"} <= set(kinds.index[kinds == "likeness"])
    assert {"membership_area", "linkability_risk", "nearest_copy"} <= set(kinds.index[kinds == "risk"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(("method", "what"), [(TREE, TABLE), (COPY, TABLE), (COPY, STREAMS)])
def test_export_writes_rows_that_say_so_and_a_card_that_tells_what_is_promised(
    exploration, tmp_path, suffix, method, what
):
    rows, card = exploration.make(method, 1.0, what).export(tmp_path / "synthetic", suffix)
    promise = "no-promise" if method == COPY else "epsilon-1"
    assert rows.name == f"{what} {method} {promise}{suffix}".replace(" ", "-")
    assert rows.parent.name == "synthetic"
    found = (pd.read_csv if suffix == ".csv" else pd.read_parquet)(rows)
    assert found["is_synthetic"].all()
    said = json.loads(card.read_text(encoding="utf-8"))
    assert said["epsilon"] is None if method == COPY else said["epsilon"] == pytest.approx(1.0, rel=1e-3)


def test_what_is_not_offered_is_refused():
    cohort = simulate(draw_people(40, 0), 7, 0).cohort
    few = cohort.select(people=cohort.person_ids[:10])
    measured = type(cohort)("people", cohort.person_ids, cohort.start, cohort.signals, cohort.values.copy())
    for people, words in ((few, "people: expected 40 or more"), (measured, "people: expected simulated ones")):
        with pytest.raises(SpecificationError, match=words):
            explore_synthetic(people)
    exploration = explore_synthetic(cohort)
    for order, words in (
        (("hope", 1.0), "method: expected one of adaptive marginals"),
        ((MARGINALS, 1.0, STREAMS), "method: expected one of fitted simulator"),
        ((MARGINALS, 1.0, "a poem"), "what: expected one of daily table"),
        ((MARGINALS, 0.0), "epsilon: expected above 0"),
        ((MARGINALS, math.inf), "epsilon: expected above 0 and finite"),
    ):
        with pytest.raises(SpecificationError, match=words):
            exploration.make(*order)


def test_nearest_people_are_found_on_both_sides_and_counted():
    made, real, others = (np.array([[each] for each in own]) for own in ((0.0, 1.0, 5.0), (0.1, 4.0), (2.0, 5.5)))
    found = find_nearest_people(made, real, others)
    assert found.real.tolist() == [0, 0, 1]
    assert found.other.tolist() == [0, 0, 1]
    np.testing.assert_allclose(found.real_distances, [0.1, 0.9, 1.0])
    np.testing.assert_allclose(found.other_distances, [2.0, 1.0, 0.5])
    assert found.most_copied_first.tolist() == [0, 1, 2]
    assert [found.count_as_near(place) for place in range(3)] == [(1, 0), (2, 1), (3, 2)]
    assert found.usual == pytest.approx(1.7)


def test_days_are_points_in_spreads_and_days_with_few_hours_are_none():
    values = np.full((2, 48, 1), 76.0)
    values[0, 24:] += 13.0
    values[1, :20] = np.nan
    values[1, 30] = np.nan
    points, whose = place_days(values, ("heart_rate_bpm",))
    assert whose.tolist() == [[0, 0], [0, 1], [1, 1]]
    assert np.linalg.norm(points[1] - points[0]) == pytest.approx(1.0)
    assert np.linalg.norm(points[2] - points[0]) == pytest.approx(0.0)
