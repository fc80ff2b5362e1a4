"""Twins whose shared part is learned on devices: what is learned, what crosses, what it costs, who is refused."""

import numpy as np
import pytest
import torch

import twinlab as tl
from twinlab.budget import ComposedEvent
from twinlab.cohorts.dataset import load_cohort
from twinlab.cohorts.readings import write_readings
from twinlab.errors import IncompatibleChoicesError
from twinlab.pipeline.account import find_account
from twinlab.pipeline.band_task import put_weights, read_weights
from twinlab.pipeline.federating import (
    federate,
    find_clip_norm,
    learn_federated,
    make_encrypted_terms,
    plan_federation,
    prepare_federation,
)
from twinlab.protection.differential_privacy.accounting import compute_epsilon
from twinlab.release import DifferentialPrivacy, Encrypted, NoGuarantee, SecretShared, Transcript
from twinlab.roles import report_nothing

SMALL = {"cohort.n_people": 20, "cohort.n_days": 10, "learn.kind": "federated", "learn.n_rounds": 4}


@pytest.fixture(scope="module")
def experiment():
    return tl.Experiment().with_(SMALL)


@pytest.fixture(scope="module")
def ground(experiment):
    return prepare_federation(experiment, tl.load_cohort(experiment))


def test_a_run_learns_and_its_transcript_holds_updates_and_no_readings(experiment):
    result = tl.run(experiment)
    assert result.federation.is_complete
    assert len(result.federation.rounds) == 4
    gain = next(each for each in result.findings if each.name == "heart_rate_bpm_training_gain")
    assert gain.value > 0.005
    assert {row["what"].split(",")[0] for row in result.transcript.rows()} == {"model", "update"}
    seen = result.transcript.seen_by("server")
    assert [message.n_messages for message in seen] == [20] * 4
    assert all(isinstance(message.guarantee, NoGuarantee) for message in seen)
    sizes = {value.size for payload in seen[0].payload for value in payload["arrays"].values()}
    mean = result.population.forecast_mean
    assert sizes == {mean.numel(), mean.shape[1]}


def test_weights_survive_the_way_to_a_linear_model_and_back(ground):
    drawn = torch.randn(ground.start.forecast_mean.shape, generator=torch.Generator().manual_seed(1))
    population = put_weights(ground.start, ground.geometry, read_weights(ground.start, ground.geometry))
    assert torch.allclose(population.forecast_mean, ground.start.forecast_mean, atol=1e-4)
    other = ground.start.__class__(**{**ground.start.__dict__, "forecast_mean": drawn})
    back = put_weights(other, ground.geometry, read_weights(other, ground.geometry))
    assert torch.allclose(back.forecast_mean, drawn, atol=1e-3)


def test_a_row_lies_in_the_place_of_its_band_alone(ground):
    task = ground.task
    rows = task.load([3, 1])
    n_features = task.features.shape[2]
    for row, band in enumerate(task.bands.tolist()):
        place = slice(band * n_features, (band + 1) * n_features)
        assert torch.equal(rows.inputs[0, row, place], task.features[3, row])
        assert rows.inputs[0, row].count_nonzero() == rows.inputs[0, row, place].count_nonzero()
    assert torch.equal(rows.targets[1], task.answers[1])


def test_one_round_of_one_step_is_one_step_of_central_descent(experiment, ground):
    """The plain version: the mean of everybody's own gradient."""
    once = experiment.with_({"learn.n_rounds": 1, "learn.n_epochs": 1, "learn.clip_norm": 1000})
    found = federate(once, ground).state
    rows = ground.task.load(range(ground.task.n_devices))
    fleet, start = ground.task.fleet.repeat(ground.initial, ground.task.n_devices)
    gradient, _ = fleet.gradients(start, rows.inputs, rows.targets, rows.weights)
    for name, value in found.items():
        wanted = ground.initial[name] - once.learn.learning_rate * gradient[name].mean(0, keepdim=True)
        assert torch.allclose(value, wanted, atol=1e-6)


