from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peerwire.errors import StorageError
from peerwire.pieces import PieceSet
from peerwire.torrent.storage import Storage, in_threads, locate


def every_piece(meta):
    return set(range(meta.num_pieces))


def test_what_is_written_is_the_files_and_is_read_back(mixed, tmp_path, tree):
    with Storage(mixed.meta, tmp_path) as storage:
        storage.prepare()
        for index in reversed(range(mixed.meta.num_pieces)):
            storage.write(index, 0, mixed.piece(index))
        assert tree(tmp_path) == mixed.files()
        for index in range(mixed.meta.num_pieces):
            piece = mixed.piece(index)
            assert storage.read(index, 0, len(piece)) == piece
            buffer = bytearray(b"?" * len(piece))
            storage.readinto(index, 0, buffer)
            assert buffer == piece
        assert storage.verify() == every_piece(mixed.meta)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_single_file_is_one_file(sample, tmp_path, kind):
    single = sample(40)
    with Storage(single.meta, str(tmp_path / "new" / "root")) as storage:
        assert storage.content == tmp_path / "new" / "root" / "top"
        for index in range(3):
            storage.write(index, 0, kind(single.piece(index)))
    assert (tmp_path / "new" / "root" / "top").read_bytes() == single.content


shapes = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["", "", "p"])), min_size=1, max_size=8
).filter(lambda shape: any(length for length, _ in shape))


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40
)
@given(shapes, st.integers(1, 30), st.data())
def test_any_bytes_of_any_torrent(sample, tmp_path_factory, shape, piece_length, data):
    files = [(f"{n % 3}/{n}", length, attr) for n, (length, attr) in enumerate(shape)]
    torrent = sample(files, piece_length)
    root = tmp_path_factory.mktemp("any")
    with Storage(torrent.meta, root, max_open=2) as storage:
        for index in range(torrent.meta.num_pieces):
            size = torrent.meta.piece_size(index)
            cut = data.draw(st.integers(0, size))
            storage.write(index, cut, torrent.piece(index)[cut:])
            storage.write(index, 0, torrent.piece(index)[:cut])
            begin = data.draw(st.integers(0, size))
            length = data.draw(st.integers(0, size - begin))
            expected = torrent.piece(index)[begin : begin + length]
            assert storage.read(index, begin, length) == expected
            assert storage.digest(index) == hashlib.sha1(torrent.piece(index)).digest()
        assert storage.verify(workers=1) == every_piece(torrent.meta)


@pytest.mark.parametrize(("begin", "length"), [(-1, 1), (0, 17), (16, 1), (9, 8), (0, -1)])
def test_only_bytes_that_the_piece_has(sample, tmp_path, begin, length):
    storage = Storage(sample(40).meta, tmp_path)
    with pytest.raises(ValueError, match=rf"bytes {begin}\+{length} of piece 1, which has 16"):
        storage.read(1, begin, length)
    if length >= 0:
        with pytest.raises(ValueError, match="of piece 1"):
            storage.readinto(1, begin, bytearray(length))
        with pytest.raises(ValueError, match="of piece 1"):
            storage.write(1, begin, bytes(length))


def test_only_pieces_that_the_torrent_has(sample, tmp_path):
    storage = Storage(sample(40).meta, tmp_path)
    for call in (
        lambda: storage.read(3, 0, 1),
        lambda: storage.readinto(-1, 0, bytearray(1)),
        lambda: storage.write(3, 0, b"x"),
        lambda: storage.digest(3),
        lambda: storage.check(3),
    ):
        with pytest.raises(IndexError, match="of 3"):
            call()
    assert not list(tmp_path.iterdir())


def test_files_appear_when_they_are_written_to(sample, tmp_path, tree):
    torrent = sample([("a/b/first", 20, ""), ("c", 28, "")])
    with Storage(torrent.meta, tmp_path) as storage:
        storage.write(2, 0, torrent.piece(2))
        assert tree(tmp_path) == {"top/c": bytes(12) + torrent.content[32:48]}


