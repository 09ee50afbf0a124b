import functools

import pytest

from peerwire.extensions.upload_only import UploadOnly, UploadOnlyMessage

from .meeting import Meeting


def seed(**told):
    return Meeting(functools.partial(UploadOnly, True), **told)


def test_our_handshake_says_whether_we_want_nothing():
    assert seed().handshake.upload_only is True
    assert Meeting(UploadOnly).handshake.upload_only is False


def test_a_change_is_a_message_of_a_byte():
    meeting = Meeting(UploadOnly)
    meeting.extension.switch(True)
    meeting.extension.switch(True)
    assert meeting.extension.on
    meeting.extension.switch(False)
    assert not meeting.extension.on
    assert meeting.sent() == [b"\1", b"\0"]


def test_a_peer_that_does_not_take_it_is_told_by_the_next_handshake():
    meeting = Meeting(UploadOnly, m={})
    meeting.extension.switch(True)
    assert meeting.sent() == []
    assert meeting.wire.extensions.handshake().upload_only is True


@pytest.mark.parametrize("told", [{}, {"upload_only": False}])
def test_a_peer_that_says_nothing_of_it_wants_something(told):
    assert not Meeting(UploadOnly, **told).extension.peer_on


def test_a_peer_says_it_in_its_handshake():
    meeting = Meeting(UploadOnly, upload_only=True)
    assert meeting.extension.peer_on
    meeting.tell(upload_only=False)
    assert not meeting.extension.peer_on


def test_a_peer_says_it_in_a_message():
    meeting = Meeting(UploadOnly)
    assert meeting.hear(b"\1") == [UploadOnlyMessage(True)]
    assert meeting.extension.peer_on
    assert meeting.wire.extensions.peer.upload_only is True
    assert meeting.hear(b"\0") == [UploadOnlyMessage(False)]
    assert not meeting.extension.peer_on
    assert meeting.hear(b"\x80") == [UploadOnlyMessage(True)]
    assert [str(UploadOnlyMessage(on)) for on in (True, False)] == [
        "upload only on",
        "upload only off",
    ]


def test_what_it_said_last_counts_whichever_way():
    meeting = Meeting(UploadOnly, upload_only=True)
    meeting.hear(b"\0")
    meeting.tell(m={"xx_other": 1})
    assert not meeting.extension.peer_on


def test_before_its_handshake_a_message_is_handed_out_and_no_more():
    extension = UploadOnly()
    assert extension.receive(b"\1") == UploadOnlyMessage(True)
    assert not extension.peer_on


@pytest.mark.parametrize("payload", [b"", b"\1\1", bytes(1000)])
def test_no_other_length_is_read(payload):
    why = Meeting(UploadOnly).violation(payload)
    assert why.startswith(f"{len(payload)} bytes; upload_only is a byte")
