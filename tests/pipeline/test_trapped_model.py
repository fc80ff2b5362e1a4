import pytest

from twinlab.errors import SpecificationError
from twinlab.pipeline import trapped_model
from twinlab.pipeline.reconstruction import draw_normal_rows
from twinlab.pipeline.trapped_model import HONEST, OPEN, SMALL, TURNED, offer_models


@pytest.fixture(scope="module")
def finding():
    return offer_models(draw_normal_rows(n_devices=20))


def test_an_honest_model_is_trained_and_an_open_trap_refused(finding):
    rows = {row["model"]: row for row in finding.table}
    assert not rows[HONEST]["is_refused"]
    assert rows[OPEN]["is_refused"]
    assert "64 of 64 with a twin" in rows[OPEN]["answer"]
    assert rows[HONEST]["share"] < 0.03
    assert rows[OPEN]["share"] > 0.2


def test_traps_that_know_the_check_pass_it_and_still_read(finding):
    """What the check does not catch, told in the notebook; if a better check catches them, that text is to change."""
    rows = {row["model"]: row for row in finding.table}
    assert not rows[SMALL]["is_refused"]
    assert not rows[TURNED]["is_refused"]
    assert rows[SMALL]["share"] > 2 * rows[HONEST]["share"]
    assert rows[TURNED]["share"] > 0.15
    assert (finding.value, finding.baseline) == (rows[TURNED]["share"], rows[OPEN]["share"])


def test_without_the_check_the_open_trap_is_trained(monkeypatch):
    monkeypatch.setattr(trapped_model, "inspect_model", lambda state: None)
    table = offer_models(draw_normal_rows(n_devices=4), n_updates=2).table
    assert not any(row["is_refused"] for row in table)


def test_the_same_seed_gives_the_same_and_too_few_records_are_refused():
    rows = draw_normal_rows(n_devices=4, n_rows=16)
    assert offer_models(rows, n_updates=3, n_rows=16) == offer_models(rows, n_updates=3, n_rows=16)
    with pytest.raises(SpecificationError, match="64 records"):
        offer_models(rows)