def test_preparing_makes_the_empty_files_and_the_directory(mixed, sample, tmp_path, tree):
    storage = Storage(mixed.meta, tmp_path / "root")
    storage.prepare()
    assert tree(tmp_path) == {"root/top/b/empty": b""}
    storage.prepare()
    assert tree(tmp_path) == {"root/top/b/empty": b""}
    storage.close()


def test_preparing_makes_the_only_file_of_a_torrent(sample, tmp_path, tree):
    with Storage(sample(5).meta, tmp_path / "other" / "place") as storage:
        storage.prepare()
        assert tree(tmp_path) == {"other/place/top": b""}


def test_what_a_file_system_says_only_at_the_end(sample, tmp_path, monkeypatch):
    """A quota on NFS, for instance, is told by close(2)."""
    torrent = sample([("a", 16, ""), ("b", 16, "")])
    close = os.close

    def failing(descriptor):
        close(descriptor)
        closed.append(descriptor)
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    closed = []
    storage = Storage(torrent.meta, tmp_path)
    storage.write(0, 0, torrent.piece(0))
    storage.write(1, 0, torrent.piece(1))
    monkeypatch.setattr(os, "close", failing)
    with pytest.raises(StorageError, match=r"can't close the files of .*/top: Disk quota exceeded"):
        storage.close()
    assert len(closed) == 2
    storage.close()


def test_no_thread_to_hash_in(sample, tmp_path, monkeypatch):
    torrent = sample(40)
    torrent.put(tmp_path)

    def start(thread):
        raise RuntimeError("can't start new thread")

    with Storage(torrent.meta, tmp_path) as storage:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            with pytest.raises(StorageError, match="can't hash: can't start new thread"):
                storage.verify()
        assert storage.verify().complete


def test_a_download_goes_on_where_it_was(mixed, tmp_path, tree):
    with Storage(mixed.meta, tmp_path) as storage:
        storage.prepare()
        storage.write(1, 0, mixed.piece(1))
    with Storage(mixed.meta, tmp_path) as storage:
        storage.prepare()
        assert storage.verify() == {1}
        for index in every_piece(mixed.meta) - {1}:
            storage.write(index, 0, mixed.piece(index))
    assert tree(tmp_path) == mixed.files()


def make_directory(path):
    path.mkdir(parents=True)


def make_pipe(path):
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


def make_parent_a_file(path):
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    path.parent.write_bytes(b"")


def make_top_a_file(path):
    path.parents[1].parent.mkdir(parents=True, exist_ok=True)
    path.parents[1].write_bytes(b"")


@pytest.mark.parametrize(
    ("obstacle", "why"),
    [
        (make_directory, "is in the way: it is not a file"),
        (make_pipe, "is in the way: it is not a file"),
        (make_parent_a_file, "top/a"),
        (make_top_a_file, "top"),
    ],
)
@pytest.mark.parametrize("length", [0, 20])
def test_what_is_in_the_way_is_named(sample, tmp_path, obstacle, why, length):
    torrent = sample([("a/b", length, ""), ("c", 5, "")])
    obstacle(tmp_path / "top" / "a" / "b")
    with pytest.raises(StorageError, match=why), Storage(torrent.meta, tmp_path) as storage:
        storage.prepare()


@pytest.mark.parametrize("obstacle", [make_directory, make_pipe])
def test_only_files_are_read_and_written(sample, tmp_path, obstacle):
    torrent = sample([("a/b", 20, "")])
    obstacle(tmp_path / "top" / "a" / "b")
    with Storage(torrent.meta, tmp_path) as storage:
        with pytest.raises(StorageError, match=r"b\b"):
            storage.write(0, 0, torrent.piece(0))
        with pytest.raises(StorageError, match="is in the way: it is not a file"):
            storage.read(0, 0, 16)
        with pytest.raises(StorageError, match="is in the way: it is not a file"):
            storage.check(0)


