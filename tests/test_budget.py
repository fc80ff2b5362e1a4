import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlab.budget import (
    ComposedEvent,
    GaussianEvent,
    LaplaceEvent,
    NonPrivateEvent,
    PrivacyBudget,
    PureEvent,
    RepeatedEvent,
    SampledGaussianEvent,
    SampledRecordsEvent,
    count_leaves,
    event_from_json,
    event_to_json,
)
from twinlab.errors import SpecificationError, UnsupportedEventError

amount = st.floats(1e-6, 1e6)
leaf = st.one_of(
    st.builds(GaussianEvent, amount),
    st.builds(SampledGaussianEvent, amount, st.floats(1e-9, 1.0)),
    st.builds(SampledRecordsEvent, amount, st.floats(1e-9, 1.0), st.integers(1, 500)),
    st.builds(LaplaceEvent, amount),
    st.builds(PureEvent, amount, st.floats(0, 0.5)),
    st.just(NonPrivateEvent()),
)
event = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(RepeatedEvent, inner, st.integers(1, 10**9)),
        st.builds(ComposedEvent, st.lists(inner, max_size=4).map(tuple)),
    ),
    max_leaves=8,
)


@given(event)
def test_an_event_survives_its_json(drawn):
    text = event_to_json(drawn)
    assert event_from_json(text) == drawn
    assert event_to_json(event_from_json(text)) == text


def test_the_json_of_an_event_never_changes_its_meaning():
    """Ledgers of years ago hold these lines. Add lines, do not change any."""
    assert event_to_json(GaussianEvent(2.0)) == '{"kind":"gaussian","noise_multiplier":2.0}'
    assert event_to_json(LaplaceEvent(2.0)) == '{"kind":"laplace","noise_multiplier":2.0}'
    assert event_to_json(PureEvent(0.5)) == '{"delta":0.0,"epsilon":0.5,"kind":"pure"}'
    assert event_to_json(NonPrivateEvent()) == '{"kind":"non_private"}'
    assert (
        event_to_json(SampledGaussianEvent(2.0, 0.5))
        == '{"kind":"sampled_gaussian","noise_multiplier":2.0,"sampling_probability":0.5}'
    )
    assert (
        event_to_json(SampledRecordsEvent(2.0, 0.5, 3))
        == '{"kind":"sampled_records","n_records":3,"noise_multiplier":2.0,"sampling_probability":0.5}'
    )
    assert (
        event_to_json(RepeatedEvent(ComposedEvent((NonPrivateEvent(),)), 3))
        == '{"event":{"events":[{"kind":"non_private"}],"kind":"composed"},"kind":"repeated","n_times":3}'
    )


@given(event, st.integers(1, 5))
def test_repeating_multiplies_every_count(drawn, n_times):
    once = count_leaves(drawn)
    assert count_leaves(RepeatedEvent(drawn, n_times)) == {key: value * n_times for key, value in once.items()}
    assert count_leaves(*[drawn] * n_times) == count_leaves(RepeatedEvent(drawn, n_times))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: GaussianEvent(0.0), "noise_multiplier"),
        (lambda: GaussianEvent(float("nan")), "noise_multiplier"),
        (lambda: GaussianEvent(float("inf")), "noise_multiplier"),
        (lambda: LaplaceEvent(-1.0), "noise_multiplier"),
        (lambda: SampledGaussianEvent(1.0, 1.5), "sampling_probability"),
        (lambda: SampledGaussianEvent(1.0, 0.0), "sampling_probability"),
        (lambda: SampledRecordsEvent(1.0, 0.5, 0), "n_records"),
        (lambda: PureEvent(0.0), "epsilon"),
        (lambda: PureEvent(1.0, 1.0), "delta"),
        (lambda: RepeatedEvent(PureEvent(1.0), 2.5), "n_times"),
        (lambda: PrivacyBudget(0.0, 1e-5), "epsilon"),
        (lambda: PrivacyBudget(1.0, 0.2), "delta"),
    ],
)
def test_a_wrong_number_is_named(make, name):
    with pytest.raises(SpecificationError, match=f"{name}: expected .*, got "):
        make()


def test_what_is_no_event_is_refused():
    with pytest.raises(UnsupportedEventError, match="got str"):
        ComposedEvent(("gaussian",))
    for text in ("", "[]", '{"kind":"magic"}', '{"kind":"gaussian"}', '{"kind":"gaussian","sigma":1}', "3"):
        with pytest.raises(UnsupportedEventError, match="JSON of an event"):
            event_from_json(text)
