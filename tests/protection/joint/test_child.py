"""Children answer, are heard, and are gone afterwards; what they keep to themselves stays there."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from twinlab.errors import DataContractError, ProtocolError
from twinlab.protection.joint.child import Children
from twinlab.protection.joint.child_frame import pack_frame, read_frame

SECRET = "61.75"


@pytest.fixture
def start(monkeypatch):
    """Start children of the tests' module."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))

    def start(*names, **options):
        return Children("reporting_child", names, **{"time_limit_s": 60.0, **options})

    return start


ARRAYS = st.one_of(
    *(
        arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        for dtype in (np.float64, np.int64, np.uint64, np.uint8)
    )
)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.lists(ARRAYS, max_size=3))
def test_a_frame_reads_back_as_it_was_written(fields, arrays):
    found = read_frame(io.BytesIO(pack_frame("kind", fields, arrays)).read)
    assert (found.kind, found.fields) == ("kind", fields)
    for got, sent in zip(found.arrays, arrays, strict=True):
        assert (got.dtype, got.shape, got.tobytes()) == (sent.dtype, sent.shape, sent.tobytes())


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_what_is_no_frame_is_refused(data):
    """Nothing else than a refusal, an end or a frame comes of any bytes."""
    whole = pack_frame("kind", {"a": 1}, [np.arange(3)])
    for text in (data, whole[: len(data)], whole[:4] + data):
        try:
            found = read_frame(io.BytesIO(text).read)
        except ProtocolError:
            continue
        assert found is None or found.kind


def test_objects_are_not_sent():
    with pytest.raises(ProtocolError, match="expected arrays of float64, int64, uint64, uint8, got object; convert"):
        pack_frame("kind", {}, [np.array([None])])


def test_children_answer_and_are_gone_afterwards(start):
    heard, large = [], np.arange(200_000.0)
    with start("north", "south", on_progress=lambda name, fields: heard.append((name, fields["step"]))) as children:
        family = [psutil.Process(pid) for pid in children.pids.values()]
        for name in children.pids:
            children.tell(name, {"do": "answer"}, [large, np.array(5), np.zeros((0, 3))])
        found = children.gather("done")
        later = children.gather("later")
    assert list(found) == list(later) == ["north", "south"]
    assert [fields for fields, _ in found.values()] == [{"n": 3, "threads": "1"}] * 2
    assert (found["south"][1][0] == large).all()
    assert found["south"][1][2].shape == (0, 3)
    assert sorted(heard) == [("north", 1), ("south", 1)]
    assert not any(process.is_running() for process in family)
    children.stop()  # again, without harm


@pytest.mark.parametrize(
    ("do", "error", "text"),
    [
        ("bug", ProtocolError, "south: expected its process to do its part, got ValueError in it"),
        ("refuse", DataContractError, "south: age: expected values up to 98, got some beyond"),
        ("vanish", ProtocolError, r"south: .* got its end after .* \(exit status 7, OverflowError\)"),
    ],
)
def test_a_childs_fault_names_it_and_tells_no_value(start, do, error, text):
    with start("north", "south") as children:
        children.tell("north", {"do": "sleep"})
        children.tell("south", {"do": do})
        with pytest.raises(error, match=text) as caught:
            children.gather("done")
    assert SECRET not in str(caught.value)


def test_who_is_silent_is_named_when_time_is_up_and_ended_with_its_children(start):
    heard = {}
    with start("north", time_limit_s=4.0, on_progress=lambda _, fields: heard.update(fields)) as children:
        children.tell("north", {"do": "sleep"})
        with pytest.raises(ProtocolError, match="north: expected 'done' within 4 s, got nothing from there"):
            children.gather("done")
        grandchild = psutil.Process(heard["pid"])
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


def test_what_all_report_is_nobodys_fault(start):
    with start("north", "south") as children:
        for name in children.pids:
            children.tell(name, {"do": "refuse"})
        with pytest.raises(DataContractError, match=r"^age: expected values up to 98, got some beyond"):
            children.gather("done")


def test_a_child_ends_by_itself_when_its_time_is_up():
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TWINLAB_CHILD_SECONDS": "0.3"}
    command = [sys.executable, "-m", "reporting_child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment) as child:
        assert child.wait(timeout=30) == 1


def test_another_kind_than_was_waited_for_is_a_fault(start):
    with start("north") as children:
        children.tell("north", {"do": "answer"})
        with pytest.raises(ProtocolError, match="north: expected 'other', got something else"):
            children.gather("other")
