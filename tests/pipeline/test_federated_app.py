"""The federation of an experiment as a Flower app: own rows alone, results written down, nothing private told."""

import json

import numpy as np
import pytest
import torch

import twinlab as tl
from twinlab.cohorts.readings import load_readings, write_readings
from twinlab.errors import DataContractError, IncompatibleChoicesError, RoundFailedError
from twinlab.pipeline.federated_app import charge_federation, make_client_app, make_server_app
from twinlab.pipeline.federated_record import AppStart, load_final_weights
from twinlab.pipeline.federating import federate, prepare_federation
from twinlab.pipeline.own_readings import load_own_readings
from twinlab.protection.federated import strategy
from twinlab.protection.federated.federation import run_app
from twinlab.protection.federated.grid import EmbeddedGrid

LEARN = {"learn.kind": "federated", "learn.n_rounds": 2, "learn.batch_rows": 16}
SMALL = {**LEARN, "cohort.n_people": 4, "cohort.n_days": 6}
REAL = {**LEARN, "cohort.kind": "readings", "cohort.path": "each device has its own"}
SECURE = {"learn.aggregation.kind": "secure", "learn.aggregation.group_size": 4}


@pytest.fixture(scope="module")
def experiment():
    return tl.Experiment().with_(SMALL)


@pytest.fixture(scope="module")
def cohort(experiment):
    return tl.load_cohort(experiment)


@pytest.fixture
def run(tmp_path):
    """Run an experiment's app in this process; give its weights and its reports."""

    def act(experiment, n_devices=4, node_configs=None, tell=None, **config):
        grid = EmbeddedGrid(make_client_app(experiment), n_devices, strict=False)
        for node, own in zip(grid.get_node_ids(), node_configs or [{}] * n_devices, strict=True):
            grid.find_context(node).node_config |= own
        files = {"final-weights": str(tmp_path / "weights.npz"), "round-reports": str(tmp_path / "reports.json")}
        run_app(make_server_app(experiment, tell), grid, {**files, "min-devices": n_devices, **config})
        with np.load(tmp_path / "weights.npz") as stored:
            weights = {name: stored[name] for name in stored.files}
        return weights, json.loads((tmp_path / "reports.json").read_text(encoding="utf-8"))

    return act


@pytest.mark.parametrize("more", [{}, SECURE, {"learn.strategy": "fedmedian"}, {"learn.clients_per_round": 3}])
def test_the_app_learns_what_the_experiment_learns(experiment, cohort, run, more):
    chosen = experiment.with_(more)
    found, reports = run(chosen)
    expected = federate(chosen, prepare_federation(chosen, cohort))
    for name, value in expected.state.items():
        assert np.abs(found[name] - value[0].numpy()).max() < 1e-6
    assert [each["n_replied"] for each in reports["rounds"]] == [each.n_replied for each in expected.rounds]


def test_the_run_is_told_and_written_down(experiment, run, tmp_path):
    said = []
    weights, reports = run(experiment, tell=said.append)
    assert len(said) == 2
    assert said[0].startswith("round 1 of 2: 4 of 4 devices, mean loss ")
    assert reports["is_complete"]
    assert reports["experiment"] == experiment.fingerprint
    assert reports["guarantee"].startswith("no guarantee")
    population = load_final_weights(experiment, tmp_path / "weights.npz")
    start = AppStart.of(experiment)
    assert float((population.forecast_mean - start.population.forecast_mean).abs().max()) > 1e-3
    assert weights["bias_0"].shape == tuple(start.state["bias_0"].shape[1:])
    assert {path.name for path in tmp_path.iterdir()} == {"weights.npz", "reports.json"}


def test_weights_of_another_model_are_refused(experiment, run, tmp_path):
    run(experiment)
    with pytest.raises(DataContractError, match="name its experiment"):
        load_final_weights(experiment.with_({"twin.n_features": 8}), tmp_path / "weights.npz")
    (tmp_path / "weights.npz").write_bytes(b"no weights")
    with pytest.raises(DataContractError, match="cannot be read"):
        load_final_weights(experiment, tmp_path / "weights.npz")


def test_a_private_run_promises_and_reports_no_losses(experiment, run):
    _, reports = run(experiment.with_({"learn.privacy": "person"}))
    assert reports["guarantee"].startswith("differential privacy, epsilon 2, ")
    assert [each["mean_loss"] for each in reports["rounds"]] == [None, None]
    assert all(each["n_replied"] == 4 for each in reports["rounds"])