def test_a_private_federation_promises_what_was_asked_and_dropouts_change_nothing(experiment):
    private = experiment.with_({"learn.privacy": "person", "learn.privacy.epsilon": 3.0, "learn.dropout": 0.3})
    result = tl.run(private)
    guarantee = result.releases[0].guarantee
    assert isinstance(guarantee, DifferentialPrivacy)
    assert 2.9 < guarantee.epsilon <= 3.0
    assert guarantee.privacy_unit == "person"
    assert compute_epsilon(ComposedEvent(result.person_events), 1e-4) == guarantee.epsilon
    assert any(report.n_replied < 20 for report in result.federation.rounds)
    assert all(report.mean_loss is None for report in result.federation.rounds)
    assert result.badges[0].faults == ()
    assert result.badges[0].lower_bound <= guarantee.epsilon


def test_noise_shrinks_the_bound_by_public_rules_alone(experiment):
    bounds = [
        find_clip_norm(experiment.with_({"learn.privacy": "person", "learn.privacy.epsilon": epsilon}))
        for epsilon in (0.5, 2.0, 8.0)
    ]
    assert bounds == sorted(bounds)
    assert find_clip_norm(experiment.with_({"learn.clip_norm": 0.25})) == 0.25


def test_rehearsed_noise_promises_nothing_and_repeats(experiment):
    rehearsed = experiment.with_({"learn.privacy": "person", "learn.privacy.rehearsal": True})
    first, second = (tl.run(rehearsed) for _ in range(2))
    assert isinstance(first.releases[0].guarantee, NoGuarantee)
    assert torch.equal(first.population.forecast_mean, second.population.forecast_mean)
    assert plan_federation(rehearsed) == ()


def test_real_people_are_charged_whole_before_the_first_round(tmp_path):
    cohort, _ = load_cohort(tl.SimulatedCohort(n_people=6, n_days=8))
    write_readings(cohort, tmp_path / "readings.csv")
    real = {"cohort.kind": "readings", "cohort.path": str(tmp_path / "readings.csv"), "learn.kind": "federated"}
    private = {"learn.privacy.kind": "person", "learn.privacy.expected_people": 10, "learn.n_rounds": 3}
    experiment = tl.Experiment().with_({**real, **private, "budget.epsilon": 2.5})
    result = tl.run(experiment, ledger=tmp_path / "ledger.sqlite")
    assert result.ledger.gauge()["spent"] == pytest.approx(result.releases[0].guarantee.epsilon, rel=1e-6)
    with pytest.raises(tl.BudgetExhaustedError):
        tl.run(experiment, ledger=tmp_path / "ledger.sqlite")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learn.aggregation": "secure", "learn.strategy": "krum"}, "strategy = 'fedavg'"),
        ({"learn.privacy": "person", "learn.strategy": "fedmedian"}, "privacy = 'unprotected'"),
        ({"learn.privacy.kind": "person", "learn.privacy.noise_at": "devices"}, "aggregation = 'secure'"),
        ({"learn.strategy": "krum", "learn.n_malicious": 9, "cohort.n_people": 20}, "at most 8 liars"),
        ({"learn.aggregation": "secure", "learn.clients_per_round": 2}, "clients_per_round = 3"),
        ({"learn.aggregation": "encrypted", "learn.strategy": "multikrum"}, "strategy = 'fedavg'"),
        ({"learn.aggregation": "encrypted", "learn.clients_per_round": 2}, "clients_per_round = 3"),
        (
            {
                "learn.aggregation.kind": "encrypted",
                "learn.aggregation.threshold": True,
                "learn.aggregation.key_holder": "devices",
            },
            "key_holder = 'third_party', or threshold = False",
        ),
    ],
)
def test_senseless_mixes_are_refused_with_their_neighbour(experiment, changes, words):
    with pytest.raises(IncompatibleChoicesError, match=words):
        experiment.with_(changes)


def test_liars_are_refused_or_borne(experiment, ground):
    """A tenth of the devices sends ten times the opposite; with the bound at work the mean bears it too."""
    honest = federate(experiment, ground)
    lying = experiment.with_({"learn.n_attackers": 2, "learn.attack": "nan"})
    refused = federate(lying, ground)
    assert {reason for report in refused.rounds for _, reason in report.refused} == {"its update is not finite"}
    robust = federate(experiment.with_({"learn.n_attackers": 2, "learn.strategy": "fedmedian"}), ground)
    for found in (refused, robust):
        assert all(torch.isfinite(value).all() for value in found.state.values())
        moved = found.state["weight_0"] - ground.initial["weight_0"]
        wanted = honest.state["weight_0"] - ground.initial["weight_0"]
        assert float((moved * wanted).sum() / (moved.norm() * wanted.norm())) > 0.7