def test_a_parent_that_is_a_file_is_no_missing_file(sample, tmp_path):
    torrent = sample([("a/b", 20, "")])
    make_parent_a_file(tmp_path / "top" / "a" / "b")
    storage = Storage(torrent.meta, tmp_path)
    for call in (lambda: storage.read(0, 0, 1), storage.prepare, storage.verify):
        with pytest.raises(StorageError, match="top/a/b: Not a directory") as caught:
            call()
        assert isinstance(caught.value.__cause__, NotADirectoryError)
    with pytest.raises(StorageError, match=r"can't write .*/top/a/b: File exists \(.*/top/a\)$"):
        storage.write(0, 0, b"x")


@pytest.mark.parametrize("name", ["a/b", "empty"])
@pytest.mark.parametrize("link", ["file", "directory", "top", "dangling"])
def test_nothing_is_written_through_a_link_that_leaves_the_root(sample, tmp_path, name, link):
    torrent = sample([(name, 0 if name == "empty" else 20, ""), ("c", 20, "")])
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (outside / "b").write_bytes(b"precious")
    place = root / "top" / name
    if link in ("file", "dangling"):
        place.parent.mkdir(parents=True)
        place.symlink_to(outside / ("b" if link == "file" else "new"))
    elif link == "directory" and name == "a/b":
        place.parent.parent.mkdir(parents=True)
        place.parent.symlink_to(outside)
    else:
        root.mkdir()
        (root / "top").symlink_to(outside)
    with Storage(torrent.meta, root) as storage:
        with pytest.raises(StorageError, match=r"symbolic link that leaves .* remove the link"):
            storage.prepare()
        if name == "a/b":
            with pytest.raises(StorageError, match="symbolic link that leaves"):
                storage.write(0, 0, torrent.piece(0))
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == {"b": b"precious"}


def test_links_that_stay_inside_are_followed(sample, tmp_path):
    torrent = sample([("a/b", 20, ""), ("c", 20, "")])
    (tmp_path / "top" / "real").mkdir(parents=True)
    (tmp_path / "top" / "a").symlink_to("real")
    with Storage(torrent.meta, tmp_path) as storage:
        storage.prepare()
        for index in range(3):
            storage.write(index, 0, torrent.piece(index))
        assert storage.verify() == {0, 1, 2}
    assert (tmp_path / "top" / "real" / "b").read_bytes() == torrent.content[:20]


def test_the_root_itself_may_be_a_link_and_content_is_read_through_any(sample, tmp_path):
    torrent = sample([("a", 20, ""), ("b", 20, "")])
    torrent.put(tmp_path / "disk")
    (tmp_path / "root").symlink_to("disk")
    with Storage(torrent.meta, tmp_path / "root") as storage:
        storage.prepare()
        storage.write(0, 0, torrent.piece(0))
        assert storage.verify() == {0, 1, 2}
    seeding = tmp_path / "seeding" / "top"
    seeding.mkdir(parents=True)
    for name in "ab":
        (seeding / name).symlink_to(tmp_path / "disk" / "top" / name)
    with Storage(torrent.meta, tmp_path / "seeding") as storage:
        assert storage.verify() == {0, 1, 2}


def test_content_may_have_any_name(mixed, sample, tmp_path, tree):
    mixed.put(tmp_path)
    (tmp_path / "top").rename(tmp_path / "renamed")
    with Storage(mixed.meta, "unused", content=tmp_path / "renamed") as storage:
        assert storage.content == tmp_path / "renamed"
        storage.prepare()
        assert storage.verify() == every_piece(mixed.meta)
    single = sample(20)
    with Storage(single.meta, "unused", content=str(tmp_path / "f.bin")) as storage:
        storage.prepare()
        storage.write(0, 0, single.piece(0))
        storage.write(1, 0, single.piece(1))
    assert (tmp_path / "f.bin").read_bytes() == single.content
    assert not Path("unused").exists()


