"""Charts: one module a question, one look, drawn with no network in a notebook, an exported page and a picture file."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinlab.charts.attack_matrix import draw_attack_matrix, make_attack_matrix
    from twinlab.charts.attribute import draw_attribute_inference, draw_table_risk
    from twinlab.charts.audit import draw_badge
    from twinlab.charts.budget import draw_budget, make_budget
    from twinlab.charts.canary import draw_canary
    from twinlab.charts.day import draw_days, draw_rhythm
    from twinlab.charts.device_map import draw_device_map, make_device_map
    from twinlab.charts.encrypted_depth import draw_depth
    from twinlab.charts.encrypted_leak import (
        draw_flips,
        draw_key_recovery,
        draw_questions_needed,
        draw_stolen_weights,
    )
    from twinlab.charts.encrypted_question import (
        draw_encrypted_answer,
        draw_question_steps,
        make_encrypted_answer,
        make_question_steps,
    )
    from twinlab.charts.federation import draw_rounds, draw_traffic, make_rounds, make_traffic
    from twinlab.charts.finding import draw_findings
    from twinlab.charts.flow import draw_flow
    from twinlab.charts.forecast import draw_forecast
    from twinlab.charts.frontier import draw_frontier, make_frontier
    from twinlab.charts.guesses import draw_guesses, make_guesses
    from twinlab.charts.joint_answer import draw_joint_answer
    from twinlab.charts.joint_cost import draw_joint_costs
    from twinlab.charts.joint_leak import draw_joint_leaks, draw_rows_read
    from twinlab.charts.linkage import draw_linkage_curves, draw_uniqueness
    from twinlab.charts.masking import draw_masking
    from twinlab.charts.meaning import draw_meaning, make_meaning
    from twinlab.charts.membership import draw_membership, draw_roc
    from twinlab.charts.mirror import draw_mirror, make_mirror
    from twinlab.charts.nearest_person import draw_nearest_person
    from twinlab.charts.outlook import draw_outlook, make_outlook
    from twinlab.charts.personalization import draw_personalization
    from twinlab.charts.picture import save_chart
    from twinlab.charts.quantum_safety import draw_channels, draw_quantum_safety
    from twinlab.charts.question_cost import draw_question_costs, make_question_costs
    from twinlab.charts.recovery import draw_noise_price, draw_record, draw_recovery
    from twinlab.charts.sensor_noise import (
        draw_mechanisms,
        draw_people_needed,
        draw_stream,
        draw_stream_errors,
        make_people_needed,
    )
    from twinlab.charts.sequence import draw_sequence
    from twinlab.charts.server_view import draw_server_view, make_server_view
    from twinlab.charts.share_view import draw_share_view
    from twinlab.charts.survival import draw_survival
    from twinlab.charts.synthetic import (
        draw_pair_distances,
        draw_risk_gauges,
        draw_synthesizers,
        draw_synthetic_columns,
        draw_synthetic_days,
    )
    from twinlab.charts.theme import describe, use_offline_charts
    from twinlab.charts.what_if import draw_what_if
    from twinlab.charts.wire import draw_wire, make_wire
    from twinlab.charts.worst_attack import draw_worst_attacks

_HOMES = {
    "describe": "theme",
    "draw_attack_matrix": "attack_matrix",
    "draw_attribute_inference": "attribute",
    "draw_badge": "audit",
    "draw_budget": "budget",
    "draw_canary": "canary",
    "draw_channels": "quantum_safety",
    "draw_days": "day",
    "draw_depth": "encrypted_depth",
    "draw_device_map": "device_map",
    "draw_encrypted_answer": "encrypted_question",
    "draw_findings": "finding",
    "draw_flips": "encrypted_leak",
    "draw_flow": "flow",
    "draw_forecast": "forecast",
    "draw_frontier": "frontier",
    "draw_guesses": "guesses",
    "draw_joint_answer": "joint_answer",
    "draw_joint_costs": "joint_cost",
    "draw_joint_leaks": "joint_leak",
    "draw_key_recovery": "encrypted_leak",
    "draw_linkage_curves": "linkage",
    "draw_masking": "masking",
    "draw_meaning": "meaning",
    "draw_mechanisms": "sensor_noise",
    "draw_membership": "membership",
    "draw_mirror": "mirror",
    "draw_nearest_person": "nearest_person",
    "draw_noise_price": "recovery",
    "draw_outlook": "outlook",
    "draw_pair_distances": "synthetic",
    "draw_people_needed": "sensor_noise",
    "draw_personalization": "personalization",
    "draw_quantum_safety": "quantum_safety",
    "draw_question_costs": "question_cost",
    "draw_question_steps": "encrypted_question",
    "draw_questions_needed": "encrypted_leak",
    "draw_record": "recovery",
    "draw_recovery": "recovery",
    "draw_rhythm": "day",
    "draw_risk_gauges": "synthetic",
    "draw_roc": "membership",
    "draw_rounds": "federation",
    "draw_rows_read": "joint_leak",
    "draw_sequence": "sequence",
    "draw_server_view": "server_view",
    "draw_share_view": "share_view",
    "draw_stolen_weights": "encrypted_leak",
    "draw_stream": "sensor_noise",
    "draw_stream_errors": "sensor_noise",
    "draw_survival": "survival",
    "draw_synthesizers": "synthetic",
    "draw_synthetic_columns": "synthetic",
    "draw_synthetic_days": "synthetic",
    "draw_table_risk": "attribute",
    "draw_traffic": "federation",
    "draw_uniqueness": "linkage",
    "draw_what_if": "what_if",
    "draw_wire": "wire",
    "draw_worst_attacks": "worst_attack",
    "make_attack_matrix": "attack_matrix",
    "make_budget": "budget",
    "make_device_map": "device_map",
    "make_encrypted_answer": "encrypted_question",
    "make_frontier": "frontier",
    "make_guesses": "guesses",
    "make_meaning": "meaning",
    "make_mirror": "mirror",
    "make_outlook": "outlook",
    "make_people_needed": "sensor_noise",
    "make_question_costs": "question_cost",
    "make_question_steps": "encrypted_question",
    "make_rounds": "federation",
    "make_server_view": "server_view",
    "make_traffic": "federation",
    "make_wire": "wire",
    "save_chart": "picture",
    "use_offline_charts": "theme",
}

__all__ = [
    "describe",
    "draw_attack_matrix",
    "draw_attribute_inference",
    "draw_badge",
    "draw_budget",
    "draw_canary",
    "draw_channels",
    "draw_days",
    "draw_depth",
    "draw_device_map",
    "draw_encrypted_answer",
    "draw_findings",
    "draw_flips",
    "draw_flow",
    "draw_forecast",
    "draw_frontier",
    "draw_guesses",
    "draw_joint_answer",
    "draw_joint_costs",
    "draw_joint_leaks",
    "draw_key_recovery",
    "draw_linkage_curves",
    "draw_masking",
    "draw_meaning",
    "draw_mechanisms",
    "draw_membership",
    "draw_mirror",
    "draw_nearest_person",
    "draw_noise_price",
    "draw_outlook",
    "draw_pair_distances",
    "draw_people_needed",
    "draw_personalization",
    "draw_quantum_safety",
    "draw_question_costs",
    "draw_question_steps",
    "draw_questions_needed",
    "draw_record",
    "draw_recovery",
    "draw_rhythm",
    "draw_risk_gauges",
    "draw_roc",
    "draw_rounds",
    "draw_rows_read",
    "draw_sequence",
    "draw_server_view",
    "draw_share_view",
    "draw_stolen_weights",
    "draw_stream",
    "draw_stream_errors",
    "draw_survival",
    "draw_synthesizers",
    "draw_synthetic_columns",
    "draw_synthetic_days",
    "draw_table_risk",
    "draw_traffic",
    "draw_uniqueness",
    "draw_what_if",
    "draw_wire",
    "draw_worst_attacks",
    "make_attack_matrix",
    "make_budget",
    "make_device_map",
    "make_encrypted_answer",
    "make_frontier",
    "make_guesses",
    "make_meaning",
    "make_mirror",
    "make_outlook",
    "make_people_needed",
    "make_question_costs",
    "make_question_steps",
    "make_rounds",
    "make_server_view",
    "make_traffic",
    "make_wire",
    "save_chart",
    "use_offline_charts",
]


def __getattr__(name: str) -> Any:
    """Import a chart when it is first drawn: Altair takes a while to load."""
    if name not in _HOMES:
        raise AttributeError(f"module 'twinlab.charts' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"twinlab.charts.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """What completion offers."""
    return list(__all__)
