import numpy as np
import pytest

from twinlab.errors import DataContractError, SpecificationError
from twinlab.twins.feature import FeatureTable, choose_targets, require_signals, scale, unscale


def test_scaling_goes_there_and_back_within_public_bounds():
    values = np.array([0.0, 300.0, 9000.0])
    np.testing.assert_allclose(unscale(scale(values, "steps"), "steps"), values)
    assert unscale(np.array([-99.0]), "steps")[0] == 0


def test_features_have_the_promised_width_and_no_gaps(few_people):
    table = FeatureTable(few_people, ("steps", "heart_rate_bpm"), 24)
    for horizon in (1, 7, 24):
        short, level = table.short(horizon), table.level(horizon)
        assert short.shape[-1] == table.n_short
        assert level.shape[-1] == table.n_level
        assert np.isfinite(short).all()
        assert np.isfinite(level).all()


def test_yesterday_in_the_level_is_the_hour_a_day_before_the_target(few_people):
    table = FeatureTable(few_people, ("glucose_mg_dl",), 48)
    known = ~np.isnan(table.values[..., 0])
    for horizon, back in ((1, 24), (24, 24), (25, 48)):
        origin = 120
        people = known[:, origin + horizon - back]
        expected = table.values[people, origin + horizon - back, 0].clip(-6, 6)
        np.testing.assert_allclose(table.level(horizon)[people, origin, 0], expected)


def test_unknown_targets_are_refused_by_name():
    with pytest.raises(SpecificationError, match="glucose_mg_dl"):
        choose_targets(("steps",), ("glucose_mg_dl",))
    with pytest.raises(SpecificationError, match="none"):
        choose_targets(("sleep_min",), None)


def test_a_cohort_without_a_signal_is_refused_by_name(few_people):
    with pytest.raises(DataContractError, match="heart_rate_bpm"):
        require_signals(few_people.select(signals=["steps"]), ("steps", "heart_rate_bpm"))