def test_a_file_that_is_missing_or_short_is_told_on_reading(sample, tmp_path):
    torrent = sample([("a", 20, ""), ("b", 20, "")])
    storage = Storage(torrent.meta, tmp_path)
    for read in (lambda: storage.read(1, 0, 16), lambda: storage.readinto(1, 0, bytearray(16))):
        with pytest.raises(StorageError, match=r"can't read .*top/a: No such file") as caught:
            read()
        assert isinstance(caught.value.__cause__, FileNotFoundError)
    torrent.put(tmp_path)
    os.truncate(tmp_path / "top" / "b", 5)
    assert storage.read(1, 0, 9) == torrent.content[16:25]
    for read in (lambda: storage.read(1, 0, 16), lambda: storage.readinto(1, 0, bytearray(16))):
        with pytest.raises(StorageError, match="top/b is too short: nothing is at byte 5, and"):
            read()
    storage.close()


def test_a_file_that_is_too_long_is_left_so(sample, tmp_path):
    torrent = sample(20)
    (tmp_path / "top").write_bytes(torrent.content + b"more")
    with Storage(torrent.meta, tmp_path) as storage:
        storage.prepare()
        assert storage.verify() == {0, 1}
        storage.write(1, 0, torrent.piece(1))
    assert (tmp_path / "top").read_bytes() == torrent.content + b"more"


def test_check_tells_right_from_wrong_and_missing(sample, tmp_path):
    torrent = sample(40)
    with Storage(torrent.meta, tmp_path) as storage:
        assert not storage.check(0)
        torrent.put(tmp_path)
        assert [storage.check(n) for n in range(3)] == [True, True, True]
        storage.write(1, 3, b"x")
        assert [storage.check(n) for n in range(3)] == [True, False, True]
        os.truncate(tmp_path / "top", 39)
        assert [storage.check(n) for n in range(3)] == [True, False, False]


def test_hashing_reads_a_piece_in_steps_of_the_buffer(sample, tmp_path):
    torrent = sample(100, piece_length=64)
    torrent.put(tmp_path)
    with Storage(torrent.meta, tmp_path) as storage:
        for size in (1, 7, 64, 1000):
            for index in range(2):
                digest = storage.digest(index, bytearray(size))
                assert digest == torrent.meta.piece_hash(index)
                assert storage.check(index, bytearray(size))


def test_runs_of_pieces_are_hashed_in_one_go(sample, tmp_path):
    torrent = sample(9 * 1024 * 1024, piece_length=1024 * 1024)
    torrent.put(tmp_path)
    with Storage(torrent.meta, tmp_path) as storage:
        assert list(storage.runs([range(9)])) == [range(8), range(8, 9)]
        assert list(storage.runs([range(2), range(3, 3), range(5, 9)])) == [range(2), range(5, 9)]
        assert storage.digests(range(2, 5)) == torrent.meta.pieces[40:100]


def test_verifying_gives_the_pieces_that_are_right(mixed, tmp_path):
    mixed.put(tmp_path)
    with Storage(mixed.meta, tmp_path) as storage:
        storage.write(1, 0, b"?")
        have = storage.verify()
        assert isinstance(have, PieceSet)
        assert have == every_piece(mixed.meta) - {1}
        assert have.size == mixed.meta.num_pieces


@pytest.mark.parametrize(
    ("missing", "size", "pieces"),
    [
        ("a", None, {2, 3, 4}),
        ("a", 17, {0, 2, 3, 4}),
        ("b/c/one", None, {0, 2, 3, 4}),
        ("b/empty", None, {0, 1, 2, 3, 4}),
        ("link", None, {0, 1, 2, 3, 4}),
        ("d", 0, {0, 1}),
        ("d", 31, {0, 1, 2}),
        ("d", 39, {0, 1, 2, 3}),
        ("last", None, {0, 1, 2, 3}),
    ],
)
def test_what_can_not_be_there_is_not_read(mixed, tmp_path, monkeypatch, missing, size, pieces):
    mixed.put(tmp_path)
    path = tmp_path / "top" / missing
    if size is not None:
        os.truncate(path, size)
    elif path.exists():
        path.unlink()
    checked = []
    with Storage(mixed.meta, tmp_path) as storage:
        check = storage.check
        monkeypatch.setattr(storage, "check", lambda *args: checked.append(args[0]) or check(*args))
        steps = []
        assert storage.verify(lambda done, total: steps.append((done, total)), workers=1) == pieces
    assert set(checked) == pieces
    assert steps[0] == (75 - sum(map(mixed.meta.piece_size, pieces)), 75)
    assert steps[-1] == (75, 75)


