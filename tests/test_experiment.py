import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab.choice import Choice, Unprotected, describe_limits
from twinlab.errors import IncompatibleChoicesError, SpecificationError
from twinlab.experiment import (
    BayesianTwin,
    EncryptedQuestions,
    Experiment,
    FitbitCohort,
    ReadingsCohort,
    ShippedCohort,
    SimulatedCohort,
    count_expected_people,
)
from twinlab.learn_choice import CentralLearning

cohorts = st.one_of(
    st.builds(
        SimulatedCohort, n_people=st.integers(2, 1000), n_days=st.integers(3, 366), seed=st.integers(0, 2**32 - 1)
    ),
    st.just(ShippedCohort()),
    st.builds(FitbitCohort, path=st.text(min_size=1, max_size=20)),
    st.builds(ReadingsCohort, path=st.text(min_size=1, max_size=20)),
)
twins = st.builds(
    BayesianTwin,
    process_noise=st.floats(0, 0.5),
    coverage=st.floats(0.5, 0.99),
    activation=st.sampled_from(["tanh", "square"]),
)
questions = st.one_of(
    st.just(Unprotected()),
    st.builds(
        EncryptedQuestions,
        query=st.sampled_from(["forecast", "what_if"]),
        n_people=st.integers(1, 1000),
        tolerance=st.floats(1e-6, 0.1),
        quantum_safe=st.booleans(),
        share_results=st.booleans(),
    ),
)
experiments = st.builds(
    Experiment,
    cohort=cohorts,
    twin=twins,
    learn=st.builds(CentralLearning, learning_rate=st.floats(1e-6, 1)),
    ask=questions,
    seed=st.integers(0, 2**32 - 1),
)


@given(experiments)
def test_json_round_trip_keeps_the_experiment_and_its_fingerprint(experiment):
    back = Experiment(**json.loads(experiment.model_dump_json()))
    assert back == experiment
    assert back.fingerprint == experiment.fingerprint


@given(experiments)
def test_every_field_is_shown_with_a_meaning(experiment):
    rows = experiment.rows()
    assert all(row["meaning"] for row in rows)
    assert len({row["field"] for row in rows}) == len(rows)


def test_every_choice_documents_every_field():
    kinds = [Choice]
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        if kind is not Choice:
            assert kind.__doc__
            missing = [name for name, info in kind.model_fields.items() if name != "kind" and not info.description]
            assert not missing, f"{kind.__name__}: {missing}"


def test_two_fingerprints_differ_when_a_field_does():
    assert Experiment().fingerprint != Experiment(seed=1).fingerprint
    assert Experiment().fingerprint == Experiment().with_({}).fingerprint


def test_code_toml_and_changes_make_the_same_experiment(tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(
        'seed = 3\n[cohort]\nkind = "simulated"\nn_people = 30\n[twin]\nprocess_noise = 0.02\n', encoding="utf-8"
    )
    from_code = Experiment(cohort=SimulatedCohort(n_people=30), twin=BayesianTwin(process_noise=0.02), seed=3)
    from_changes = Experiment().with_({"cohort.n_people": 30, "twin.process_noise": 0.02, "seed": 3})
    assert Experiment.from_toml(path).fingerprint == from_code.fingerprint == from_changes.fingerprint


def test_a_new_kind_drops_the_fields_of_the_old():
    assert Experiment().with_({"cohort": "shipped"}).cohort == ShippedCohort()
    assert Experiment().with_({"cohort.kind": "fitbit", "cohort.path": "x"}).cohort == FitbitCohort(path="x")
    assert Experiment().with_({"cohort.path": "x", "cohort.kind": "fitbit"}).cohort == FitbitCohort(path="x")
    kept = Experiment(cohort=SimulatedCohort(n_people=9)).with_({"cohort.kind": "simulated"})
    assert kept.cohort == SimulatedCohort(n_people=9)


def test_it_is_frozen():
    with pytest.raises(Exception, match="frozen"):
        Experiment().seed = 3  # type: ignore[misc]


def test_all_faults_come_at_once_with_the_nearest_name():
    with pytest.raises(SpecificationError) as caught:
        Experiment().with_(
            {"cohort.n_people": 1, "twin.proces_noise": 3, "twin.activation": "relu", "lern.x": 1, "seed": -1}
        )
    text = str(caught.value)
    assert "cohort.n_people: expected 2 to 100000, got 1" in text
    assert "twin.proces_noise: there is no such field; did you mean 'process_noise'?" in text
    assert "twin.activation: expected tanh or square, got 'relu'" in text
    assert "lern: there is no such field; did you mean 'learn'?" in text
    assert "seed: expected 0 to below 4294967296, got -1" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cohort": "fitbyt"}, "did you mean 'fitbit'?"),
        ({"cohort": "fitbit"}, "cohort.path: this field has no default"),
        ({"twin.targets": ["step"]}, "twin.targets"),
        ({"cohort": 3}, "cohort"),
        ({"cohort.n_people": float("nan")}, "cohort.n_people"),
        ({"twin.coverage": float("inf")}, "twin.coverage"),
        ({"": 3}, "there is no such field"),
        ({"seed.x": 3}, "seed"),
    ],
)
def test_each_fault_is_named(changes, words):
    with pytest.raises(SpecificationError) as caught:
        Experiment().with_(changes)
    assert words in str(caught.value)


