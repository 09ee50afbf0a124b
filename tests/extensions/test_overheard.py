"""Messages of extensions, read by a third."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import encode
from peerwire.extensions.lt_donthave import DontHave
from peerwire.extensions.overheard import MetadataRequest, read_metadata, readers
from peerwire.extensions.upload_only import UploadOnlyMessage
from peerwire.extensions.ut_holepunch import Rendezvous
from peerwire.extensions.ut_metadata import MetadataPiece, MetadataReject
from peerwire.extensions.ut_pex import BURST, PexMessage, PexPeer

REQUEST = encode({"msg_type": 0, "piece": 1})
PEX = PexMessage([PexPeer("192.0.2.7", 6881)])


def data(piece, total_size, block):
    return encode({"msg_type": 1, "piece": piece, "total_size": total_size}) + block


@pytest.mark.parametrize(
    ("name", "payload", "says", "text"),
    [
        ("ut_metadata", REQUEST, MetadataRequest(1), "metadata request 1"),
        ("ut_pex", PEX.encode(), PEX, "pex 1 added, 0 dropped"),
        ("lt_donthave", b"\0\0\0\x07", DontHave(7), "don't have 7"),
        ("upload_only", b"\1", UploadOnlyMessage(True), "upload only on"),
        (
            "ut_holepunch",
            Rendezvous("192.0.2.7", 1).encode(),
            Rendezvous("192.0.2.7", 1),
            "rendezvous with 192.0.2.7 port 1",
        ),
    ],
)
def test_what_extensions_say(name, payload, says, text):
    content = readers(lambda: 0.0)[name](payload)
    assert content == says
    assert str(content) == text


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (data(1, 16389, b"block"), MetadataPiece(1, 16389, b"block")),
        (data(0, 20000, bytes(16384)), MetadataPiece(0, 20000, bytes(16384))),
        (encode({"msg_type": 2, "piece": 3}), MetadataReject(3)),
        (encode({"msg_type": 3, "whatever": []}), None),
    ],
)
def test_metadata(payload, says):
    assert read_metadata(payload) == says


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"le", "begins with a dictionary"),
        (b"de", "msg_type is no number"),
        (encode({"msg_type": -1}), "msg_type is no number"),
        (encode({"msg_type": 0}), "piece is no number"),
        (encode({"msg_type": 2, "piece": b"3"}), "piece is no number"),
        (encode({"msg_type": 1, "piece": 0}), "total_size is no number"),
        (data(0, 5, b"less"), "with 4 bytes, it has 5"),
        (data(9, 5, b"more"), "with 4 bytes, it has 0"),
        (b"", "ends inside"),
    ],
)
def test_no_metadata(payload, why):
    with pytest.raises(ValueError, match=why):
        read_metadata(payload)


def test_peers_are_exchanged_once_a_minute():
    now = [0.0]
    read = readers(lambda: now[0])["ut_pex"]
    for _ in range(BURST):
        read(PEX.encode())
    with pytest.raises(ValueError, match="more than"):
        read(PEX.encode())
    now[0] = 61.0
    assert read(PEX.encode()) == PEX


@given(st.sampled_from([*readers(lambda: 0.0)]), st.binary(max_size=80))
def test_whatever_they_say(name, payload):
    try:
        readers(lambda: 0.0)[name](payload)
    except ValueError:
        pass