def test_verifying_an_absent_torrent_reads_nothing(mixed, tmp_path):
    steps = []
    storage = Storage(mixed.meta, tmp_path / "nowhere")
    assert storage.verify(lambda *step: steps.append(step)) == set()
    assert steps == [(75, 75)]


def test_verifying_a_large_torrent_tells_how_far_it_is(sample, tmp_path):
    length = 40 * 1024 * 1024 + 5
    torrent = sample(length, piece_length=1024 * 1024)
    torrent.put(tmp_path)
    steps = []
    with Storage(torrent.meta, tmp_path) as storage:
        threads = set()
        have = storage.verify(
            lambda *step: steps.append(step) or threads.add(threading.current_thread()), workers=2
        )
    assert have.complete
    assert threads == {threading.current_thread()}
    assert steps == [(n * 8 * 1024 * 1024, length) for n in range(6)] + [(length, length)]


def test_writing_goes_on_where_the_system_stopped(sample, tmp_path, monkeypatch):
    torrent = sample(40)
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:3], at))
    with Storage(torrent.meta, tmp_path) as storage:
        for index in range(3):
            storage.write(index, 0, torrent.piece(index))
    assert (tmp_path / "top").read_bytes() == torrent.content


@pytest.mark.parametrize("call", ["pread", "preadv", "pwrite"])
def test_the_system_s_errors_are_chained(sample, tmp_path, monkeypatch, call):
    torrent = sample(40)
    torrent.put(tmp_path)

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    with Storage(torrent.meta, tmp_path) as storage:
        use = {
            "pread": lambda: storage.read(0, 0, 1),
            "preadv": lambda: storage.verify(),
            "pwrite": lambda: storage.write(0, 0, b"x"),
        }[call]
        with pytest.raises(StorageError, match=r"can't (read|write) .*top: Input/output") as caught:
            use()
    assert caught.value.__cause__.errno == errno.EIO


def test_threads_share_a_storage_that_keeps_one_file_open(sample, tmp_path):
    torrent = sample([(f"f{n}", 10 + n, "") for n in range(12)], piece_length=7)
    with Storage(torrent.meta, tmp_path, max_open=1) as storage:
        pieces = list(range(torrent.meta.num_pieces))

        def work(seed):
            order = random.Random(seed).sample(pieces, len(pieces))
            for index in order:
                storage.write(index, 0, torrent.piece(index))
                assert storage.check(index)
            return True

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(work, range(4)))
    assert {f"top/{path.name}" for path in (tmp_path / "top").iterdir()} == torrent.files().keys()


def test_a_storage_may_be_used_after_it_was_closed(sample, tmp_path):
    torrent = sample(20)
    torrent.put(tmp_path)
    storage = Storage(torrent.meta, tmp_path)
    assert storage.check(0)
    storage.close()
    assert storage.check(1)
    storage.close()


def test_results_come_in_order_and_work_is_taken_as_needed():
    taken = []

    def runs():
        for n in range(100):
            taken.append(n)
            yield range(n, n + 1)

    results = in_threads(lambda run: run.start * 2, runs(), workers=2)
    assert next(results) == (range(1), 0)
    assert len(taken) == 5
    assert [result for _, result in results] == [2 * n for n in range(1, 100)]


def test_an_error_ends_the_work():
    done = []

    def work(run):
        if run.start == 3:
            raise StorageError("no")
        done.append(run.start)

    with pytest.raises(StorageError, match="no"):
        list(in_threads(work, (range(n, n + 1) for n in range(1000)), workers=1))
    assert len(done) < 10


