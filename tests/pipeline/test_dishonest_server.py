import numpy as np
import pytest

from twinlab.errors import DataContractError
from twinlab.pipeline.dishonest_server import play_dishonest_server
from twinlab.protection.federated.secure_sum.client import SecureClient

VECTORS = np.random.default_rng(5).uniform(-1, 1, (5, 60))
#: What our clients say to each script.
ANSWERS = {
    "names a device alive and vanished at once": "alive or dead, got one named both",
    "asks again, as if the device had vanished": "only once",
    "shows each device another list of survivors": "own signature",
    "lets all vanish but one": "at least 3 survivors, got 1",
    "plays the same round a second time": "a round above 1, got 1",
    "sends all others a model without updates": "sent the same model",
}


@pytest.fixture(scope="module")
def finding():
    return play_dishonest_server(VECTORS, 1.0)


def test_every_script_reads_the_vector_from_clients_without_checks(finding):
    """The positive control: a script that failed here would prove nothing about ours."""
    assert finding.baseline == 1.0
    assert all(row["without_checks"] and row["worst_error"] < 1e-8 for row in finding.table)


def test_no_script_reads_it_from_ours_and_each_is_refused_for_its_own_reason(finding):
    assert finding.value == 0.0
    assert {row["server"] for row in finding.table} == set(ANSWERS)
    for row in finding.table:
        assert not row["ours"]
        assert ANSWERS[row["server"]] in row["answer"]


def test_the_sentence_counts(finding):
    assert finding.sentence == (
        "A lying server plays 6 scripts: from clients without checks 6 of them read one client's vector, from ours 0."
    )


@pytest.mark.parametrize(
    ("check", "script"),
    [
        ("_check_request", "names a device alive and vanished at once"),
        ("_check_key_list", "sends all others a model without updates"),
    ],
)
def test_a_client_that_lost_a_check_is_seen(monkeypatch, check, script):
    """The lesson would notice a broken client: that script gets through."""
    monkeypatch.setattr(SecureClient, check, lambda *_: None)
    found = play_dishonest_server(VECTORS, 1.0)
    assert script in {row["server"] for row in found.table if row["ours"]}
    assert found.value < 1.0


def test_other_numbers_of_clients_are_refused():
    with pytest.raises(DataContractError, match=r"\(5, parameter\)"):
        play_dishonest_server(VECTORS[:4], 1.0)
    with pytest.raises(DataContractError, match="clip"):
        play_dishonest_server(VECTORS, 0.1)
