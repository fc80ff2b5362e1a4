"""What peers send is read as numbers and words, and runs nothing."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlab.errors import ProtocolError
from twinlab.protection.joint.mpyc_wire import WireFormat, pack_value, unpack_value


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**600), 2**600), max_size=8))
def test_whole_numbers_of_any_size_read_back(numbers):
    array = np.array([*numbers, None], dtype=object)[:-1]
    found = unpack_value(pack_value(array))
    assert found.dtype == object
    assert found.tolist() == numbers


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_words_read_back(word):
    assert unpack_value(pack_value(word)) == word


class _Touch:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_message_that_pickle_would_run_is_refused(tmp_path):
    data = pickle.dumps(_Touch(str(tmp_path / "ran")))
    with pytest.raises(ProtocolError, match="expected numbers or a word"):
        WireFormat().loads(data)
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)
    assert (tmp_path / "ran").exists(), "the message does something when it is read by pickle"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_other_bytes_are_refused_or_are_what_they_say(data):
    try:
        found = unpack_value(data)
    except ProtocolError:
        return
    assert isinstance(found, str | np.ndarray)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b"x" + data[1:]])
def test_cut_off_or_longer_messages_are_refused(change):
    with pytest.raises(ProtocolError, match="expected numbers or a word"):
        unpack_value(change(pack_value(np.array([1, 2**80], dtype=object))))


@pytest.mark.parametrize("value", [[1, 2], np.zeros((2, 2)), b"x", None])
def test_nothing_else_is_sent(value):
    with pytest.raises(ProtocolError, match="expected a vector or a word"):
        pack_value(value)