def test_content_is_located(mixed, sample, tmp_path):
    mixed.put(tmp_path)
    top = tmp_path / "top"
    assert locate(mixed.meta, tmp_path) == top
    assert locate(mixed.meta, str(top)) == top
    top.rename(tmp_path / "renamed")
    assert locate(mixed.meta, tmp_path / "renamed") == tmp_path / "renamed"
    single = sample(20)
    single.put(tmp_path / "s")
    assert locate(single.meta, tmp_path / "s") == tmp_path / "s" / "top"
    assert locate(single.meta, tmp_path / "s" / "top") == tmp_path / "s" / "top"
    (tmp_path / "s" / "top").rename(tmp_path / "s" / "x")
    assert locate(single.meta, tmp_path / "s" / "x") == tmp_path / "s" / "x"


def test_a_relative_path_is_made_absolute(mixed, tmp_path, monkeypatch):
    mixed.put(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert locate(mixed.meta, ".") == tmp_path / "top"
    storage = Storage(mixed.meta, ".")
    monkeypatch.chdir("/")
    assert storage.content == tmp_path / "top"
    assert storage.check(0)
    storage.close()


def test_a_directory_of_the_same_name_inside_does_not_confuse(sample, tmp_path):
    torrent = sample([("top/a", 20, ""), ("b", 5, "")])
    torrent.put(tmp_path)
    assert locate(torrent.meta, tmp_path) == tmp_path / "top"
    assert locate(torrent.meta, tmp_path / "top") == tmp_path / "top"


def test_what_is_missing_is_told(mixed, sample, tmp_path):
    with pytest.raises(StorageError, match="nowhere does not exist"):
        locate(mixed.meta, tmp_path / "nowhere")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(StorageError, match="f is a file, and 'top' is a directory of files"):
        locate(mixed.meta, tmp_path / "f")
    mixed.put(tmp_path)
    (tmp_path / "top" / "b" / "two").unlink()
    os.truncate(tmp_path / "top" / "d", 30)
    with pytest.raises(StorageError) as caught:
        locate(mixed.meta, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'top'} is not all of 'top':"
        " 'b/two': No such file or directory, 'd' has 30 of 40 bytes"
    )
    with pytest.raises(StorageError, match="'top' has 0 of 20 bytes"):
        locate(sample(20).meta, tmp_path / "f")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="'top': No such file"):
        locate(sample(20).meta, tmp_path / "empty")


def test_a_long_list_of_what_is_missing_is_cut(sample, tmp_path):
    torrent = sample([(f"f{n}", 1, "") for n in range(40)])
    with pytest.raises(StorageError, match=r"'f4': No such file or directory, and 35 more$"):
        locate(torrent.meta, tmp_path)


def test_pieces_that_are_all_padding_are_judged_without_reading_them(sample, tmp_path, monkeypatch):
    torrent = sample([("a", 16, ""), ("x", 16_000, "p"), ("b", 3, "")])
    torrent.put(tmp_path)
    with Storage(torrent.meta, tmp_path) as storage:
        assert storage.verify().complete
        # A .torrent of 40 MiB may have 2^50 bytes of them.
        read = []
        monkeypatch.setattr(storage, "readinto", lambda index, begin, part: read.append(index))
        storage.verify()
        assert sorted(read) == [0, 1001]


def test_padding_whose_hash_is_not_that_of_zeros_is_wrong(sample, tmp_path):
    meta = sample([("a", 16, ""), ("x", 32, "p")]).meta
    pieces = meta.pieces[:20] + bytes(20) + meta.pieces[40:]
    with Storage(dataclasses.replace(meta, pieces=pieces), tmp_path) as storage:
        assert set(storage.verify()) == {2}


def test_empty_files_pads_and_links_need_not_be_there(mixed, tmp_path):
    mixed.put(tmp_path)
    (tmp_path / "top" / "b" / "empty").unlink()
    assert locate(mixed.meta, tmp_path) == tmp_path / "top"