def test_a_toml_file_without_a_kind_means_the_usual_one(tmp_path):
    (tmp_path / "a.toml").write_text("[learn]\ntrain_fraction = 0.6\n", encoding="utf-8")
    assert tl.Experiment.from_toml(tmp_path / "a.toml").learn == tl.CentralLearning(train_fraction=0.6)
    (tmp_path / "b.toml").write_text(
        '[learn]\nkind = "federated"\n[learn.privacy]\nkind = "person"\n', encoding="utf-8"
    )
    assert tl.Experiment.from_toml(tmp_path / "b.toml").learn.privacy == tl.FederatedPrivacy()


def test_devices_are_explored_under_changing_choices():
    exploration = tl.explore_devices(tl.Experiment().with_(SMALL))
    heard = []
    run = exploration.run(
        {"dropout": 0.3, "n_attackers": 2, "attack": "nan", "quorum_share": 0.2}, on_round=heard.append
    )
    assert [view.report.round for view in heard] == [1, 2, 3, 4]
    assert run.rounds == tuple(heard)
    counts = {word: run.rounds[0].status.count(word) for word in ("answered", "vanished", "refused")}
    assert sum(counts.values()) == 20
    assert counts["answered"] == run.rounds[0].report.n_replied
    assert run.rounds[0].is_liar.sum() == 2
    assert run.finding("steps").table[-1]["error"] == run.rounds[-1].errors["steps"]
    assert run.sent.shape == (len(run.sent_by), 40)
    assert 5 < len(run.sent_by) <= 12
    assert np.nanmax(np.abs(run.sent)) <= 1
    short = exploration.run({"dropout": 0.9})
    assert "expected usable replies" in short.training.stopped_because
    few = exploration.run({"clients_per_round": 5}, n_devices=10)
    assert few.rounds[0].status.count("not asked") == 5
    with pytest.raises(tl.SpecificationError, match="2 to 20"):
        exploration.run(n_devices=21)


def test_a_stopped_federation_keeps_its_finished_rounds():
    exploration = tl.explore_devices(tl.Experiment().with_(SMALL))

    def stop(what, done, total):
        if what == "rounds" and done == 2:
            raise KeyboardInterrupt

    run = exploration.run(progress=stop)
    assert len(run.rounds) == 2
    assert "stopped early" in run.finding("steps").sentence


def test_masked_updates_give_the_weights_of_plain_ones_and_the_server_reads_none(experiment, ground):
    few = experiment.with_({"learn.n_rounds": 2, "learn.aggregation": "secure"})
    plain, masked = federate(experiment.with_({"learn.n_rounds": 2}), ground), federate(few, ground)
    for name, value in plain.state.items():
        assert torch.allclose(masked.state[name], value, atol=1e-5)
    result = tl.run(few.with_({"learn.dropout": 0.2}))
    rows = result.transcript.rows()
    assert {row["what"].split(",")[0] for row in rows if row["receiver"] == "server"} == {
        *("identity key", "keys of the round", "sealed shares", "masked update", "signed list of survivors"),
        "shares that open the sum",
    }
    sent = [message for message in result.transcript.seen_by("server") if message.kind.startswith("masked update")]
    assert all(isinstance(message.guarantee, SecretShared) for message in sent)
    for message in sent:
        for payload in message.payload:
            assert payload["masked"].dtype == np.uint32
            assert abs(payload["masked"].mean() / 2**32 - 0.5) < 0.06  # of 1000 uniform numbers, 6 standard deviations


def test_devices_that_add_the_noise_themselves_keep_the_same_promise(experiment):
    changes = {"learn.aggregation": "secure", "learn.privacy.kind": "person", "learn.privacy.noise_at": "devices"}
    at_devices = experiment.with_({**changes, "learn.n_rounds": 2})
    at_server = at_devices.with_({"learn.privacy.noise_at": "server"})
    results = [tl.run(each) for each in (at_devices, at_server)]
    assert results[0].federation.is_complete
    assert results[0].releases[0].guarantee.epsilon == results[1].releases[0].guarantee.epsilon
    # more noise in all, since the fewest who may open a sum must suffice, so updates are shortened further
    assert find_clip_norm(at_devices) < find_clip_norm(at_server)


