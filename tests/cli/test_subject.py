"""A torrent by its file, its link or its hash, of v1, v2 and both."""

from __future__ import annotations

import argparse
import base64
import hashlib

import pytest

from peerwire import PieceSet, ServedTorrent
from peerwire.bencode import decode_dict, encode
from peerwire.cli.subject import Subject, add_subject
from peerwire.errors import LocalProtocolError, MetainfoError
from peerwire.torrent.fields import MAX_METAINFO

from .versions import BLOCK, FILES, FLAGS, PIECE, make_torrent, write_content

V1, V2 = bytes(range(20)), bytes(range(32))
TRACKER = "http://127.0.0.1:1/announce"


@pytest.fixture
def content(tmp_path):
    return write_content(tmp_path)


@pytest.fixture(params=FLAGS)
def version(request):
    return request.param


@pytest.fixture
def torrent(content, version):
    return make_torrent(content, version, tracker=TRACKER)


@pytest.mark.parametrize(
    "text",
    [V1.hex(), V1.hex().upper(), base64.b32encode(V1).decode(), f"magnet:?xt=urn:btih:{V1.hex()}"],
)
def test_a_v1_info_hash(text):
    subject = Subject.read(text)
    assert subject == Subject(info_hash=V1)
    assert (subject.num_pieces, subject.version, subject.name) == (None, None, None)
    assert subject.info_hashes == (V1,)
    assert subject.served == {V1: ServedTorrent()}


@pytest.mark.parametrize("text", [V2.hex(), f"MAGNET:?xt=urn:btmh:1220{V2.hex()}"])
def test_a_v2_info_hash(text):
    subject = Subject.read(text)
    assert subject == Subject(info_hash=V2[:20], info_hash_v2=V2)
    assert subject.info_hashes == (V2[:20],)
    assert subject.served == {V2[:20]: ServedTorrent(None, V2)}


def test_a_link_that_says_much():
    link = f"magnet:?xt=urn:btih:{bytes(20).hex()}&xt=urn:btmh:1220{V2.hex()}&dn=x&tr={TRACKER}"
    subject = Subject.read(link + "&x.pe=127.0.0.1:1")
    assert subject.info_hashes == (bytes(20), V2[:20])
    assert subject.name == "x"
    assert subject.trackers == (TRACKER,)
    assert subject.peers == (("127.0.0.1", 1),)


def test_a_file(tmp_path, torrent, version):
    path = tmp_path / "some.torrent"
    path.write_bytes(torrent)
    subject = Subject.read(str(path))
    _, info = decode_dict(torrent)[b"info"]
    v1, v2 = hashlib.sha1(info).digest(), hashlib.sha256(info).digest()
    hashes = {"v1": (v1,), "v2": (v2[:20],), "hybrid": (v1, v2[:20])}[version]
    assert subject.info_hashes == hashes
    assert subject.info_hash_v2 == (None if version == "v1" else v2)
    assert subject.version == version
    assert subject.name == "several files"
    assert subject.num_pieces == (5 if version == "v1" else 6)
    assert subject.trackers == (() if version == "v2" else (TRACKER,))
    assert {*subject.served} == {*hashes}


def test_pieces(content, torrent, version):
    """Those of v1 run on from file to file, those of v2 begin with each."""
    subject = Subject.of_torrent(torrent)
    data = [(content / name).read_bytes() for name in FILES]
    parts = [b"".join(data)] if version == "v1" else data
    pieces = [part[n : n + PIECE] for part in parts for n in range(0, len(part), PIECE)]
    assert [subject.piece_size(n) for n in range(len(pieces))] == [len(each) for each in pieces]
    for index, piece in enumerate(pieces):
        assert subject.verifies(index, piece)
        assert not subject.verifies(index, bytes(len(piece)))
        assert not subject.verifies(index, piece[:BLOCK] + b"x")
    for index in (-1, len(pieces)):
        with pytest.raises(IndexError, match=f"piece {index} of {len(pieces)}"):
            subject.piece_size(index)


def test_a_hybrid_without_piece_layers_has_the_hashes_of_v1(content):
    fields = decode_dict(make_torrent(content, "hybrid"))
    _, info = fields[b"info"]
    subject = Subject.of_torrent(b"d4:info" + info + b"e")
    assert subject.version == "hybrid"
    assert subject.info_hash_v2 == hashlib.sha256(info).digest()
    assert subject.metainfo_v2 is None
    first = (content / "one").read_bytes()
    assert subject.verifies(0, first + bytes(PIECE - len(first)))


def test_the_piece_that_takes_the_fewest_blocks(torrent, version):
    subject = Subject.of_torrent(torrent)
    full = PieceSet.full(subject.num_pieces)
    assert subject.shortest_piece(full) == subject.num_pieces - 1
    if version != "v1":  # each file ends with a piece of its own
        assert subject.shortest_piece(full - {5}) == 4
        assert subject.shortest_piece(full - {4, 5}) == 0
    assert subject.shortest_piece(PieceSet(subject.num_pieces, [2, 3])) == 2


def test_without_a_torrent_no_piece_is_known():
    with pytest.raises(IndexError, match=r"without a \.torrent"):
        Subject(info_hash=V1).verifies(0, b"")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no magnet link, and no info-hash"),
        ("nothing.torrent", "'nothing.torrent' is no file that is here"),
        ("g" * 40, "is no file"),
        ("z" * 64, "is no file"),
        ("0" * 39, "40 hex digits, or 64"),
        ("a\0b", "is no file"),
        ("magnet:?dn=x", "names no torrent"),
        ("magnet:?xt=urn:btih:00", "40 hex digits"),
    ],
)
def test_what_is_none(text, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetainfoError, match=told):
        Subject.read(text)


def test_a_folder_is_none(tmp_path):
    with pytest.raises(IsADirectoryError):
        Subject.read(str(tmp_path))


def test_a_file_whose_name_is_a_hash(tmp_path, monkeypatch, torrent):
    monkeypatch.chdir(tmp_path)
    (tmp_path / V1.hex()).write_bytes(torrent)
    assert Subject.read(V1.hex()).name is None
    assert Subject.read(f"./{V1.hex()}").name == "several files"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"<html>", "not a .torrent"),
        (b"de", "no 'info'"),
        (encode({"info": []}), "no 'info' dictionary"),
        (encode({"info": {"file tree": 1}}), "not a v2 torrent"),
        (encode({"info": {"meta version": 3}}), "newer than 2"),
        (bytes(MAX_METAINFO + 1), "at most"),
    ],
)
def test_what_is_no_torrent(data, told):
    with pytest.raises(MetainfoError, match=told):
        Subject.of_torrent(data)


@pytest.mark.parametrize("text", ["0" * 63, "0" * 65, "z" * 64, ""])
def test_what_is_no_hash(text):
    with pytest.raises(LocalProtocolError):
        Subject.of_hash(text)


def test_the_argument():
    parser = argparse.ArgumentParser()
    add_subject(parser)
    assert parser.parse_args([V1.hex()]).torrent == V1.hex()
