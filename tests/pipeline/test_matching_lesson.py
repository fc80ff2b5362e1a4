import pytest
import torch

from twinlab.errors import SpecificationError
from twinlab.pipeline.matching_lesson import MATCHING_SETTINGS, draw_day_rows
from twinlab.pipeline.reconstruction import UpdateSetting, attack_updates


@pytest.fixture(scope="module")
def rows():
    return draw_day_rows(n_devices=12, n_rows=4)


def test_days_are_whole_standardised_and_not_those_of_public_people(rows):
    assert rows.inputs.shape[1:] == (4, 24)
    assert bool(torch.isfinite(rows.inputs).all())
    torch.testing.assert_close(rows.public.std(0), torch.ones(24), rtol=0.01, atol=0.01)
    assert 0.1 < float(rows.targets.mean()) < 0.9
    assert float(torch.cdist(rows.inputs.flatten(0, 1), rows.public).min()) > 0
    assert rows.name == "days of heart rate"


def test_hours_of_a_day_hang_together(rows):
    """Neighbouring hours are nearer than hours far apart; a table of independent inputs would show no difference."""
    apart = [float((rows.public[:, shift:] - rows.public[:, : 24 - shift]).square().mean()) for shift in (1, 8)]
    assert apart[0] < 0.8 * apart[1]


def test_a_day_is_read_back_from_one_update_and_the_table_says_how(rows):
    setting = UpdateSetting("one day", "optimised", n_rows=1, prior="smooth", activation="tanh")
    row = attack_updates(rows, (setting,), n_updates=2).table[0]
    assert row["exact"] == 1.0
    assert row["prior"] == "smooth"


def test_settings_and_days_that_make_no_sense_are_refused():
    with pytest.raises(SpecificationError, match="expected activation relu"):
        UpdateSetting("bad", "slices", activation="tanh")
    with pytest.raises(SpecificationError, match="expected a signal among"):
        draw_day_rows("mood")
    with pytest.raises(SpecificationError, match="days without a gap"):
        draw_day_rows(n_devices=2, n_rows=30, n_days=28)
    assert len({setting.name for setting in MATCHING_SETTINGS}) == len(MATCHING_SETTINGS)