def test_each_device_loads_its_own_person(experiment, cohort):
    for number, person in enumerate(cohort.person_ids):
        own = load_own_readings(experiment, {"partition-id": number})
        assert own.person_ids == (person,)
        assert np.array_equal(own.values[0], cohort.values[number], equal_nan=True)
    shipped = experiment.with_({"cohort": "shipped"})
    everybody = tl.load_cohort(shipped)
    own = load_own_readings(shipped, {"partition-id": 39})
    assert own.person_ids == everybody.person_ids[39:]
    assert np.array_equal(own.values[0], everybody.values[39], equal_nan=True)


def test_people_beyond_the_first_block_are_the_same_people():
    many = tl.Experiment().with_({**SMALL, "cohort.n_people": 70, "cohort.n_days": 3})
    everybody = tl.load_cohort(many)
    own = load_own_readings(many, {"partition-id": 66})
    assert own.person_ids == everybody.person_ids[66:67]
    assert np.allclose(own.values[0], everybody.values[66], equal_nan=True)


def test_real_devices_read_their_own_file_and_miss_what_they_do_not_measure(cohort, run, tmp_path):
    configs = []
    for number, person in enumerate(cohort.person_ids):
        # the third band measures no glucose and no sleep
        signals = cohort.signals[:4] if number == 2 else cohort.signals
        write_readings(cohort.select(people=[person], signals=signals), tmp_path / f"{number}.csv")
        configs.append({"readings": str(tmp_path / f"{number}.csv")})
    real = tl.Experiment().with_(REAL)
    own = load_own_readings(real, {"partition-id": 2, **configs[2]})
    assert own.signals == cohort.signals
    assert np.isnan(own.values[..., 4:]).all()
    first = round((own.start - cohort.start).total_seconds() / 3600)  # days without a reading are in no file
    measured = cohort.values[2, first : first + own.n_hours, :4]
    assert np.isfinite(measured).sum() > 100
    assert np.allclose(own.values[0, :, :4], measured, rtol=1e-6, equal_nan=True)
    weights, reports = run(real, node_configs=configs)
    assert [each["n_replied"] for each in reports["rounds"]] == [4, 4]
    assert all(np.isfinite(value).all() for value in weights.values())


