import io

import numpy as np
import pytest

from twinlab.errors import RoundFailedError, SpecificationError
from twinlab.protection.federated.admission import Admission, admit_metrics, admit_replies
from twinlab.protection.federated.flower import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Error,
    Message,
    MetricRecord,
    RecordDict,
    count_bytes,
    number_message,
    open_task,
    pack_arrays,
    unpack_arrays,
)

SENT = {"a": np.zeros((2, 3), dtype=np.float32), "b": np.ones(4, dtype=np.float32)}


@pytest.fixture(autouse=True)
def _inside_a_task():
    with open_task():
        yield


def _ask(node, number="m"):
    message = Message(RecordDict(), dst_node_id=node, message_type="train")
    number_message(message, f"{number}{node}")
    return message


def _reply(node=1, arrays=None, number="m", extra=None, **metrics):
    changed = {name: value + 0.1 for name, value in SENT.items()} if arrays is None else arrays
    content = RecordDict({
        "arrays": pack_arrays(changed),
        "metrics": MetricRecord({"num-examples": 1, "train_loss": 0.5, **metrics}),
        **(extra or {}),
    })  # fmt: skip
    return Message(content, reply_to=_ask(node, number))


def _refuse(*replies, **rules):
    """The reasons, with one honest device that must not suffer."""
    honest = _reply(99)
    found = admit_replies([*replies, honest], SENT, Admission(**rules))
    assert [reply.metadata.src_node_id for reply in found.replies] == [99]
    return [reason for _, reason in found.refused]


def _with(name, value):
    return {**{key: each + np.float32(0.1) for key, each in SENT.items()}, name: value}


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        (_with("a", np.full((2, 3), np.nan, dtype=np.float32)), "not finite"),
        (_with("b", np.array([0, 0, np.inf, 0], dtype=np.float32)), "not finite"),
        (_with("b", np.full(4, 3e38, dtype=np.float32)), None),
        (_with("a", np.zeros((1, 3), dtype=np.float32)), "another shape"),
        (_with("a", np.zeros(6, dtype=np.float32)), "another shape"),
        (_with("a", np.zeros((2, 3))), "another type"),
        (_with("a", np.zeros((2, 3), dtype=np.int32)), "another type"),
        ({"a": SENT["a"]}, "not those"),
        (_with("c", SENT["a"]), "not those"),
        ({}, "not those"),
    ],
)
def test_arrays_must_be_those_that_were_sent_and_finite(arrays, reason):
    if reason is None:
        # finite but so large that a later sum might not be: the bound is what tells it
        assert "longer" in _refuse(_reply(arrays=arrays), max_update_norm=10.0)[0]
    else:
        assert reason in _refuse(_reply(arrays=arrays))[0]


def test_an_array_that_lies_about_its_shape_is_judged_by_its_values():
    inner = Array(np.zeros((1, 3), dtype=np.float32))
    lie = Array("float32", (2, 3), "numpy.ndarray", inner.data)
    garbage = Array("float32", (2, 3), "numpy.ndarray", b"not an array")
    pickled = Array("float32", (2, 3), "pickle", inner.data)
    zipped = io.BytesIO()
    np.savez(zipped, a=SENT["a"])
    archive = Array("float32", (2, 3), "numpy.ndarray", zipped.getvalue())
    objects = io.BytesIO()
    np.save(objects, np.array([print], dtype=object), allow_pickle=True)
    code = Array("nonsense", (2, 3), "numpy.ndarray", objects.getvalue())
    right = Array(SENT["b"])
    unreadable = (garbage, pickled, archive, code)
    for wrong, reason in ((lie, "another shape"), *((each, "cannot be read") for each in unreadable)):
        reply = _reply()
        reply.content["arrays"] = ArrayRecord({"a": wrong, "b": right})
        assert 16 < count_bytes(reply.content) <= 16 + 16 + len(wrong.data)
        assert reason in _refuse(reply)[0]


@pytest.mark.parametrize("weight", [0, -1, 0.5, 65, 10**9, float("nan"), float("inf"), [1, 2]])
def test_a_claimed_weight_is_from_one_to_the_cap(weight):
    (reason,) = _refuse(_reply(**{"num-examples": weight}), weighting="claimed", max_weight=64)
    assert "weight" in reason
    found = admit_replies([_reply(**{"num-examples": 64})], SENT, Admission(weighting="claimed", max_weight=64))
    assert found.replies[0].content["metrics"]["num-examples"] == 64


def test_uniform_weights_take_no_claims():
    found = admit_replies([_reply(1, **{"num-examples": 10**9}), _reply(2)], SENT, Admission())
    assert [reply.content["metrics"]["num-examples"] for reply in found.replies] == [1, 1]


