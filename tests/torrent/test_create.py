from __future__ import annotations

import hashlib
import os

import libtorrent
import pytest

from peerwire.bencode import decode
from peerwire.errors import MetainfoError, StorageError
from peerwire.torrent.create import choose_piece_length, create
from peerwire.torrent.metainfo import MAX_PIECE_LENGTH, MAX_PIECES, Metainfo
from peerwire.torrent.storage import Storage

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def content(tmp_path):
    """A directory of files in no order, some crossing pieces, one empty, one hidden."""
    top = tmp_path / "top"
    sizes = {"b/z": 20_000, "a": 5, "b/a": 0, ".hidden": 7, "b/Z": 16_384, "é": 3, "b.c": 1}
    for number, (name, size) in enumerate(sizes.items()):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * size)
    return top


def test_a_single_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 40_000)
    meta = create(path)
    assert decode(meta.info) == {
        b"length": 40_000,
        b"name": b"a.bin",
        b"piece length": 16 * KIB,
        b"pieces": b"".join(hashlib.sha1(b"x" * n).digest() for n in (16384, 16384, 7232)),
    }
    assert create(str(path)) == meta


def test_a_directory_in_the_order_of_its_names_as_bytes(content):
    meta = create(content)
    assert [("/".join(file.path), file.length) for file in meta.files] == [
        ("top/.hidden", 7),
        ("top/a", 5),
        ("top/b/Z", 16_384),
        ("top/b/a", 0),
        ("top/b/z", 20_000),
        ("top/b.c", 1),
        ("top/é", 3),
    ]
    with Storage(meta, content.parent) as storage:
        assert storage.verify().complete


def test_the_same_content_gives_the_same_bytes(content, tmp_path):
    meta = create(content, trackers=["u:a"])
    twin = tmp_path / "elsewhere" / "top"
    for path in sorted(content.rglob("*"), reverse=True):
        if path.is_file():
            place = twin / path.relative_to(content)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    assert create(twin, trackers=["u:a"]).to_bytes() == meta.to_bytes()


def test_what_is_made_is_read_by_another_client(content):
    urls = ["http://a.test/announce", "udp://b.test:1", "http://c.test/announce"]
    meta = create(content, trackers=[urls[:2], urls[2]], private=True)
    params = libtorrent.load_torrent_buffer(meta.to_bytes())
    theirs = params.ti
    assert theirs.info_hashes().v1.to_bytes() == meta.info_hash
    assert theirs.num_pieces() == meta.num_pieces
    assert theirs.total_size() == meta.length
    assert theirs.priv()
    assert (params.trackers, params.tracker_tiers) == (urls, [0, 0, 1])


def test_options_end_up_in_the_torrent(content):
    meta = create(content, piece_length=32 * KIB, private=True, trackers=["u:a", ["u:b", "u:c"]])
    assert (meta.piece_length, meta.private) == (32 * KIB, True)
    assert meta.trackers == (("u:a",), ("u:b", "u:c"))
    assert meta.created_by.startswith("peerwire ")
    assert meta.creation_date is None
    assert Metainfo.from_bytes(meta.to_bytes()) == meta
    public = create(content)
    assert not public.private
    assert b"private" not in decode(public.info)
    assert public.trackers == ()


def test_progress_ends_with_all_of_it(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(20 * MIB + 5))
    steps = []
    create(path, progress=lambda *step: steps.append(step))
    assert steps == [(n * MIB, 20 * MIB + 5) for n in (8, 16)] + [(20 * MIB + 5, 20 * MIB + 5)]


def test_a_relative_path_has_the_name_that_it_leads_to(content, monkeypatch):
    meta = create(content)
    monkeypatch.chdir(content)
    for path in (".", "b/..", "../top", "../top/"):
        assert create(path) == meta


@pytest.mark.parametrize(
    ("length", "piece_length"),
    [
        (0, 16 * KIB),
        (1, 16 * KIB),
        (32 * MIB, 16 * KIB),
        (32 * MIB + 1, 32 * KIB),
        (64 * MIB, 32 * KIB),
        (1024 * MIB, 512 * KIB),
        (1024 * MIB + 1, 1 * MIB),
        (32 * 1024 * MIB, 16 * MIB),
        (32 * 1024 * MIB + 1, 16 * MIB),
        (1 << 50, 16 * MIB),
    ],
)
def test_the_piece_length_follows_the_content_s(length, piece_length):
    assert choose_piece_length(length) == piece_length


