import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import twinlab as tl
from twinlab.__main__ import main
from twinlab.budget import NeighboringRelation, PrivacyUnit, PureEvent
from twinlab.errors import DataContractError, IncompatibleChoicesError, SpecificationError
from twinlab.experiment import EncryptedQuestions
from twinlab.pipeline import key_line
from twinlab.pipeline.asking import ask_people
from twinlab.pipeline.question_exploration import explore_questions
from twinlab.release import DifferentialPrivacy, Encrypted, NoGuarantee, Release, Transcript
from twinlab.roles import report_nothing

SMALL = tl.Experiment(
    cohort=tl.SimulatedCohort(n_people=5, n_days=8),
    twin=tl.BayesianTwin(hidden_width=6, n_features=4),
    learn=tl.CentralLearning(n_epochs=2),
    ask=EncryptedQuestions(n_people=2),
)
SQUARE = SMALL.with_({"twin.activation": "square", "ask.query": "network_forecast", "ask.n_people": 1})
STEPS = ["make keys", "evaluation keys", "load keys", "encrypted question", "verify and load", "compute",
         "encrypted answer", "decrypt"]  # fmt: skip


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def result(told):
    return tl.run(SMALL, progress=lambda *step: told.append(step))


@pytest.fixture(scope="module")
def square_result():
    return tl.run(SQUARE)


@pytest.fixture(scope="module")
def exploration(result):
    return explore_questions(result=result)


def test_a_run_says_how_far_encrypted_answers_were_off(result, told):
    finding = result.finding("encrypted_error")
    assert 0 < finding.value < finding.baseline == 1e-3
    assert [row["signal"] for row in finding.table] == list(result.signals)
    assert all(row["bytes"] > 0 and row["milliseconds"] > 0 for row in finding.table)
    for words in ("of 2 people", "tolerance 1e-03", "not what an answer tells once it is shown", "changes no epsilon"):
        assert words in finding.sentence
    assert finding.sentence in repr(result)
    assert "Encrypted questions (forecast)" in result._repr_html_()
    assert ("asking under encryption", 2, 2) in told


def test_the_transcript_has_what_passed_between_person_and_provider(result):
    seen = {message.kind: message for message in result.transcript.seen_by("provider")}
    assert list(seen) == ["evaluation keys", "encrypted question"]
    assert seen["evaluation keys"].n_messages == 2
    # bands of 1, 2, 6 and 15 hours have a readout each; a message has room for eight; there are two people
    assert seen["encrypted question"].n_messages == 2 * (1 + 1 + 1 + 2)
    assert all(message.sender == "person" for message in seen.values())
    (answer,) = result.transcript.seen_by("person")
    assert answer.sender == "provider"
    for message in (*seen.values(), answer):
        assert message.n_bytes == sum(map(len, message.payload))
        assert isinstance(message.guarantee, Encrypted)
        assert message.guarantee.key_holder == "the person"


def test_encryption_is_a_release_without_epsilon_and_moves_none(result):
    weights, ciphertext = result.releases
    assert (weights.kind, ciphertext.kind) == ("weights", "ciphertext")
    assert len(ciphertext.payload) == 10
    epsilons = result.privacy().set_index("release").epsilon
    assert math.isinf(epsilons["weights"])
    assert math.isnan(epsilons["ciphertext"])
    assert math.isinf(result.person_epsilon)  # of the weights, as without encryption
    event = PureEvent(0.5)
    promised = DifferentialPrivacy(event, 0.5, 0.0, NeighboringRelation.ADD_OR_REMOVE_ONE, PrivacyUnit.PERSON)
    paid = Release("weights", None, promised, SMALL.fingerprint)
    private = replace(result, releases=(paid, ciphertext), person_events=(event,))
    assert private.person_epsilon == replace(private, releases=(paid,)).person_epsilon == pytest.approx(0.5, rel=1e-3)


def test_a_what_if_sends_the_plan_in_the_clear_and_says_so(result):
    experiment = SMALL.with_({"ask.query": "what_if"})
    transcript = Transcript()
    (finding,), (release,) = ask_people(experiment, result.population, result.cohort, transcript, report_nothing)
    seen = {message.kind: message for message in transcript.seen_by("provider")}
    assert list(seen) == ["evaluation keys", "encrypted head", "question"]
    assert isinstance(seen["question"].guarantee, NoGuarantee)
    assert release.payload == seen["encrypted head"].payload
    assert finding.value < 1e-3
    assert [row["signal"] for row in finding.table] == list(result.population.response_targets)