ENCRYPTED = {"learn.n_rounds": 2, "learn.aggregation.kind": "encrypted"}
#: Rounding of an update of at most 1 in 16 bits, twice, as it is carried on.
ROUNDING = 4 / 2**15


def test_encrypted_updates_give_the_weights_of_plain_ones_under_dropouts(experiment, ground):
    lossy = {"learn.dropout": 0.2, "learn.n_attackers": 2, "learn.attack": "nan"}
    plain = federate(experiment.with_({"learn.n_rounds": 2, **lossy}), ground)
    found = federate(experiment.with_({**ENCRYPTED, **lossy}), ground)
    for name, value in plain.state.items():
        assert float((found.state[name] - value).abs().max()) < ROUNDING
    assert [report.n_replied for report in found.rounds] == [report.n_replied for report in plain.rounds]
    assert [node for node, _ in found.rounds[0].refused] == [node for node, _ in plain.rounds[0].refused]


@pytest.mark.parametrize(
    ("changes", "names", "holder"),
    [
        ({}, ("key holder",), "the key holder"),
        ({"key_holder": "devices"}, ("device",), "one device together with the server opens every update"),
        ({"threshold": True, "n_trustees": 2}, ("trustee 1", "trustee 2"), "all 2 trustees together (experimental)"),
    ],
)
def test_the_transcript_says_who_reads_what_of_encrypted_sums(experiment, changes, names, holder):
    more = {f"learn.aggregation.{name}": value for name, value in changes.items()}
    chosen, transcript = experiment.with_({**ENCRYPTED, **more}), Transcript()
    cohort = tl.load_cohort(chosen)
    learned = learn_federated(chosen, cohort, find_account(chosen, cohort, None), report_nothing, transcript)
    assert learned.federation.is_complete
    seen = [message for message in transcript.seen_by("server") if "key" not in message.kind]
    updates = [message for message in seen if message.sender == "device" and message.kind.startswith("encrypted")]
    assert [message.n_messages for message in updates] == [20, 20]
    for message in updates:
        assert isinstance(message.guarantee, Encrypted)
        assert message.guarantee.scheme == "BFV"
        assert message.guarantee.security_bits >= 128
        assert holder in str(message.guarantee)
        assert sum(payload["encrypted"].nbytes for payload in message.payload) == message.n_bytes
        assert all(set(payload) == {"node", "encrypted"} for payload in message.payload)
    opened = [message for message in seen if message not in updates]
    what = "partial opening" if "threshold" in changes else "sum"
    assert [(message.sender, message.kind) for message in opened] == [
        (name, f"{what}, round {number}") for number in (1, 2) for name in names
    ]
    assert all("who read it, are trusted with it" in str(message.guarantee) for message in opened)
    for name in names:
        got = [message for message in transcript.seen_by(name) if message.kind.startswith("encrypted sum")]
        assert [message.n_messages for message in got] == [1, 1]
    keys = [row for row in transcript.rows() if row["what"] == "public key"]
    assert [(row["messages"], row["receiver"]) for row in keys] == [(20, "device")]


@pytest.mark.parametrize("noise_at", ["server", "devices"])
def test_a_private_encrypted_federation_keeps_the_promise_and_is_paid_once(experiment, noise_at):
    private = experiment.with_(
        {**ENCRYPTED, "learn.privacy.kind": "person", "learn.privacy.noise_at": noise_at, "learn.dropout": 0.2}
    )
    result = tl.run(private)
    assert result.federation.is_complete
    assert 1.9 < result.releases[0].guarantee.epsilon <= 2.0
    # as for plain sums: a Gaussian event a round, and nothing beside
    plain = plan_federation(private.with_({"learn.aggregation": "plain", "learn.privacy.noise_at": "server"}))
    assert result.person_events == plain
    assert compute_epsilon(ComposedEvent(plain), 1e-4) == result.releases[0].guarantee.epsilon
    assert all(report.mean_loss is None for report in result.federation.rounds)
    sums = [message for message in result.transcript.seen_by("server") if message.sender == "key holder"]
    assert len(sums) == 2
    kind = DifferentialPrivacy if noise_at == "devices" else NoGuarantee
    assert all(isinstance(message.guarantee, kind) for message in sums)