@given(st.dictionaries(st.text(max_size=12), st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=4))
def test_any_changes_give_an_experiment_or_a_specification_error(changes):
    with contextlib.suppress(SpecificationError):
        assert isinstance(Experiment().with_(changes), Experiment)


def test_a_missing_or_broken_file_is_a_specification_error(tmp_path):
    with pytest.raises(SpecificationError, match=r"nowhere\.toml"):
        Experiment.from_toml(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = = 3", encoding="utf-8")
    with pytest.raises(SpecificationError, match=r"broken\.toml"):
        Experiment.from_toml(broken)
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecificationError, match=r"broken\.toml"):
        Experiment.from_toml(broken)


def test_limits_in_words():
    fields = {**SimulatedCohort.model_fields, **CentralLearning.model_fields, **BayesianTwin.model_fields}
    assert describe_limits(fields["n_people"]) == "2 to 100000"
    assert describe_limits(fields["seed"]) == "0 to below 4294967296"
    assert describe_limits(fields["learning_rate"]) == "more than 0 to 1"
    assert describe_limits(fields["activation"]) == "tanh or square"


def test_the_table_escapes_what_a_path_may_hold():
    experiment = Experiment(cohort=FitbitCohort(path="<script>alert(1)</script>"))
    assert "<script>" not in experiment._repr_html_()
    assert experiment.fingerprint in experiment._repr_html_()


def test_the_table_names_every_kind_of_a_place():
    row = next(row for row in Experiment().rows() if row["field"] == "cohort.kind")
    assert row["limits"] == "simulated or shipped or fitbit or readings"


def test_what_excludes_each_other_is_refused_with_a_neighbour_before_any_data_is_read():
    with pytest.raises(IncompatibleChoicesError) as caught:
        Experiment(cohort=FitbitCohort(path="nowhere"), twin={"prior": "empirical_bayes"}, learn={"privacy": "person"})
    told = str(caught.value)
    assert "choose twin.prior = 'public'" in told
    assert "give a round guess, such as 50" in told
    with pytest.raises(IncompatibleChoicesError, match=r"choose 0\.001 or less"):
        Experiment().with_({"learn.privacy": "person", "budget.delta": 0.01, "cohort.n_people": 100})


def test_the_declared_number_of_people_is_public_and_never_counted():
    assert count_expected_people(Experiment(cohort="shipped")) == 40
    assert count_expected_people(Experiment().with_({"cohort.n_people": 77})) == 77
    real = Experiment(cohort=FitbitCohort(path="x"))
    assert count_expected_people(real) is None
    declared = real.with_({"learn.privacy": "person", "learn.privacy.expected_people": 50})
    assert count_expected_people(declared) == 50


def test_a_kind_alone_stands_for_a_place_at_any_depth():
    typed = Experiment(learn={"privacy": "record"}, share="private_answers")
    assert typed == Experiment().with_({"learn.privacy.kind": "record", "share": "private_answers"})
    assert Experiment().with_({"learn.privacy": "person", "learn.privacy.epsilon": 3}).learn.privacy.epsilon == 3
    with pytest.raises(SpecificationError, match="did you mean 'person'"):
        Experiment().with_({"learn.privacy": "persn"})


def test_encrypted_questions_are_chosen_by_their_kind_and_fields():
    chosen = Experiment().with_({"ask": "encrypted", "ask.query": "what_if", "ask.n_people": 7})
    assert chosen.ask == EncryptedQuestions(query="what_if", n_people=7)
    assert Experiment(**json.loads(chosen.model_dump_json())) == chosen
    row = next(row for row in chosen.rows() if row["field"] == "ask.kind")
    assert row["limits"] == "unprotected or encrypted"
    with pytest.raises(SpecificationError, match=r"ask\.tolerance: expected 1e-06 to 0\.1, got 2"):
        chosen.with_({"ask.tolerance": 2})


def test_a_network_is_asked_only_where_it_can_be_computed_on_encrypted_numbers():
    network = {"ask": "encrypted", "ask.query": "network_forecast"}
    with pytest.raises(IncompatibleChoicesError) as caught:
        Experiment().with_({**network, "ask.share_results": True})
    text = str(caught.value)
    assert "ask.query with twin.activation: tanh cannot be computed on encrypted numbers" in text
    assert "choose twin.activation = 'square', or ask.query = 'forecast'" in text
    assert "ask.query with ask.share_results" in text
    square = Experiment().with_({**network, "twin.activation": "square"})
    assert square.ask.query == "network_forecast"
    with pytest.raises(IncompatibleChoicesError, match="no room for the noise that hides the key"):
        square.with_({"ask.share_results": True})


def test_changes_are_read_and_never_written_to():
    shared = {"kind": "federated"}
    changes = {"learn": shared, "learn.aggregation": {"kind": "secure"}}
    assert Experiment().with_(changes).learn.aggregation.kind == "secure"
    assert shared == {"kind": "federated"}
