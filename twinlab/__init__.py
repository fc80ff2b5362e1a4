"""twinlab: a laboratory for personal digital twins that keep people's data private.

Public names are resolved on first use, so that `import twinlab` loads nothing heavy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab import charts, widgets
    from twinlab.attacks.local_audit import audit_local_mechanism
    from twinlab.choice import Unprotected
    from twinlab.cohorts import dataset as datasets
    from twinlab.commands.doctor import examine_machine
    from twinlab.course import check
    from twinlab.errors import BudgetExhaustedError, SpecificationError, TwinlabError
    from twinlab.experiment import (
        BayesianTwin,
        EncryptedQuestions,
        Experiment,
        FitbitCohort,
        NoisyReadings,
        PersonBudget,
        PrivateAnswers,
        ReadingsCohort,
        ShippedCohort,
        SimulatedCohort,
    )
    from twinlab.finding import Finding
    from twinlab.learn_choice import (
        CentralLearning,
        EncryptedSum,
        FederatedLearning,
        FederatedPrivacy,
        PersonPrivacy,
        RecordPrivacy,
        SecureSum,
    )
    from twinlab.pipeline import Result, load_cohort, run
    from twinlab.pipeline.account import open_ledger
    from twinlab.pipeline.aggregate_lesson import attack_aggregate, compare_aggregates
    from twinlab.pipeline.attack_matrix import (
        attack_everything,
        choose_defences,
        choose_matrix_experiment,
        list_attacks,
    )
    from twinlab.pipeline.attribute_lesson import attack_attributes, compare_attribute_sources
    from twinlab.pipeline.canary_audit import audit_release
    from twinlab.pipeline.canary_lesson import (
        ReleaseUnderAudit,
        choose_canary_releases,
        compare_releases,
        draw_days_table,
    )
    from twinlab.pipeline.devices import explore_devices
    from twinlab.pipeline.dishonest_server import play_dishonest_server
    from twinlab.pipeline.encrypted_lesson import EncryptedLesson
    from twinlab.pipeline.encrypted_training_lesson import EncryptedTrainingLesson
    from twinlab.pipeline.envelope_lesson import compare_channels
    from twinlab.pipeline.exploration import explore_privacy
    from twinlab.pipeline.fitted_simulator import fit_simulator
    from twinlab.pipeline.holder import split_vertically
    from twinlab.pipeline.hospital import admit_patients, choose_question
    from twinlab.pipeline.inversion_lesson import invert_twins
    from twinlab.pipeline.joining import attack_joining
    from twinlab.pipeline.joint_asking import ask_hospitals
    from twinlab.pipeline.joint_exploration import explore_hospitals
    from twinlab.pipeline.joint_leak_lesson import attack_joint_answer, compare_joint_leaks
    from twinlab.pipeline.joint_lie_lesson import compare_lies
    from twinlab.pipeline.joint_view import compare_parties, list_shares, list_terms
    from twinlab.pipeline.linking import link_people, trace_linkage, trace_uniqueness
    from twinlab.pipeline.matching_lesson import MATCHING_SETTINGS, draw_day_rows
    from twinlab.pipeline.matching_people_lesson import attack_matching, compare_matching
    from twinlab.pipeline.membership_lesson import attack_membership, choose_membership_targets, compare_membership
    from twinlab.pipeline.mirror import hold_mirror
    from twinlab.pipeline.place import Scenario
    from twinlab.pipeline.quantum_inventory import list_quantum_safety
    from twinlab.pipeline.question_exploration import explore_questions
    from twinlab.pipeline.reconstruction import attack_updates, draw_twin_rows
    from twinlab.pipeline.secure_lesson import SecureLesson
    from twinlab.pipeline.sensor_lesson import SensorLesson
    from twinlab.pipeline.stream_judgement import judge_forecast, judge_streams
    from twinlab.pipeline.sweeping import sweep
    from twinlab.pipeline.synthetic_audit import choose_synthetic_releases
    from twinlab.pipeline.synthetic_exploration import explore_synthetic
    from twinlab.pipeline.synthetic_judgement import compare_synthesizers, judge_synthetic
    from twinlab.pipeline.synthetic_making import make_synthetic
    from twinlab.pipeline.table_lesson import attack_table, choose_table_releases, compare_tables, draw_people_tables
    from twinlab.pipeline.table_release import HistogramRelease, Released
    from twinlab.pipeline.trapped_model import offer_models
    from twinlab.protection import channel, differential_privacy, homomorphic, joint, synthetic
    from twinlab.protection.federated import secure_sum
    from twinlab.release import DifferentialPrivacy, Message, NoGuarantee, Release, Transcript

__version__ = "0.1.0"

_HOMES = {
    "charts": "twinlab.charts",
    "widgets": "twinlab.widgets",
    "datasets": "twinlab.cohorts.dataset",
    "differential_privacy": "twinlab.protection.differential_privacy",
    "homomorphic": "twinlab.protection.homomorphic",
    "joint": "twinlab.protection.joint",
    "secure_sum": "twinlab.protection.federated.secure_sum",
    "admit_patients": "twinlab.pipeline.hospital:admit_patients",
    "choose_question": "twinlab.pipeline.hospital:choose_question",
    "split_vertically": "twinlab.pipeline.holder:split_vertically",
    "ask_hospitals": "twinlab.pipeline.joint_asking:ask_hospitals",
    "explore_hospitals": "twinlab.pipeline.joint_exploration:explore_hospitals",
    "compare_parties": "twinlab.pipeline.joint_view:compare_parties",
    "list_terms": "twinlab.pipeline.joint_view:list_terms",
    "list_shares": "twinlab.pipeline.joint_view:list_shares",
    "attack_joint_answer": "twinlab.pipeline.joint_leak_lesson:attack_joint_answer",
    "compare_joint_leaks": "twinlab.pipeline.joint_leak_lesson:compare_joint_leaks",
    "compare_lies": "twinlab.pipeline.joint_lie_lesson:compare_lies",
    "synthetic": "twinlab.protection.synthetic",
    "compare_channels": "twinlab.pipeline.envelope_lesson:compare_channels",
    "channel": "twinlab.protection.channel",
    "list_quantum_safety": "twinlab.pipeline.quantum_inventory:list_quantum_safety",
    "explore_synthetic": "twinlab.pipeline.synthetic_exploration:explore_synthetic",
    "choose_synthetic_releases": "twinlab.pipeline.synthetic_audit:choose_synthetic_releases",
    "make_synthetic": "twinlab.pipeline.synthetic_making:make_synthetic",
    "judge_synthetic": "twinlab.pipeline.synthetic_judgement:judge_synthetic",
    "compare_synthesizers": "twinlab.pipeline.synthetic_judgement:compare_synthesizers",
    "judge_streams": "twinlab.pipeline.stream_judgement:judge_streams",
    "judge_forecast": "twinlab.pipeline.stream_judgement:judge_forecast",
    "fit_simulator": "twinlab.pipeline.fitted_simulator:fit_simulator",
    "attack_matching": "twinlab.pipeline.matching_people_lesson:attack_matching",
    "compare_matching": "twinlab.pipeline.matching_people_lesson:compare_matching",
    "draw_day_rows": "twinlab.pipeline.matching_lesson:draw_day_rows",
    "MATCHING_SETTINGS": "twinlab.pipeline.matching_lesson:MATCHING_SETTINGS",
    "attack_updates": "twinlab.pipeline.reconstruction:attack_updates",
    "draw_twin_rows": "twinlab.pipeline.reconstruction:draw_twin_rows",
    "attack_attributes": "twinlab.pipeline.attribute_lesson:attack_attributes",
    "compare_attribute_sources": "twinlab.pipeline.attribute_lesson:compare_attribute_sources",
    "draw_people_tables": "twinlab.pipeline.table_lesson:draw_people_tables",
    "choose_table_releases": "twinlab.pipeline.table_lesson:choose_table_releases",
    "attack_table": "twinlab.pipeline.table_lesson:attack_table",
    "compare_tables": "twinlab.pipeline.table_lesson:compare_tables",
    "invert_twins": "twinlab.pipeline.inversion_lesson:invert_twins",
    "attack_joining": "twinlab.pipeline.joining:attack_joining",
    "attack_membership": "twinlab.pipeline.membership_lesson:attack_membership",
    "choose_membership_targets": "twinlab.pipeline.membership_lesson:choose_membership_targets",
    "compare_membership": "twinlab.pipeline.membership_lesson:compare_membership",
    "hold_mirror": "twinlab.pipeline.mirror:hold_mirror",
    "link_people": "twinlab.pipeline.linking:link_people",
    "trace_linkage": "twinlab.pipeline.linking:trace_linkage",
    "trace_uniqueness": "twinlab.pipeline.linking:trace_uniqueness",
    "audit_local_mechanism": "twinlab.attacks.local_audit:audit_local_mechanism",
    "sweep": "twinlab.pipeline.sweeping:sweep",
    "attack_everything": "twinlab.pipeline.attack_matrix:attack_everything",
    "choose_defences": "twinlab.pipeline.attack_matrix:choose_defences",
    "choose_matrix_experiment": "twinlab.pipeline.attack_matrix:choose_matrix_experiment",
    "list_attacks": "twinlab.pipeline.attack_matrix:list_attacks",
    "attack_aggregate": "twinlab.pipeline.aggregate_lesson:attack_aggregate",
    "compare_aggregates": "twinlab.pipeline.aggregate_lesson:compare_aggregates",
    "audit_release": "twinlab.pipeline.canary_audit:audit_release",
    "choose_canary_releases": "twinlab.pipeline.canary_lesson:choose_canary_releases",
    "draw_days_table": "twinlab.pipeline.canary_lesson:draw_days_table",
    "compare_releases": "twinlab.pipeline.canary_lesson:compare_releases",
    "check": "twinlab.course:check",
    "examine_machine": "twinlab.commands.doctor:examine_machine",
    "SpecificationError": "twinlab.errors:SpecificationError",
    "TwinlabError": "twinlab.errors:TwinlabError",
    "BayesianTwin": "twinlab.experiment:BayesianTwin",
    "EncryptedQuestions": "twinlab.experiment:EncryptedQuestions",
    "CentralLearning": "twinlab.learn_choice:CentralLearning",
    "EncryptedSum": "twinlab.learn_choice:EncryptedSum",
    "FederatedLearning": "twinlab.learn_choice:FederatedLearning",
    "FederatedPrivacy": "twinlab.learn_choice:FederatedPrivacy",
    "SecureSum": "twinlab.learn_choice:SecureSum",
    "Experiment": "twinlab.experiment:Experiment",
    "FitbitCohort": "twinlab.experiment:FitbitCohort",
    "ReadingsCohort": "twinlab.experiment:ReadingsCohort",
    "ShippedCohort": "twinlab.experiment:ShippedCohort",
    "SimulatedCohort": "twinlab.experiment:SimulatedCohort",
    "Unprotected": "twinlab.choice:Unprotected",
    "Finding": "twinlab.finding:Finding",
    "Result": "twinlab.pipeline:Result",
    "load_cohort": "twinlab.pipeline:load_cohort",
    "run": "twinlab.pipeline:run",
    "explore_devices": "twinlab.pipeline.devices:explore_devices",
    "explore_privacy": "twinlab.pipeline.exploration:explore_privacy",
    "explore_questions": "twinlab.pipeline.question_exploration:explore_questions",
    "open_ledger": "twinlab.pipeline.account:open_ledger",
    "Scenario": "twinlab.pipeline.place:Scenario",
    "NoisyReadings": "twinlab.experiment:NoisyReadings",
    "PersonBudget": "twinlab.experiment:PersonBudget",
    "PersonPrivacy": "twinlab.learn_choice:PersonPrivacy",
    "PrivateAnswers": "twinlab.experiment:PrivateAnswers",
    "RecordPrivacy": "twinlab.learn_choice:RecordPrivacy",
    "BudgetExhaustedError": "twinlab.errors:BudgetExhaustedError",
    "DifferentialPrivacy": "twinlab.release:DifferentialPrivacy",
    "SecureLesson": "twinlab.pipeline.secure_lesson:SecureLesson",
    "EncryptedLesson": "twinlab.pipeline.encrypted_lesson:EncryptedLesson",
    "EncryptedTrainingLesson": "twinlab.pipeline.encrypted_training_lesson:EncryptedTrainingLesson",
    "SensorLesson": "twinlab.pipeline.sensor_lesson:SensorLesson",
    "play_dishonest_server": "twinlab.pipeline.dishonest_server:play_dishonest_server",
    "offer_models": "twinlab.pipeline.trapped_model:offer_models",
    "Message": "twinlab.release:Message",
    "NoGuarantee": "twinlab.release:NoGuarantee",
    "ReleaseUnderAudit": "twinlab.pipeline.canary_lesson:ReleaseUnderAudit",
    "Released": "twinlab.pipeline.table_release:Released",
    "HistogramRelease": "twinlab.pipeline.table_release:HistogramRelease",
    "Release": "twinlab.release:Release",
    "Transcript": "twinlab.release:Transcript",
}

__all__ = [
    "MATCHING_SETTINGS",
    "BayesianTwin",
    "BudgetExhaustedError",
    "CentralLearning",
    "DifferentialPrivacy",
    "EncryptedLesson",
    "EncryptedQuestions",
    "EncryptedSum",
    "EncryptedTrainingLesson",
    "Experiment",
    "FederatedLearning",
    "FederatedPrivacy",
    "Finding",
    "FitbitCohort",
    "HistogramRelease",
    "Message",
    "NoGuarantee",
    "NoisyReadings",
    "PersonBudget",
    "PersonPrivacy",
    "PrivateAnswers",
    "ReadingsCohort",
    "RecordPrivacy",
    "Release",
    "ReleaseUnderAudit",
    "Released",
    "Result",
    "Scenario",
    "SecureLesson",
    "SecureSum",
    "SensorLesson",
    "ShippedCohort",
    "SimulatedCohort",
    "SpecificationError",
    "Transcript",
    "TwinlabError",
    "Unprotected",
    "admit_patients",
    "ask_hospitals",
    "attack_aggregate",
    "attack_attributes",
    "attack_everything",
    "attack_joining",
    "attack_joint_answer",
    "attack_matching",
    "attack_membership",
    "attack_table",
    "attack_updates",
    "audit_local_mechanism",
    "audit_release",
    "channel",
    "charts",
    "check",
    "choose_canary_releases",
    "choose_defences",
    "choose_matrix_experiment",
    "choose_membership_targets",
    "choose_question",
    "choose_synthetic_releases",
    "choose_table_releases",
    "compare_aggregates",
    "compare_attribute_sources",
    "compare_channels",
    "compare_joint_leaks",
    "compare_lies",
    "compare_matching",
    "compare_membership",
    "compare_parties",
    "compare_releases",
    "compare_synthesizers",
    "compare_tables",
    "datasets",
    "differential_privacy",
    "draw_day_rows",
    "draw_days_table",
    "draw_people_tables",
    "draw_twin_rows",
    "examine_machine",
    "explore_devices",
    "explore_hospitals",
    "explore_privacy",
    "explore_questions",
    "explore_synthetic",
    "fit_simulator",
    "hold_mirror",
    "homomorphic",
    "invert_twins",
    "joint",
    "judge_forecast",
    "judge_streams",
    "judge_synthetic",
    "link_people",
    "list_attacks",
    "list_quantum_safety",
    "list_shares",
    "list_terms",
    "load_cohort",
    "make_synthetic",
    "offer_models",
    "open_ledger",
    "play_dishonest_server",
    "run",
    "secure_sum",
    "split_vertically",
    "sweep",
    "synthetic",
    "trace_linkage",
    "trace_uniqueness",
    "widgets",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'twinlab' has no attribute {name!r}; it has: {', '.join(__all__)}")
    module, _, attribute = _HOMES[name].partition(":")
    home = importlib.import_module(module)
    return getattr(home, attribute) if attribute else home


def __dir__() -> list[str]:
    """What completion offers."""
    return [*__all__, "__version__"]
