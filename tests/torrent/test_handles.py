from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from peerwire.torrent.handles import Handles


class Files:
    """Ten numbered files, and what was opened of them."""

    def __init__(self, root):
        self.root = root
        self.opened = []
        self.refusals = [0, 0]
        for number in range(10):
            (root / str(number)).write_bytes(b"%d" % number)

    def refuse(self, times, error):
        """Lets so many attempts to open a file fail."""
        self.refusals = [times, error]

    def open(self, number, write):
        if self.refusals[0]:
            self.refusals[0] -= 1
            raise OSError(self.refusals[1], os.strerror(self.refusals[1]))
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


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_open_files_make_room_where_the_system_has_no_descriptors(files, number):
    handles = Handles(files.open, 10)
    with handles.use(1) as busy:
        for other in 2, 3:
            read(handles, other)
        files.refuse(2, number)
        assert read(handles, 4) == b"4"
        assert is_open(busy)  # it had to go, and is still used
        files.refuse(1, number)
        with handles.use(4, write=True) as writing:  # what makes room may be the same file
            assert os.pread(writing, 1, 0) == b"4"
        files.refuse(100, number)
        with pytest.raises(OSError, match=os.strerror(number)):
            handles.use(5)
    assert not is_open(busy)
    files.refuse(0, number)
    assert read(handles, 5) == b"5"
    handles.close()


def test_a_file_that_can_not_be_closed_in_good_order_leaves_the_others(files, monkeypatch):
    handles = Handles(files.open, 2)
    descriptors = []
    for number in 1, 2:
        with handles.use(number) as descriptor:
            descriptors.append(descriptor)
    close = os.close

    def failing(descriptor):
        close(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", failing)
    with pytest.raises(OSError, match="Input/output"):
        handles.use(3)
    monkeypatch.undo()
    assert read(handles, 3) == b"3"
    with handles.use(3) as third:
        pass
    monkeypatch.setattr(os, "close", failing)
    with pytest.raises(OSError, match="Input/output"):
        handles.close()
    monkeypatch.undo()
    assert not any(map(is_open, [*descriptors, third]))
    handles.close()


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
