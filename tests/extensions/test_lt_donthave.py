import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.errors import LocalProtocolError
from peerwire.extensions.lt_donthave import DontHave, LtDontHave
from peerwire.limits import DEFAULT_LIMITS

from .meeting import Meeting


def small():
    """In a torrent of five pieces."""
    return Meeting(functools.partial(LtDontHave, 5))


def test_the_message_is_the_index_of_a_piece():
    meeting = Meeting(LtDontHave)
    meeting.extension.dont_have(7)
    assert meeting.sent() == [b"\0\0\0\7"]
    assert meeting.hear(b"\0\1\0\0") == [DontHave(65536)]
    assert str(DontHave(7)) == "don't have 7"


@given(st.integers(0, DEFAULT_LIMITS.max_pieces - 1))
def test_any_piece_can_be_told(index):
    meeting = Meeting(LtDontHave)
    meeting.extension.dont_have(index)
    (payload,) = meeting.sent()
    assert meeting.hear(payload) == [DontHave(index)]


def test_a_peer_that_does_not_speak_it_may_tell_but_is_not_told():
    meeting = Meeting(LtDontHave, m={})
    assert meeting.hear(b"\0\0\0\7") == [DontHave(7)]
    with pytest.raises(LocalProtocolError, match="has not announced lt_donthave"):
        meeting.extension.dont_have(7)


@pytest.mark.parametrize("length", [0, 3, 5, 1000])
def test_no_other_length_is_read(length):
    why = Meeting(LtDontHave).violation(bytes(length))
    assert why.startswith(f"{length} bytes; the index of a piece has 4")


def test_the_piece_is_there():
    assert small().hear(b"\0\0\0\4") == [DontHave(4)]
    assert small().violation(b"\0\0\0\5").startswith("5 is no piece of 5")
    assert small().violation(b"\xff\xff\xff\xff").startswith("4294967295 is no piece of 5")


@pytest.mark.parametrize("index", [-1, 5])
def test_none_but_such_a_piece_is_told(index):
    meeting = small()
    with pytest.raises(LocalProtocolError, match=f"{index} is no piece of 5"):
        meeting.extension.dont_have(index)
    assert meeting.sent() == []