@pytest.mark.parametrize(
    ("changes", "config", "error", "words"),
    [
        (REAL, {"partition-id": 0}, tl.SpecificationError, 'expected readings="FILE"'),
        (SMALL, {"partition-id": 0, "readings": "mine.csv"}, tl.SpecificationError, "cohort.kind = 'readings'"),
        (SMALL, {"partition-id": 4}, tl.SpecificationError, "below 4 people, got 4"),
        (SMALL, {"partition-id": True}, tl.SpecificationError, "number from 0 on"),
        (SMALL, {}, tl.SpecificationError, "--node-config 'partition-id=0'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, config, error, words):
    with pytest.raises(error, match=words):
        load_own_readings(tl.Experiment().with_(changes), config)


def test_a_file_with_two_people_is_no_device(cohort, tmp_path):
    write_readings(cohort.select(people=cohort.person_ids[:2]), tmp_path / "two.csv")
    assert load_readings(tmp_path / "two.csv").n_people == 2
    with pytest.raises(DataContractError, match="got 2 people"):
        load_own_readings(tl.Experiment().with_(REAL), {"partition-id": 0, "readings": str(tmp_path / "two.csv")})


def test_what_is_wrong_with_a_persons_file_stays_on_the_device(cohort, tmp_path, run):
    """The server learns that a device failed, never what its file holds, nor how it is called."""
    configs = []
    for number, person in enumerate(cohort.person_ids):
        write_readings(cohort.select(people=[person]), tmp_path / f"{number}.csv")
        configs.append({"readings": str(tmp_path / f"{number}.csv")})
    (tmp_path / "private name.csv").write_text("person_id,time,steps\nada,2025-03-01T07:00,secret 4711\n")
    configs[1] = {"readings": str(tmp_path / "private name.csv")}
    real, heard = tl.Experiment().with_({**REAL, "learn.quorum_share": 0.5}), []
    grid = EmbeddedGrid(make_client_app(real), 4, strict=False, on_message=lambda *message: heard.append(repr(message)))
    for node, own in zip(grid.get_node_ids(), configs, strict=True):
        grid.find_context(node).node_config |= own
    files = {"final-weights": str(tmp_path / "weights.npz"), "round-reports": str(tmp_path / "reports.json")}
    run_app(make_server_app(real), grid, {**files, "min-devices": 4})
    errors = [each for each in heard if "'error'" in each]
    assert len(errors) == 2
    assert all("the app raised DataContractError" in each for each in errors)
    text = "".join(heard) + (tmp_path / "reports.json").read_text()
    assert not any(word in text for word in ("4711", "secret", "private name", "ada"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learn.kind": "central"}, "learn.kind: expected federated"),
        ({"learn.dropout": 0.1}, "choose 0"),
        ({"learn.n_attackers": 1}, "choose 0"),
        ({"learn.aggregation": "encrypted"}, "aggregation = 'secure'"),
        ({"cohort.kind": "fitbit", "cohort.path": "export"}, "cohort.kind = 'readings'"),
        ({"sense": "noisy_readings"}, "sense = 'unprotected'"),
        ({"share": "private_answers"}, "share = 'unprotected'"),
        ({"learn.aggregation": "secure"}, "choose a smaller group_size"),
    ],
)
def test_what_no_app_can_do_is_refused_with_its_neighbour(changes, words):
    chosen = tl.Experiment().with_({"cohort.n_people": 4} | ({} if "learn.kind" in changes else {"learn": "federated"}))
    chosen = chosen.with_(changes)
    for make in (make_client_app, make_server_app):
        with pytest.raises(IncompatibleChoicesError, match=words):
            make(chosen)


def test_a_server_waits_for_devices_and_says_how_many_came(experiment, run):
    with pytest.raises(RoundFailedError, match="expected 5 devices within 0 s, got 4"):
        run(experiment, **{"min-devices": 5, "wait-seconds": 0})


def test_a_run_that_breaks_off_keeps_its_finished_round_and_fails(experiment, run, tmp_path, monkeypatch):
    whole = strategy.admit_replies

    def admit(replies, *arguments, **named):
        admit.n_rounds += 1
        return whole(replies if admit.n_rounds == 1 else [], *arguments, **named)

    admit.n_rounds = 0
    monkeypatch.setattr(strategy, "admit_replies", admit)
    with pytest.raises(RoundFailedError, match=r"expected 2 rounds, got 1: .*usable replies"):
        run(experiment)
    reports = json.loads((tmp_path / "reports.json").read_text(encoding="utf-8"))
    assert not reports["is_complete"]
    assert "usable replies" in reports["stopped_because"]
    assert [each["round"] for each in reports["rounds"]] == [1]
    assert torch.isfinite(load_final_weights(experiment, tmp_path / "weights.npz").forecast_mean).all()


def test_real_people_are_charged_at_the_server_before_the_first_round(run, cohort, tmp_path):
    configs = []
    for number, person in enumerate(cohort.person_ids):
        write_readings(cohort.select(people=[person]), tmp_path / f"{number}.csv")
        configs.append({"readings": str(tmp_path / f"{number}.csv")})
    private = {"learn.privacy.kind": "person", "learn.privacy.expected_people": 10, "budget.epsilon": 2.5}
    real = tl.Experiment().with_({**REAL, **private})
    ledger = str(tmp_path / "ledger.sqlite")
    _, reports = run(real, node_configs=configs, ledger=ledger)
    assert reports["is_complete"]
    with pytest.raises(tl.BudgetExhaustedError):
        run(real, node_configs=configs, ledger=ledger)
    with pytest.raises(tl.BudgetExhaustedError):
        charge_federation(real, "devices", ledger)
    assert charge_federation(real, "another study", ledger) is not None


def test_people_who_do_not_exist_are_charged_nothing(experiment, tmp_path):
    assert charge_federation(experiment.with_({"learn.privacy": "person"}), path=str(tmp_path / "none")) is None
    assert charge_federation(tl.Experiment().with_(REAL), path=str(tmp_path / "none")) is None
    assert not (tmp_path / "none").exists()


def test_results_replace_nothing_but_files(experiment, tmp_path):
    """As root, a device such as /dev/null could be replaced by a file."""
    for name in ("final-weights", "round-reports"):
        other = "round-reports" if name == "final-weights" else "final-weights"
        config = {name: str(tmp_path), other: str(tmp_path / "file"), "min-devices": 4}
        with pytest.raises(tl.SpecificationError, match=name):
            run_app(make_server_app(experiment), EmbeddedGrid(make_client_app(experiment), 4), config)
