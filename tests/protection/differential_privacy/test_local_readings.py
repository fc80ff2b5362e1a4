"""Noise on readings: shapes, bounds, missing hours, guarantees, words."""

import math

import numpy as np
import pytest

from twinlab.budget import NeighboringRelation, PrivacyUnit
from twinlab.errors import DataContractError, SpecificationError
from twinlab.protection.differential_privacy.local import (
    choose_scale,
    compare_mechanisms,
    predict_noise,
    protect_readings,
)
from twinlab.protection.differential_privacy.randomness import open_noise
from twinlab.release import DifferentialPrivacy, NoGuarantee


def rehearse(seed=0):
    return open_noise(rehearsal=True, seed=seed)


def test_values_keep_their_shape_and_unit_and_lose_their_truth():
    readings = np.full((3, 48), 70.0, dtype=np.float32)
    noisy = protect_readings(readings, "heart_rate_bpm", epsilon=1.0, noise=rehearse())
    assert noisy.values.shape == (3, 48)
    assert noisy.n_readings_per_person == 48
    assert not (noisy.values == 70).any()
    assert "76" not in repr(noisy.values.shape)
    assert "array" not in repr(noisy)
    assert "48 readings of a person cost epsilon 48" in noisy.sentence
    assert noisy.person_event.n_times == 48


def test_readings_beyond_the_bounds_get_the_noise_of_the_bound():
    kept, moved = (
        protect_readings(np.full((1, 50), value), "heart_rate_bpm", epsilon=2.0, bounds=(40, 180), noise=rehearse())
        for value in (180.0, 900.0)
    )
    assert (kept.values == moved.values).all()


def test_hidden_hours_look_like_any_other_and_public_ones_are_left_out():
    readings = np.array([[70.0, np.nan, 80.0]])
    hidden = protect_readings(readings, "heart_rate_bpm", epsilon=1.0, noise=rehearse())
    assert not np.isnan(hidden.values).any()
    at_center = readings.copy()
    at_center[0, 1] = 76
    as_measured = protect_readings(at_center, "heart_rate_bpm", epsilon=1.0, noise=rehearse())
    assert (hidden.values == as_measured.values).all()
    public = protect_readings(readings, "heart_rate_bpm", epsilon=1.0, missing="public", noise=rehearse())
    assert np.isnan(public.values).tolist() == [[False, True, False]]
    assert "shows when it measured" in public.sentence


def test_the_guarantee_is_of_one_reading_and_a_rehearsal_has_none():
    readings = np.full((1, 2), 70.0)
    found = protect_readings(readings, "heart_rate_bpm", epsilon=0.7).guarantee
    assert isinstance(found, DifferentialPrivacy)
    assert (found.epsilon, found.delta, found.privacy_unit) == (0.7, 0.0, PrivacyUnit.READING)
    assert found.neighboring_relation is NeighboringRelation.REPLACE_ONE
    rehearsed = protect_readings(readings, "heart_rate_bpm", epsilon=0.7, noise=rehearse()).guarantee
    assert rehearsed == NoGuarantee("noise is reproducible")


def test_a_secret_draw_is_never_repeated():
    readings = np.full((1, 20), 70.0)
    first, second = (protect_readings(readings, "heart_rate_bpm", epsilon=1.0).values for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"bounds": (180, 40)}, "lower < upper"),
        ({"bounds": (0, 180)}, "within 20 to 250 bpm"),
        ({"missing": "drop"}, "hidden, public"),
        ({"mechanism": "gauss"}, "laplace, duchi"),
        ({"epsilon": -1.0}, "epsilon"),
    ],
)
def test_wrong_choices_are_refused(change, word):
    with pytest.raises(SpecificationError, match=word):
        protect_readings(np.full((1, 2), 70.0), "heart_rate_bpm", **{"epsilon": 1.0, **change})


def test_wrong_readings_are_refused_without_showing_them():
    with pytest.raises(DataContractError, match="person, hour"):
        protect_readings(np.zeros(3), "steps", epsilon=1.0)
    with pytest.raises(DataContractError, match="1 infinite") as caught:
        protect_readings(np.array([[71.25, math.inf]]), "heart_rate_bpm", epsilon=1.0)
    assert "71.25" not in str(caught.value)


def test_the_center_is_kept_within_narrow_bounds():
    assert choose_scale("heart_rate_bpm", (100, 180)).center == 100
    scale = choose_scale("heart_rate_bpm", (40, 180))
    assert scale.to_values(scale.to_positions(np.array([55.0]))) == pytest.approx(55)


def test_predicted_noise_is_tabulated_by_mechanism():
    table = compare_mechanisms("heart_rate_bpm", (1.0, 4.0), bounds=(40, 180))
    assert set(table.columns) == {
        *("mechanism", "epsilon", "worst_standard_deviation", "center_standard_deviation", "unit")
    }
    assert len(table) == 8
    by_name = table[table.epsilon == 1].set_index("mechanism").worst_standard_deviation
    assert by_name.idxmin() == "hybrid"
    assert by_name["laplace"] == pytest.approx(predict_noise("heart_rate_bpm", 1.0, "laplace", (40, 180)))
    assert (table.center_standard_deviation <= table.worst_standard_deviation + 1e-9).all()
