import copy
import pickle

import pytest

from peerwire import errors
from peerwire.errors import (
    BencodeError,
    ConnectionClosed,
    HashRequestFailed,
    HashRequestRejected,
    HashRequestTimeout,
    InfoHashMismatch,
    InvalidHandshake,
    LocalProtocolError,
    MessageTooBig,
    MetainfoError,
    PeerChoked,
    PeerTimeout,
    PeerWireError,
    ProtocolError,
    RemoteProtocolError,
    RequestCancelled,
    RequestFailed,
    RequestRejected,
    RequestTimeout,
    StorageError,
)
from peerwire.hashes import HashRange

TREE = {
    ProtocolError: PeerWireError,
    LocalProtocolError: ProtocolError,
    RemoteProtocolError: ProtocolError,
    InvalidHandshake: RemoteProtocolError,
    InfoHashMismatch: RemoteProtocolError,
    MessageTooBig: RemoteProtocolError,
    PeerTimeout: RemoteProtocolError,
    RequestFailed: PeerWireError,
    RequestRejected: RequestFailed,
    RequestTimeout: RequestFailed,
    RequestCancelled: RequestFailed,
    PeerChoked: RequestFailed,
    HashRequestFailed: PeerWireError,
    HashRequestRejected: HashRequestFailed,
    HashRequestTimeout: HashRequestFailed,
    ConnectionClosed: PeerWireError,
    BencodeError: PeerWireError,
    MetainfoError: PeerWireError,
    StorageError: PeerWireError,
}


@pytest.mark.parametrize(("error", "parent"), TREE.items())
def test_the_errors_are_one_tree(error, parent):
    assert error.__bases__[0] is parent


def test_a_request_that_fails_is_no_violation():
    assert not issubclass(RequestFailed, ProtocolError)
    assert not issubclass(ConnectionClosed, ProtocolError)


def test_a_caller_may_catch_the_errors_python_has_for_it():
    assert issubclass(BencodeError, ValueError)
    assert issubclass(MetainfoError, ValueError)
    assert issubclass(StorageError, OSError)


@pytest.mark.parametrize("name", errors.__all__)
def test_the_tree_is_drawn_in_full(name):
    lines = errors.__doc__.splitlines()
    assert any(name in line.replace("─", " ").split() for line in lines)
    assert getattr(errors, name).__doc__


@pytest.mark.parametrize("kind", [LocalProtocolError, InvalidHandshake])
def test_a_protocol_error_names_its_rule(kind):
    error = kind("have 7 of 3", rule="BEP 3, peer messages")
    assert str(error) == "have 7 of 3 (BEP 3, peer messages)"
    assert error.rule == "BEP 3, peer messages"


@pytest.mark.parametrize(
    "kind", [RequestFailed, RequestRejected, RequestTimeout, RequestCancelled, PeerChoked]
)
def test_a_failed_request_names_its_block(kind):
    error = kind("no answer", 1, 16384, 100)
    assert str(error) == "request for piece 1, bytes 16384+100: no answer"
    assert (error.reason, error.index, error.begin, error.length) == ("no answer", 1, 16384, 100)


@pytest.mark.parametrize("kind", [HashRequestFailed, HashRequestRejected, HashRequestTimeout])
def test_a_failed_hash_request_names_its_range(kind):
    asked = HashRange(bytes(32), 0, 4, 2, 1)
    error = kind("no answer", asked)
    assert str(error) == "hash request layer 0 4+2 proof 1 of 00000000: no answer"
    assert (error.reason, error.range) == ("no answer", asked)


@pytest.mark.parametrize(
    ("by", "text"),
    [
        ("us", "connection closed by us: done"),
        ("peer", "connection closed by the peer: done"),
        ("network", "connection lost: done"),
    ],
)
def test_a_closed_connection_tells_who_and_why(by, text):
    error = ConnectionClosed(by, "done")
    assert str(error) == text
    assert (error.by, error.reason, error.last_message) == (by, "done", None)


def test_a_closed_connection_tells_the_last_message():
    error = ConnectionClosed("peer", "end of stream", last_message="choke")
    assert str(error) == "connection closed by the peer: end of stream; its last message was choke"
    assert error.last_message == "choke"


def test_a_closed_connection_can_be_told_to_many():
    error = ConnectionClosed("network", "reset", last_message="have")
    error.__cause__ = OSError("reset")
    twin = error.again()
    assert twin is not error
    assert str(twin) == str(error)
    assert (twin.by, twin.reason, twin.last_message) == ("network", "reset", "have")
    assert twin.__cause__ is error.__cause__


@pytest.mark.parametrize(
    "error",
    [
        InvalidHandshake("too short", rule="BEP 3"),
        RequestRejected("the peer rejected it", 1, 16384, 100),
        HashRequestRejected("the peer rejected it", HashRange(bytes(32), 0, 0, 2, 0)),
        ConnectionClosed("peer", "end of stream", last_message="have"),
        StorageError(28, "No space left on device", "a/b"),
        BencodeError("not bencode"),
    ],
)
@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_survives_the_way_to_another_process(error, again):
    other = again(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)
    assert other.args == error.args


def test_an_os_error_in_the_tree_keeps_its_number():
    other = pickle.loads(pickle.dumps(StorageError(28, "No space left on device", "a/b")))
    assert (other.errno, other.filename) == (28, "a/b")