def test_a_whole_network_is_asked_where_its_activation_is_a_square(square_result):
    finding = square_result.finding("encrypted_error")
    assert 0 < finding.value < 1e-3
    assert "network forecast" in finding.sentence


def test_all_are_asked_where_there_are_fewer_and_the_record_keeps_some(result, monkeypatch):
    monkeypatch.setattr("twinlab.pipeline.asking._PEOPLE_KEPT", 1)
    transcript = Transcript()
    experiment = SMALL.with_({"ask.n_people": 1000, "twin.max_horizon_hours": 24, "ask.query": "what_if"})
    ask_people(experiment, result.population, result.cohort, transcript, report_nothing)
    (head,) = [message for message in transcript if message.kind == "encrypted head"]
    assert head.n_messages == 5
    assert len(head.payload) == 1
    assert head.n_bytes > 4 * len(head.payload[0])


def test_what_no_parameters_allow_is_refused_before_anything_is_learned():
    told = []
    with pytest.raises(IncompatibleChoicesError, match=r"tolerance: expected an error of at most 1\.0e-06"):
        tl.run(SMALL.with_({"ask.tolerance": 1e-6, "ask.share_results": True}), lambda *step: told.append(step[0]))
    assert "training" not in told


def test_weights_that_allow_no_parameters_do_not_lose_the_run(result):
    experiment = SMALL.with_({"ask.share_results": True})
    loud = torch.full_like(result.population.forecast_mean, 1e6)
    population = replace(result.population, forecast_mean=loud)
    (finding,), releases = ask_people(experiment, population, result.cohort, Transcript(), report_nothing)
    assert math.isnan(finding.value)
    assert "Nothing was asked under encryption: tolerance" in finding.sentence
    assert releases == ()
    summary = replace(result, findings=(finding,)).summary()
    assert json.loads(json.dumps(summary))["findings"]["encrypted_error"]["value"] is None


def test_without_encryption_nothing_is_asked(result):
    experiment = SMALL.with_({"ask": "unprotected"})
    assert ask_people(experiment, result.population, result.cohort, Transcript(), report_nothing) == ((), ())


def test_a_question_comes_with_table_steps_and_wire(exploration):
    person = exploration.person_ids[0]
    asked = exploration.ask(person, hours_ahead=7)
    assert list(asked.table) == ["time", "horizon_hours", "signal", "label", "unit", "plain", "answer", "error"]
    assert len(asked.table) == 7 * len(exploration.targets)
    assert (asked.table.error == (asked.table.answer - asked.table.plain).abs()).all()
    assert list(asked.steps.what) == STEPS
    assert list(asked.steps.stage) == ["set-up"] * 3 + ["question"] * 5
    assert set(asked.steps.who) == {"person", "provider"}
    ends = asked.steps.begin_ms + asked.steps.milliseconds
    assert np.allclose(asked.steps.begin_ms[1:], ends[:-1])
    parts = asked.explain_wire()
    assert sum(part["bytes"] for part in parts) == len(asked.wire)
    assert asked.features.shape[0] == int(parts[8]["meaning"].split("; ")[1].split()[0])
    assert asked.wire in asked.transcript.seen_by("provider")[-1].payload
    assert asked.sentence == repr(asked)
    assert "7 hours and 4 signals" in asked.sentence
    assert person not in asked.sentence


def find_key(asked):
    return next(part["meaning"] for part in asked.explain_wire() if part["part"] == "key id")


def test_keys_and_plans_are_kept_and_each_person_has_its_own(exploration):
    first, second = exploration.person_ids[:2]
    asked = [exploration.ask(person, hours_ahead=2) for person in (first, first, second)]
    assert asked[0].plan is asked[1].plan is asked[2].plan
    assert find_key(asked[0]) == find_key(asked[1]) != find_key(asked[2])
    assert asked[0].wire != asked[1].wire
    assert "evaluation keys" not in [message.kind for message in asked[1].transcript]
    assert "make keys" in list(asked[1].steps.what)  # what was done once is still shown
    other = exploration.ask(first, hours_ahead=2, quantum_safe=True)
    assert other.plan.quantum_safe
    assert find_key(other) != find_key(asked[0])


