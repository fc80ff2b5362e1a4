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
    from twinlab.pipeline.attribute_lesson import attack_attributes, compare_attribute_sources
    from twinlab.pipeline.devices import explore_devices
    from twinlab.pipeline.dishonest_server import play_dishonest_server
    from twinlab.pipeline.encrypted_lesson import EncryptedLesson
    from twinlab.pipeline.encrypted_training_lesson import EncryptedTrainingLesson
    from twinlab.pipeline.exploration import explore_privacy
    from twinlab.pipeline.inversion_lesson import invert_twins
    from twinlab.pipeline.joining import attack_joining
    from twinlab.pipeline.linking import link_people, trace_linkage, trace_uniqueness
    from twinlab.pipeline.membership_lesson import attack_membership, choose_membership_targets, compare_membership
    from twinlab.pipeline.mirror import hold_mirror
    from twinlab.pipeline.place import Scenario
    from twinlab.pipeline.question_exploration import explore_questions
    from twinlab.pipeline.reconstruction import attack_updates, draw_twin_rows
    from twinlab.pipeline.secure_lesson import SecureLesson
    from twinlab.pipeline.sensor_lesson import SensorLesson
    from twinlab.pipeline.table_lesson import attack_table, choose_table_releases, compare_tables, draw_people_tables
    from twinlab.pipeline.trapped_model import offer_models
    from twinlab.protection import differential_privacy, homomorphic
    from twinlab.protection.federated import secure_sum
    from twinlab.release import DifferentialPrivacy, Message, NoGuarantee, Release, Transcript

__version__ = "0.1.0"

_HOMES = {
    "charts": "twinlab.charts",
    "widgets": "twinlab.widgets",
    "datasets": "twinlab.cohorts.dataset",
    "differential_privacy": "twinlab.protection.differential_privacy",
    "homomorphic": "twinlab.protection.homomorphic",
    "secure_sum": "twinlab.protection.federated.secure_sum",
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
    "Release": "twinlab.release:Release",
    "Transcript": "twinlab.release:Transcript",
}

__all__ = [
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
    "Message",
    "NoGuarantee",
    "NoisyReadings",
    "PersonBudget",
    "PersonPrivacy",
    "PrivateAnswers",
    "ReadingsCohort",
    "RecordPrivacy",
    "Release",
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
    "attack_attributes",
    "attack_joining",
    "attack_membership",
    "attack_table",
    "attack_updates",
    "audit_local_mechanism",
    "charts",
    "check",
    "choose_membership_targets",
    "choose_table_releases",
    "compare_attribute_sources",
    "compare_membership",
    "compare_tables",
    "datasets",
    "differential_privacy",
    "draw_people_tables",
    "draw_twin_rows",
    "examine_machine",
    "explore_devices",
    "explore_privacy",
    "explore_questions",
    "hold_mirror",
    "homomorphic",
    "invert_twins",
    "link_people",
    "load_cohort",
    "offer_models",
    "open_ledger",
    "play_dishonest_server",
    "run",
    "secure_sum",
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