def test_metrics_that_nobody_declared_go_no_further():
    extra = {"age": 44.0, "heart_rate_bpm": [61.0, 62.0]}
    found = admit_replies([_reply(1, **extra), _reply(2)], SENT, Admission(metrics=("train_loss",)))
    assert all(set(reply.content["metrics"]) == {"num-examples", "train_loss"} for reply in found.replies)
    assert found.metrics == {"train_loss": [0.5, 0.5]}
    assert "finite number" in _refuse(_reply(train_loss=float("nan")))[0]
    assert "other records" in _refuse(_reply(extra={"diary": ConfigRecord({"text": "slept badly"})}))[0]


def test_a_metric_that_not_all_report_is_told_to_nobody():
    silent = _reply(2)
    del silent.content["metrics"]["train_loss"]
    found = admit_replies([_reply(1), silent], SENT, Admission())
    assert found.metrics == {}
    assert all(set(reply.content["metrics"]) == {"num-examples"} for reply in found.replies)


def test_a_long_update_is_refused_or_shortened_along_its_own_direction():
    long = {name: value + np.float32(3) for name, value in SENT.items()}
    assert "longer than the bound" in _refuse(_reply(arrays=long), max_update_norm=1.0)[0]
    rules = Admission(max_update_norm=1.0, too_long="clip")
    found = admit_replies([_reply(arrays=long), _reply(2)], SENT, rules)
    update = {name: value - SENT[name] for name, value in unpack_arrays(found.replies[0].content["arrays"]).items()}
    norm = np.sqrt(sum((value**2).sum() for value in update.values()))
    assert norm == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(update["a"], update["a"].flat[0])
    short = unpack_arrays(found.replies[1].content["arrays"])
    assert np.array_equal(short["a"], SENT["a"] + np.float32(0.1)), "a short one is left as it came"


def test_one_reply_a_node_a_round_and_only_to_what_was_asked():
    asked = {"m1": 1, "m2": 2, "m3": 3}
    replies = [_reply(1), _reply(1), _reply(2, number="old"), _reply(3), Message(Error(0, "gone"), reply_to=_ask(2))]
    borrowed = _reply(5)
    borrowed.metadata.__dict__["_reply_to_message_id"] = "m2"
    found = admit_replies([*replies, borrowed], SENT, Admission(), expected=asked)
    assert [reply.metadata.src_node_id for reply in found.replies] == [1, 3]
    reasons = sorted(found.refused)
    assert [node for node, _ in reasons] == [1, 2, 2, 5]
    assert {reason for _, reason in reasons} == {
        "it answered already", "it answers no message of this round", "it failed",
        "it answers a message that another node was sent",
    }  # fmt: skip
    by_node = admit_replies([_reply(1), _reply(4)], SENT, Admission(), expected=[1, 2])
    assert by_node.refused == [(4, "it was not asked")]


def test_a_refused_reply_does_not_use_up_its_nodes_turn():
    bad = _reply(1, arrays={"a": SENT["a"]})
    found = admit_replies([bad, _reply(1)], SENT, Admission())
    assert len(found.replies) == 1
    assert found.n_devices == 1


def test_below_the_quorum_the_round_fails_and_says_why():
    with pytest.raises(RoundFailedError, match=r"at least 3 devices, got 2 and refused 1 \(1: its update is not"):
        admit_replies(
            [_reply(1), _reply(2), _reply(3, arrays=_with("b", np.full(4, np.nan, dtype=np.float32)))],
            SENT, Admission(quorum=3),
        )  # fmt: skip
    with pytest.raises(RoundFailedError, match="got 0 and refused 0"):
        admit_replies([], SENT, Admission())


def test_a_sum_counts_for_as_many_devices_as_it_adds():
    found = admit_replies([_reply(1, **{"n-devices": 40, "num-examples": 40.0})], SENT, Admission(quorum=40), sums=True)
    assert (found.n_devices, found.sizes) == (40, [40])
    assert found.replies[0].content["metrics"]["num-examples"] == 40
    with pytest.raises(RoundFailedError, match="how many"):
        admit_replies([_reply(1)], SENT, Admission(), sums=True)
    with pytest.raises(RoundFailedError, match="got 1"):
        # one device cannot pass for many where each answers for itself
        admit_replies([_reply(1, **{"n-devices": 40})], SENT, Admission(quorum=40))


def test_evaluations_hand_on_finite_declared_metrics_only():
    def answer(node, **metrics):
        return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=_ask(node))

    good = answer(1, loss=0.4, age=44, **{"num-examples": 7})
    replies = [
        good, answer(1, loss=0.1, **{"num-examples": 1}), answer(2, loss=float("nan"), **{"num-examples": 1}),
        answer(3, loss=0.3), answer(4, **{"num-examples": 1}), Message(Error(0, "gone"), reply_to=_ask(5)),
    ]  # fmt: skip
    (found,) = admit_metrics(replies, Admission(metrics=("loss",)))
    assert dict(found.content["metrics"]) == {"loss": 0.4, "num-examples": 1}


def test_rules_out_of_their_limits_are_refused_at_once():
    with pytest.raises(SpecificationError, match=r"(?s)max_update_norm.*max_weight.*too_long.*weighting.*quorum"):
        Admission(max_update_norm=0, max_weight=-1, too_long="cut", weighting="rows", quorum=0)
