import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.evaluation.utility import measure_coverage, measure_errors


@pytest.fixture
def readings():
    draw = np.random.default_rng(0)
    actual = draw.normal(70, 10, (30, 100))
    predictions = {"twin": actual + draw.normal(0, 3, actual.shape), "pooled": actual + draw.normal(0, 6, actual.shape)}
    return actual, predictions, draw.random(actual.shape) < 0.8


def test_errors_are_those_of_their_definitions(readings):
    actual, predictions, counted = readings
    found = {each.name: each for each in measure_errors("heart_rate_bpm", actual, predictions, counted)}
    error = (predictions["twin"] - actual)[counted]
    assert found["heart_rate_bpm_mae"].value == pytest.approx(np.abs(error).mean())
    assert found["heart_rate_bpm_rmse"].value == pytest.approx(np.sqrt((error**2).mean()))
    assert found["heart_rate_bpm_r2"].value == pytest.approx(1 - (error**2).mean() / actual[counted].var())
    assert found["heart_rate_bpm_share_made_worse"].value == 0
    rmse = found["heart_rate_bpm_rmse"]
    assert rmse.interval[0] < rmse.value < rmse.interval[1] < rmse.baseline
    assert {row["model"] for row in rmse.table} == {"twin", "pooled"}
    assert found["heart_rate_bpm_worst_decile_mae"].value > found["heart_rate_bpm_mae"].value


def test_coverage_names_the_person_served_worst():
    actual = np.zeros((3, 50))
    lower, upper = np.full(actual.shape, -1.0), np.zeros(actual.shape)
    upper[2, :10] = -0.5
    mean, worst = measure_coverage("steps", actual, lower, upper, np.ones(actual.shape, bool))
    assert mean.value == pytest.approx(140 / 150)
    assert worst.value == pytest.approx(0.8)


def test_findings_do_not_depend_on_hours_that_do_not_count(readings):
    actual, predictions, counted = readings
    changed = {name: np.where(counted, values, np.nan) for name, values in predictions.items()}
    assert measure_errors("heart_rate_bpm", actual, predictions, counted) == measure_errors(
        "heart_rate_bpm", actual, changed, counted
    )


def test_arrays_that_cannot_be_compared_are_refused_without_values(readings):
    actual, predictions, counted = readings
    with pytest.raises(DataContractError, match="counted"):
        measure_errors("steps", actual, predictions, np.zeros_like(counted))
    with pytest.raises(DataContractError, match="shape"):
        measure_errors("steps", actual, {"twin": actual[:2], "pooled": actual}, counted)
    broken = dict(predictions, twin=np.full_like(actual, np.nan))
    with pytest.raises(DataContractError, match="missing"):
        measure_errors("steps", actual, broken, counted)
    with pytest.raises(DataContractError, match="rival"):
        measure_errors("steps", actual, predictions, counted, baseline="rival")