def test_rehearsed_noise_under_encryption_gives_the_weights_of_plain_sums(experiment, ground):
    """The same noise at the server, so that what is left is rounding."""
    noisy = {"learn.n_rounds": 2, "learn.privacy.kind": "person", "learn.privacy.rehearsal": True, "learn.dropout": 0.2}
    plain = federate(experiment.with_(noisy), ground)
    found = federate(experiment.with_({**noisy, "learn.aggregation": "encrypted"}), ground)
    for name, value in plain.state.items():
        assert float((found.state[name] - value).abs().max()) < ROUNDING


def test_more_noise_of_devices_is_bounded_by_who_must_stay(experiment):
    noisy = {**ENCRYPTED, "learn.privacy.kind": "person", "learn.privacy.noise_at": "devices"}
    at_devices, at_server = experiment.with_(noisy), experiment.with_({**noisy, "learn.privacy.noise_at": "server"})
    assert find_clip_norm(at_devices) < find_clip_norm(at_server)
    # with more that must stay, each device adds less
    assert find_clip_norm(at_devices) < find_clip_norm(at_devices.with_({"learn.quorum_share": 0.9}))
    terms = [make_encrypted_terms(each, 20) for each in (at_devices, at_devices.with_({"learn.quorum_share": 0.9}))]
    assert [each.fewest for each in terms] == [10, 18]
    for each in terms:
        assert each.noise_scale * each.fewest**0.5 == pytest.approx(each.noise_multiplier * each.clip_norm)


def test_nobody_pays_for_a_federation_that_cannot_be_encrypted(tmp_path):
    cohort, _ = load_cohort(tl.SimulatedCohort(n_people=6, n_days=8))
    write_readings(cohort, tmp_path / "readings.csv")
    real = {"cohort.kind": "readings", "cohort.path": str(tmp_path / "readings.csv"), "learn.kind": "federated"}
    private = {"learn.privacy.kind": "person", "learn.privacy.noise_at": "devices", "learn.privacy.epsilon": 0.5}
    coarse = {"learn.aggregation.kind": "encrypted", "learn.aggregation.bits": 8, "learn.privacy.expected_people": 10}
    with pytest.raises(tl.SpecificationError, match=r"choose \d+ bits more"):
        tl.run(tl.Experiment().with_({**real, **private, **coarse}), ledger=tmp_path / "ledger.sqlite")
    fitting = tl.Experiment().with_({**real, **private, **coarse, "learn.aggregation.bits": 24, "learn.n_rounds": 1})
    result = tl.run(fitting, ledger=tmp_path / "ledger.sqlite")
    assert result.ledger.gauge()["spent"] == pytest.approx(result.releases[0].guarantee.epsilon, rel=1e-5)


def test_what_the_server_reads_of_encrypted_updates_tells_no_device_from_another():
    exploration = tl.explore_devices(tl.Experiment().with_(SMALL))
    run = exploration.run({"aggregation": "encrypted", "n_attackers": 2, "attack": "wrong_shape", "dropout": 0.1})
    assert run.is_masked
    assert run.is_encrypted
    assert run.sent.shape == (len(run.sent_by), 40)
    assert 0 <= run.sent.min() < 0.2 < 0.8 < run.sent.max() <= 1
    assert abs(run.sent.mean() - 0.5) < 0.15  # of 300 bytes or more, 9 standard deviations
    for view in run.rounds:
        assert view.status.count("answered") == view.report.n_replied
        assert {k for k, word in enumerate(view.status) if word == "refused"} <= set(np.flatnonzero(view.is_liar))
    assert sum(view.status.count("refused") for view in run.rounds) > 4
    plain = exploration.run()
    assert not plain.is_encrypted
    assert plain.rounds[-1].recognized[0] > 8
    assert all(view.recognized[0] < 8 for view in run.rounds)
