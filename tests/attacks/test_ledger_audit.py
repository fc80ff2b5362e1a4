import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.attacks.ledger_audit import CountedStep, audit_ledger, find_missing
from twinlab.budget import (
    ComposedEvent,
    GaussianEvent,
    LaplaceEvent,
    RepeatedEvent,
    SampledGaussianEvent,
    count_leaves,
)

STEP = RepeatedEvent(GaussianEvent(10.0), 100)


def count_steps(event, delta):
    """An accountant for tests: what matters is that it grows with every step."""
    return float(sum(count_leaves(event).values()))


def test_honest_books_pass():
    report = audit_ledger(STEP, 100.0, 1e-5, count_steps, STEP)
    assert report.verdict == "consistent"
    assert report.lower_bound == 100


def test_a_declaration_below_the_cost_is_found():
    report = audit_ledger(ComposedEvent((STEP, STEP)), 100.0, 1e-5, count_steps)
    assert report.faults == ("What was run costs epsilon 200; 100 was declared.",)


def test_a_missing_entry_is_found_although_the_declaration_is_right():
    report = audit_ledger(ComposedEvent((STEP, LaplaceEvent(2.0))), 101.0, 1e-5, count_steps, STEP)
    assert report.faults == (
        "Something was run that the ledger does not hold: 1 times LaplaceEvent(noise_multiplier=2.0).",
    )


def test_entries_without_events_are_no_fault_but_are_said():
    report = audit_ledger(STEP, 100.0, 1e-5, count_steps, ComposedEvent((STEP, STEP)))
    assert report.verdict == "consistent"
    assert any("100 events that were not seen" in remark for remark in report.remarks)


leaf = st.one_of(
    st.builds(GaussianEvent, st.sampled_from([1.0, 2.0, 3.0])),
    st.builds(SampledGaussianEvent, st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([0.1, 0.5])),
    st.builds(LaplaceEvent, st.sampled_from([1.0, 2.0])),
)
few = st.lists(leaf, min_size=0, max_size=4).map(lambda leaves: ComposedEvent(tuple(leaves)))


def covers(entry, event):
    if isinstance(entry, LaplaceEvent) or isinstance(event, LaplaceEvent):
        return entry == event
    rates = [getattr(each, "sampling_probability", 1.0) for each in (entry, event)]
    return entry.noise_multiplier <= event.noise_multiplier and rates[0] >= rates[1]


@given(few, few)
@settings(max_examples=150, deadline=None)
def test_no_assignment_of_entries_leaves_fewer_events_missing(done, recorded):
    """Against all assignments of entries to events, tried one by one."""
    entries = [*recorded.events, *[None] * len(done.events)]
    best = min(
        sum(entry is None or not covers(entry, event) for entry, event in zip(chosen, done.events, strict=True))
        for chosen in itertools.permutations(entries, len(done.events))
    )
    assert sum(find_missing(done, recorded).values()) == best


def test_a_counted_step_counts():
    step = CountedStep(lambda gradients: gradients.sum(0))
    for _ in range(3):
        assert step(np.ones((2, 4))).tolist() == [2.0] * 4
    assert step.n_calls == 3
