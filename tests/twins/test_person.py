import numpy as np
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.twins.action import Action
from twinlab.twins.person import open_twin


@pytest.fixture(scope="module")
def twin(small_population, few_people):
    return open_twin(small_population, few_people, few_people.person_ids[0])


def test_a_forecast_has_a_row_per_hour_and_signal(twin):
    table = twin.forecast(150, 5)
    assert list(table) == ["time", "horizon_hours", "signal", "mean", "lower", "upper", "actual"]
    assert len(table) == 5 * len(twin.targets)
    assert (table.lower <= table.upper).all()
    assert (table.time.iloc[0] - twin.times[150]).total_seconds() == 3600


def test_the_last_hour_can_be_asked_for_what_nobody_has_seen(twin):
    table = twin.forecast(twin.n_hours - 1)
    assert table.actual.isna().all()
    assert table["mean"].notna().all()


def test_what_if_adds_its_effect_to_the_forecast(twin):
    action = Action(minutes=30, start_in_hours=1)
    table, forecast = twin.what_if(150, action, 4), twin.forecast(150, 4)
    np.testing.assert_allclose(table.with_action, table.without + table.effect, rtol=1e-5)
    for signal in table.signal.unique():
        np.testing.assert_allclose(table[table.signal == signal].without, forecast[forecast.signal == signal]["mean"])
    assert (table[table.horizon_hours == 1].effect == 0).all()
    steps = table[(table.signal == "steps") & (table.horizon_hours == 2)]
    assert steps.effect.iloc[0] > 1000
    assert (table.effect_lower <= table.effect_upper).all()


def test_doing_nothing_changes_nothing(twin):
    assert (twin.what_if(150, Action(minutes=0)).effect.abs() < 1e-4).all()


def test_history_ends_with_the_hour_asked(twin):
    table = twin.history(100, 48)
    assert len(table) == 48 * len(twin.targets)
    assert table.time.max() == twin.times[100]


def test_personalization_compares_models_on_the_same_days(twin):
    table = twin.personalization()
    assert set(table.model) >= {"twin", "pooled", "persistence"}
    days = table.groupby(["signal", "model"]).day.agg(tuple)
    assert all(days.loc[signal].nunique() == 1 for signal in twin.targets)


def test_the_wrong_hour_and_person_are_refused_without_values(twin, small_population, few_people):
    with pytest.raises(SpecificationError, match="hour: expected 0 to"):
        twin.forecast(10_000)
    with pytest.raises(DataContractError) as refused:
        open_twin(small_population, few_people, "somebody-else")
    assert "somebody-else" not in str(refused.value)
    assert few_people.person_ids[0] not in repr(twin)
