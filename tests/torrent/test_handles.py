from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from peerwire.torrent.handles import Handles


class Files:
    """Ten numbered files, and what was opened of them."""

    def __init__(self, root):
        self.root = root
        self.opened = []
        for number in range(10):
            (root / str(number)).write_bytes(b"%d" % number)

    def open(self, number, write):
        self.opened.append((number, write))
        return os.open(self.root / str(number), os.O_RDWR if write else os.O_RDONLY)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def read(handles, number):
    with handles.use(number) as descriptor:
        return os.pread(descriptor, 10, 0)


def test_a_file_is_opened_once(files):
    handles = Handles(files.open, 3)
    assert [read(handles, n) for n in (1, 2, 1, 2, 1)] == [b"1", b"2", b"1", b"2", b"1"]
    assert files.opened == [(1, False), (2, False)]
    handles.close()


def test_the_file_used_longest_ago_makes_room(files):
    handles = Handles(files.open, 2)
    for number in (1, 2, 1, 3, 1, 2):
        assert read(handles, number) == b"%d" % number
    assert [number for number, _ in files.opened] == [1, 2, 3, 2]
    handles.close()


def test_a_file_in_use_stays_open_until_its_last_user_is_done(files):
    handles = Handles(files.open, 1)
    outer, inner = handles.use(1), handles.use(1)
    with outer as descriptor:
        with inner as same:
            assert same == descriptor
            read(handles, 2)
        assert is_open(descriptor)
        assert os.pread(descriptor, 1, 0) == b"1"
    assert not is_open(descriptor)
    handles.close()


def test_reading_and_writing_share_the_file_once_it_is_open_for_both(files):
    handles = Handles(files.open, 3)
    with handles.use(1) as reading, handles.use(1, write=True) as writing:
        assert writing != reading
        assert is_open(reading)
        os.pwrite(writing, b"x", 0)
    assert not is_open(reading)
    assert read(handles, 1) == b"x"
    with handles.use(1, write=True) as again:
        assert again == writing
    assert files.opened == [(1, False), (1, True)]
    handles.close()


def test_closing_closes_all_and_what_is_used_when_it_is_done(files):
    handles = Handles(files.open, 3)
    with handles.use(1) as idle:
        pass
    with handles.use(2) as busy:
        handles.close()
        assert not is_open(idle)
        assert is_open(busy)
    assert not is_open(busy)
    assert read(handles, 1) == b"1"
    handles.close()


def test_a_file_that_can_not_be_opened_leaves_the_others(files):
    handles = Handles(files.open, 3)
    with handles.use(1, write=True) as descriptor:
        pass
    (files.root / "1").unlink()
    (files.root / "2").unlink()
    with pytest.raises(FileNotFoundError):
        handles.use(2)
    with handles.use(1) as same:
        assert same == descriptor
    handles.close()
    assert not is_open(descriptor)


def test_a_limit_leaves_at_least_one(files):
    with pytest.raises(ValueError, match="limit of 0"):
        Handles(files.open, 0)


def test_threads_that_evict_each_other_s_files_read_what_they_asked_for(files):
    handles = Handles(files.open, 2)

    def work(seed):
        return all(
            read(handles, number) == b"%d" % number
            for number in ((seed * n * n + n) % 10 for n in range(300))
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    handles.close()
