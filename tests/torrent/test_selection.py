import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import encode
from peerwire.errors import MetainfoError
from peerwire.torrent.magnet import Magnet
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.selection import select
from peerwire.torrent.storage import Storage

PIECE = 16


def torrent(*files):
    """A torrent of files, each a length, or a length and its attributes."""
    pairs = [file if isinstance(file, tuple) else (file, "") for file in files]
    length = sum(length for length, _ in pairs)
    info = {
        "name": "top",
        "piece length": PIECE,
        "pieces": b"".join(
            hashlib.sha1(bytes(min(PIECE, length - begin))).digest()
            for begin in range(0, length, PIECE)
        ),
        "files": [
            {"path": [f"file{n}"], "length": length, "attr": attr}
            for n, (length, attr) in enumerate(pairs)
        ],
    }
    return Metainfo.from_info(encode(info))


def names(metainfo):
    return [file.path[-1] for file in metainfo.files]


def test_everything_is_all_pieces():
    metainfo = torrent(5, 20, 0, 30)
    selection = select(metainfo, lambda _: True)
    assert selection.pieces.complete
    assert selection.metainfo == metainfo


@pytest.mark.parametrize(
    ("selected", "pieces"),
    [
        ({0}, {0}),  # 0 to 5
        ({1}, {0, 1}),  # 5 to 25
        ({2}, {1}),  # 25 to 32, the end of piece 1
        ({3}, {2}),  # 32 to 48
        ({4}, {3}),  # 48 to 50, the short end
        ({0, 4}, {0, 3}),
        ({0, 99}, {0}),
    ],
)
def test_a_file_is_every_piece_that_holds_a_byte_of_it(selected, pieces):
    selection = select(torrent(5, 20, 7, 16, 2), selected.__contains__)
    assert set(selection.pieces) == pieces


def test_a_magnet_link_selects():
    magnet = Magnet(info_hash=bytes(20), select_only=(range(1, 2), range(3, 5)))
    assert set(select(torrent(16, 16, 16, 16, 16, 16), magnet.selects).pieces) == {1, 3, 4}
    assert select(torrent(16, 16), Magnet(info_hash=bytes(20)).selects).pieces.complete


def test_an_empty_file_is_there_if_it_is_selected(tmp_path):
    selection = select(torrent(5, 0, 20, 0), {0, 3}.__contains__)
    assert set(selection.pieces) == {0}
    assert names(selection.metainfo) == ["file0", "file2", "file3"]
    Storage(selection.metainfo, tmp_path).prepare()
    assert [path.name for path in (tmp_path / "top").iterdir()] == ["file3"]


def test_nothing_but_empty_files_takes_no_piece():
    assert not select(torrent(0, 5), {0}.__contains__).pieces


def test_what_names_the_torrent_stays():
    metainfo = torrent(5, 0)
    selection = select(metainfo, {0}.__contains__)
    assert selection.metainfo.info_hash == metainfo.info_hash
    assert selection.metainfo.info == metainfo.info
    assert selection.metainfo.length == metainfo.length


@pytest.mark.parametrize("selected", [set(), {2}, {99}])
def test_no_file_is_no_selection(selected):
    metainfo = torrent(5, 5, (6, "p"))
    with pytest.raises(MetainfoError, match=r"no file is selected: 'top' has 3, counted from 0"):
        select(metainfo, selected.__contains__)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any),
    st.sets(st.integers(0, 12), min_size=1),
)
def test_a_piece_is_taken_if_a_byte_of_it_is(lengths, selected):
    metainfo = torrent(*lengths)
    if not selected & set(range(len(lengths))):
        with pytest.raises(MetainfoError):
            select(metainfo, selected.__contains__)
        return
    wanted = {
        position // PIECE
        for number, file in enumerate(metainfo.files)
        if number in selected
        for position in range(file.offset, file.offset + file.length)
    }
    assert set(select(metainfo, selected.__contains__).pieces) == wanted