def test_a_head_is_sent_once_an_hour(exploration):
    person = exploration.person_ids[0]
    asked = [exploration.ask(person, "what_if", hour=hour, minutes=90) for hour in (100, 100, 101)]
    assert asked[0].wire == asked[1].wire != asked[2].wire
    sent = [[message.kind for message in each.transcript.seen_by("provider")] for each in asked]
    assert sent[0][-2:] == ["encrypted head", "question"]
    assert sent[1:] == [["question"], ["encrypted head", "question"]]
    assert asked[1].explain_wire()[3]["meaning"].startswith("head")
    assert asked[0].features.shape == (2, 3)


def test_shared_answers_get_new_keys_before_the_old_have_told_too_much(result, monkeypatch):
    exploration, person = explore_questions(result=result), result.person_ids[0]
    monkeypatch.setattr(key_line, "MOST_SHARED_RESULTS", 2)
    keys = [find_key(exploration.ask(person, hours_ahead=1, share_results=True)) for _ in range(3)]
    assert keys[0] == keys[1] != keys[2]


def test_what_can_be_asked_depends_on_the_twins(exploration, square_result):
    assert exploration.queries == ("forecast", "what_if")
    assert explore_questions(result=square_result).queries == ("forecast", "what_if", "network_forecast")
    with pytest.raises(IncompatibleChoicesError, match=r"query: .*needs twin\.activation = 'square'"):
        exploration.ask(exploration.person_ids[0], "network_forecast")


@pytest.mark.parametrize(
    ("options", "fault", "words"),
    [
        ({"query": "nonsense"}, SpecificationError, "query: expected one of forecast, what_if, got 'nonsense'"),
        ({"hour": 192}, SpecificationError, "hour: expected 0 to 191, got 192"),
        ({"hours_ahead": 25}, SpecificationError, "hours_ahead: expected 1 to 24, got 25"),
        ({"query": "what_if", "minutes": 0}, SpecificationError, "minutes: expected an action"),
        ({"query": "what_if", "minutes": 500}, SpecificationError, "minutes: expected 0 to 120"),
        ({"tolerance": 2.0}, SpecificationError, "tolerance"),
        ({"person_id": "secret-id-42"}, DataContractError, "nobody in cohort"),
    ],
)
def test_wrong_questions_are_refused_in_words(exploration, options, fault, words):
    with pytest.raises(fault, match=words) as caught:
        exploration.ask(**{"person_id": exploration.person_ids[0], **options})
    assert "secret-id-42" not in str(caught.value)


def test_an_experiment_must_be_that_of_its_result(result):
    assert explore_questions(SMALL, result=result).experiment == SMALL
    with pytest.raises(SpecificationError, match="expected that of the result"):
        explore_questions(SQUARE, result=result)


def test_an_experiment_without_a_result_is_run(told):
    exploration = explore_questions(SMALL.with_({"cohort.n_people": 2}))
    assert exploration.experiment.ask.kind == "encrypted"
    assert exploration.ask(exploration.person_ids[0], hours_ahead=1).error < 1e-3
    assert "forecast, what_if" in repr(exploration)


def test_costs_are_measured_and_scaled(exploration, monkeypatch):
    monkeypatch.setattr("twinlab.pipeline.question_cost._N_MESSAGES", 1)
    million, few = (exploration.estimate_costs(n, "what_if").set_index("way") for n in (1_000_000, 3))
    assert list(million) == ["server_seconds", "all_seconds", "bytes", "questions_a_message"]
    assert (million.questions_a_message.to_numpy()[1:3] == [1, 30]).all()
    assert (million.server_seconds <= million.all_seconds).all()
    single, bulk = million.index[1], million.index[3]
    assert million.bytes[single] > 30 * million.bytes[bulk] > million.bytes["in the clear"]
    # a message is sent whole, however few questions are in it
    n_messages = math.ceil(1_000_000 / million.questions_a_message[bulk])
    assert few.bytes[bulk] == pytest.approx(million.bytes[bulk] / n_messages, rel=0.01)
    with pytest.raises(SpecificationError, match="n_questions: expected at least 1, got 0"):
        exploration.estimate_costs(0)


def test_the_command_line_asks_under_encryption(tmp_path, capsys):
    path = tmp_path / "small.toml"
    path.write_text(
        '[cohort]\nkind = "simulated"\nn_people = 3\nn_days = 6\n[learn]\nkind = "central"\nn_epochs = 1\n'
        "[twin]\nhidden_width = 4\nn_features = 2\n",
        encoding="utf-8",
    )
    assert main(["run", str(path), "--set", "ask=encrypted", "--set", "ask.n_people=1"]) == 0
    assert "Encrypted questions (forecast) of 1 person:" in capsys.readouterr().out
