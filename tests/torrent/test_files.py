"""The files under a storage, by what a storage then does."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

import pytest

from peerwire.errors import StorageError
from peerwire.torrent.storage import Storage


@pytest.mark.parametrize("files", [20, [("a", 20, "")]])
def test_one_download_at_a_time(sample, tmp_path, files):
    torrent = sample(files)
    with Storage(torrent.meta, tmp_path) as first:
        first.prepare()
        with Storage(torrent.meta, tmp_path) as second:
            with pytest.raises(StorageError, match="top is being downloaded already; wait for"):
                second.prepare()
            assert not second.verify()  # looking is no matter
        first.prepare()
    with Storage(torrent.meta, tmp_path) as third:
        third.prepare()


def test_a_file_system_without_locks_does_without(sample, tmp_path, monkeypatch):
    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    torrent = sample(20)
    with Storage(torrent.meta, tmp_path) as first, Storage(torrent.meta, tmp_path) as second:
        first.prepare()
        second.prepare()
        second.write(0, 0, torrent.piece(0))
        assert first.verify() == {0}


@pytest.mark.parametrize("fate", ["removed", "replaced", "moved"])
def test_a_file_that_is_removed_is_not_written_to_in_vain(sample, tmp_path, fate):
    torrent = sample(40)
    with Storage(torrent.meta, tmp_path) as storage:
        storage.write(0, 0, torrent.piece(0))
        if fate == "removed":
            (tmp_path / "top").unlink()
        elif fate == "replaced":
            (tmp_path / "other").write_bytes(b"another")
            (tmp_path / "other").rename(tmp_path / "top")
        else:
            (tmp_path / "top").rename(tmp_path / "there")
            storage.write(1, 0, torrent.piece(1))
            assert (tmp_path / "there").read_bytes() == torrent.content[:32]
            return
        with pytest.raises(StorageError, match="top was removed while it was written; begin again"):
            storage.write(1, 0, torrent.piece(1))


def test_a_file_system_that_counts_no_links(sample, tmp_path, monkeypatch):
    torrent = sample(40)
    fstat = os.fstat

    def without_links(descriptor):
        status = list(fstat(descriptor))
        status[stat.ST_NLINK] = 0
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", without_links)
    with Storage(torrent.meta, tmp_path) as storage:
        storage.write(0, 0, torrent.piece(0))
        storage.write(1, 0, torrent.piece(1))
        assert storage.verify() == {0, 1}


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "nothing", "loop"])
def test_what_is_no_file(sample, tmp_path, kind):
    torrent = sample(20)
    path = tmp_path / "top"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    with Storage(torrent.meta, tmp_path) as storage:
        with pytest.raises(StorageError, match="top") as caught:
            storage.read(0, 0, 16)
        if kind in ("directory", "pipe", "device"):
            assert str(caught.value).endswith("top is in the way: it is not a file")
        if kind == "nothing":
            assert isinstance(caught.value.__cause__, FileNotFoundError)
            storage.write(0, 0, torrent.piece(0))
        else:
            with pytest.raises(StorageError, match="top"):
                storage.prepare()
            with pytest.raises(StorageError, match="top"):
                storage.write(0, 0, torrent.piece(0))


def test_an_error_names_the_file_and_what_stood_in_its_way(sample, tmp_path):
    torrent = sample([("a/b", 20, "")])
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "a").write_bytes(b"a file")
    with Storage(torrent.meta, tmp_path) as storage:
        with pytest.raises(StorageError, match=r"write .*/top/a/b: File exists \(.*/top/a\)$"):
            storage.write(0, 0, torrent.piece(0))
        with pytest.raises(StorageError, match=r"read .*/top/a/b: Not a directory$"):
            storage.read(0, 0, 16)


def test_a_link_to_itself_is_an_error_of_the_disk(sample, tmp_path):
    torrent = sample(20)
    (tmp_path / "top").symlink_to("top")
    storage = Storage(torrent.meta, tmp_path)
    for call in (storage.prepare, storage.verify, lambda: storage.write(0, 0, b"x")):
        with pytest.raises(StorageError):
            call()


def test_a_disk_that_can_not_be_read_ends_a_check(sample, tmp_path, monkeypatch):
    """It is not taken for content that is missing, which would be fetched and written there."""
    torrent = sample([("a", 20, ""), ("b", 20, "")])
    torrent.put(tmp_path)
    preadv = os.preadv

    def failing(descriptor, buffers, position):
        if os.path.samestat(os.fstat(descriptor), os.stat(tmp_path / "top" / "b")):
            raise OSError(errno.EIO, "Input/output error")
        return preadv(descriptor, buffers, position)

    with Storage(torrent.meta, tmp_path) as storage:
        with monkeypatch.context() as patch:
            patch.setattr(os, "preadv", failing)
            with pytest.raises(StorageError, match=r"can't read .*/top/b: Input/output error$"):
                storage.verify()
        assert storage.verify().complete