def test_the_piece_length_chosen_makes_about_a_thousand_pieces():
    for length in range(32 * MIB, 32 * 1024 * MIB, 777 * MIB):
        assert 1024 <= -(-length // choose_piece_length(length)) <= 2048


@pytest.mark.parametrize(
    "piece_length", [0, -16384, 1, 8192, 16383, 16385, 48 * KIB, 2 * MAX_PIECE_LENGTH]
)
def test_a_piece_length_is_a_power_of_two(content, piece_length):
    with pytest.raises(MetainfoError, match=f"a piece length of {piece_length} bytes; it is"):
        create(content, piece_length=piece_length)


def test_the_longest_piece_is_no_more_than_the_content_needs_to_hash(content):
    meta = create(content, piece_length=MAX_PIECE_LENGTH)
    assert meta.num_pieces == 1


def test_more_pieces_than_clients_accept_are_refused_before_hashing(tmp_path):
    path = tmp_path / "sparse"
    path.write_bytes(b"")
    os.truncate(path, 16 * KIB * MAX_PIECES + 1)
    with pytest.raises(MetainfoError, match=r"more than 2097152 pieces .* choose a longer piece"):
        create(path, piece_length=16 * KIB)


def test_nothing_makes_no_torrent(tmp_path):
    (tmp_path / "top" / "empty").mkdir(parents=True)
    with pytest.raises(MetainfoError, match="top holds no files"):
        create(tmp_path / "top")
    (tmp_path / "top" / "a").write_bytes(b"")
    for path in (tmp_path / "top", tmp_path / "top" / "a"):
        with pytest.raises(MetainfoError, match="hold no bytes"):
            create(path)
    with pytest.raises(StorageError, match=r"can't read .*nowhere: No such file") as caught:
        create(tmp_path / "nowhere")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize(
    ("name", "why"), [(b"a\\b", "path separator"), (b"a\xff", "not UTF-8"), (b"a\n", "control")]
)
def test_a_name_that_no_torrent_can_hold_is_refused_before_hashing(content, name, why):
    with open(os.path.join(os.fsencode(content), name), "wb") as file:
        file.write(b"x")
    steps = []
    with pytest.raises(MetainfoError, match=why):
        create(content, progress=lambda *step: steps.append(step))
    assert not steps


def test_links_are_followed(content, tmp_path):
    meta = create(content)
    (content / "a").rename(tmp_path / "moved")
    (content / "a").symlink_to(tmp_path / "moved")
    (content / "b").rename(tmp_path / "directory")
    (content / "b").symlink_to("../directory")
    assert create(content) == meta
    (tmp_path / "other").symlink_to(content)
    assert create(tmp_path / "other").pieces == meta.pieces
    assert create(tmp_path / "other").name == "other"


@pytest.mark.parametrize("target", [".", "..", "../b", "../b/deep"])
def test_a_link_that_makes_a_loop_is_refused(content, target):
    (content / "b" / "deep").mkdir()
    (content / "b" / "deep" / "loop").symlink_to(f"../{target}")
    with pytest.raises(StorageError, match="that a symbolic link leads to once more"):
        create(content)


def test_a_link_to_nowhere_is_refused(content):
    (content / "l").symlink_to("nowhere")
    with pytest.raises(StorageError, match=r"top/l: No such file"):
        create(content)


def test_what_is_no_file_is_refused(content):
    os.mkfifo(content / "pipe")
    with pytest.raises(StorageError, match="pipe is neither a file nor a directory"):
        create(content)
    with pytest.raises(StorageError, match="pipe is neither a file nor a directory"):
        create(content / "pipe")


def grow(path):
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path):
    os.truncate(path, 3)


def rewrite(path):
    path.write_bytes(b"y" * path.stat().st_size)
    os.utime(path, ns=(0, 1))


def remove(path):
    path.unlink()


@pytest.mark.parametrize("change", [grow, shrink, rewrite, remove])
def test_content_that_changes_meanwhile_is_an_error(tmp_path, change):
    top = tmp_path / "top"
    top.mkdir()
    (top / "a").write_bytes(bytes(20 * MIB))
    (top / "b").write_bytes(b"x" * 100)
    changes = [change]

    def meddle(done, total):
        while changes:
            changes.pop()(top / "b")

    with pytest.raises(StorageError, match="top/b changed while it was hashed: try again"):
        create(top, progress=meddle)


def test_an_error_of_the_disk_is_told_as_such(content, monkeypatch):
    def fail(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(StorageError, match=r"can't read .*: Input/output error"):
        create(content)
