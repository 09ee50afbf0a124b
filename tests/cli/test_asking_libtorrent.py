"""`probe` and `metadata` of libtorrent, the most common client, of v1, v2 and both."""

from __future__ import annotations

import pytest
from tests.interop.asking import HOST, fetched, is_a_seed, probed, run, works
from tests.interop.clients import Libtorrent
from tests.interop.content import Content, single
from tests.interop.magnets import many_files
from tests.interop.process import free_port

from peerwire.bencode import decode_dict
from peerwire.cli.subject import Subject

from .versions import make_torrent, write_content


@pytest.mark.parametrize(
    ("wants", "modes"),
    [
        ("off", {"off"}),
        ("default", {"off", "plaintext", "rc4"}),
        ("plaintext", {"plaintext"}),
        ("require", {"rc4"}),
    ],
)
def test_a_probe(tmp_path, wants, modes):
    content = single(tmp_path)
    them = Libtorrent(tmp_path / "lt", encryption=wants)
    record = probed(them, content, free_port(), "--blocks", 2)
    is_a_seed(record, content)
    assert works(record) == modes
    assert record["client"].startswith("libtorrent/")
    assert record["fast"]
    assert record["extensions"].keys() >= {"ut_metadata", "upload_only", "lt_donthave"}
    assert record["yourip"] == HOST
    assert record["reqq"] == 2000
    assert record["metadata_size"] == len(Subject.read(str(content.torrent)).metainfo.info)


@pytest.fixture(params=["v2", "hybrid"])
def modern(request, tmp_path):
    """A torrent of v2 or both, and which."""
    path = write_content(tmp_path)
    torrent = tmp_path / "some.torrent"
    torrent.write_bytes(make_torrent(path, request.param))
    return Content(path, torrent), request.param


def test_a_probe_of_v2(modern, tmp_path):
    content, version = modern
    record = probed(Libtorrent(tmp_path / "lt"), content, free_port(), "--blocks", 11)
    assert record["v2"]
    assert record["torrent"]["version"] == version
    assert record["pieces"]["all"]
    assert sorted(record["request"]["verified"]) == [*range(6)]


def test_metadata(tmp_path):
    content = many_files(tmp_path / "many")
    them = Libtorrent(tmp_path / "lt")
    record = fetched(them, content, free_port(), tmp_path / "out.torrent")
    assert record["files"] == 200


@pytest.mark.parametrize("encryption", ["off", "require"])
def test_metadata_of_v2(modern, tmp_path, encryption):
    content, version = modern
    subject, port = Subject.read(str(content.torrent)), free_port()
    known = subject.info_hash if version == "hybrid" else subject.info_hash_v2
    out = tmp_path / "out.torrent"
    with Libtorrent(tmp_path / "lt", encryption=encryption).seed(
        content.torrent, content.path, port
    ):
        status, records = run("metadata", known.hex(), "--peer", f"{HOST}:{port}", "-o", out)
    assert status == 0
    assert records[-1]["piece_layers"] is True
    written, made = (decode_dict(path.read_bytes()) for path in (out, content.torrent))
    for key in (b"info", b"piece layers"):
        assert written[key] == made[key]
