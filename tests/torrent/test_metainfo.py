from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import MAX_ITEMS, decode, encode
from peerwire.errors import BencodeError, MetainfoError
from peerwire.torrent import metainfo
from peerwire.torrent.metainfo import (
    MAX_FILES,
    MAX_LENGTH,
    MAX_METAINFO,
    MAX_PATH,
    MAX_PIECE_LENGTH,
    MAX_PIECES,
    File,
    Metainfo,
)

KIB = 1024


def hashes(count):
    return b"".join(hashlib.sha1(b"%d" % n).digest() for n in range(count))


def single(**changes):
    """An info dictionary of one file in three pieces, with keys replaced, or removed by None."""
    info = {"name": "a.bin", "piece length": 16 * KIB, "length": 40_000, "pieces": hashes(3)}
    info.update({key.replace("_", " "): value for key, value in changes.items()})
    return {key: value for key, value in info.items() if value is not None}


def multi(files, **changes):
    """An info dictionary of several files, `(path, length)` or whole entries."""
    entries = [
        f if isinstance(f, dict) else {"path": f[0].split("/"), "length": f[1]} for f in files
    ]
    total = sum(entry.get("length", 0) for entry in entries)
    pieces = hashes(-(-total // (16 * KIB)))
    return single(**{"name": "dir", "length": None, "files": entries, "pieces": pieces, **changes})


def read(info, **outer):
    return Metainfo.from_bytes(encode({"info": info, **outer}))


def refuse(info, match):
    """The dictionary is refused, alone or in a .torrent, and the error is not endless."""
    with pytest.raises(MetainfoError, match=match) as caught:
        read(info)
    assert len(str(caught.value)) < 400
    with pytest.raises(MetainfoError, match=match):
        Metainfo.from_info(encode(info))


def test_a_single_file():
    meta = read(single())
    assert meta.name == "a.bin"
    assert meta.files == (File(("a.bin",), 40_000, 0),)
    assert (meta.length, meta.piece_length, meta.num_pieces) == (40_000, 16 * KIB, 3)
    assert meta.pieces == hashes(3)
    assert meta.info == encode(single())
    assert meta.info_hash == hashlib.sha1(meta.info).digest()
    assert (meta.private, meta.trackers, meta.extra) == (False, (), {})
    assert (meta.comment, meta.created_by, meta.creation_date) == (None, None, None)


def test_several_files_lie_one_behind_the_other():
    meta = read(multi([("b/z", 5), ("a", 0), ("b/y/x", 16_380)]))
    assert meta.files == (
        File(("dir", "b", "z"), 5, 0),
        File(("dir", "a"), 0, 5),
        File(("dir", "b", "y", "x"), 16_380, 5),
    )
    assert (meta.length, meta.num_pieces) == (16_385, 2)


def test_pieces_have_sizes_and_hashes():
    meta = read(single())
    assert [meta.piece_size(n) for n in range(3)] == [16384, 16384, 40_000 - 32768]
    assert b"".join(meta.piece_hash(n) for n in range(3)) == hashes(3)
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"piece {index} of 3"):
            meta.piece_size(index)
        with pytest.raises(IndexError, match=f"piece {index} of 3"):
            meta.piece_hash(index)
    assert read(single(length=32768, pieces=hashes(2))).piece_size(1) == 16384


def test_the_info_hash_is_that_of_the_bytes_found():
    canonical = encode(single())
    # The same dictionary with two keys swapped: another info-hash, and kept so.
    swapped = canonical.replace(b"6:lengthi40000e", b"").replace(
        b"4:name5:a.bin", b"4:name5:a.bin6:lengthi40000e"
    )
    assert decode(swapped, strict=False) == decode(canonical)
    data = b"d4:info" + swapped + b"e"
    meta = Metainfo.from_bytes(data)
    assert meta.info == swapped
    assert meta.info_hash == hashlib.sha1(swapped).digest()
    assert meta.to_bytes() == data
    assert Metainfo.from_info(swapped) == meta


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_read(kind):
    meta = Metainfo.from_bytes(kind(encode({"info": single()})))
    assert Metainfo.from_info(kind(meta.info)) == meta
    assert type(Metainfo.from_info(kind(meta.info)).info) is bytes


def test_a_file_is_read(tmp_path):
    path = tmp_path / "a.torrent"
    path.write_bytes(encode({"info": single()}))
    assert Metainfo.from_file(path) == Metainfo.from_file(str(path)) == read(single())
    with pytest.raises(FileNotFoundError):
        Metainfo.from_file(tmp_path / "b.torrent")


def test_a_file_too_long_to_be_a_torrent_is_not_read_to_its_end(tmp_path, monkeypatch):
    path = tmp_path / "a.torrent"
    data = encode({"info": single()})
    path.write_bytes(data)
    assert MAX_METAINFO > MAX_PIECES * (20 + 32)
    monkeypatch.setattr(metainfo, "MAX_METAINFO", len(data))
    assert Metainfo.from_file(path).name == "a.bin"
    monkeypatch.setattr(metainfo, "MAX_METAINFO", len(data) - 1)
    with pytest.raises(MetainfoError, match=f"at most {len(data) - 1} bytes"):
        Metainfo.from_file(path)


@pytest.mark.parametrize(
    ("outer", "trackers"),
    [
        ({}, ()),
        ({"announce": "http://a/"}, (("http://a/",),)),
        ({"announce": ""}, ()),
        ({"announce": 5}, ()),
        ({"announce": "http://a/ b"}, ()),
        ({"announce": "http://a/\r\nHost: b"}, ()),
        ({"announce": "http://\xe9/"}, ()),
        ({"announce": "http://z/", "announce-list": [["u:a", "u:b"], ["u:c"]]},
         (("u:a", "u:b"), ("u:c",))),
        ({"announce": "http://z/", "announce-list": []}, (("http://z/",),)),
        ({"announce": "http://z/", "announce-list": [[], [""]]}, (("http://z/",),)),
        ({"announce": "http://z/", "announce-list": 1}, (("http://z/",),)),
        ({"announce-list": ["u:a", [1, "u:b", ["u:c"]], 7]}, (("u:a",), ("u:b",))),
    ],
)  # fmt: skip
def test_trackers_come_in_tiers(outer, trackers):
    assert read(single(), **outer).trackers == trackers


def test_trackers_may_be_given_with_the_info():
    info = encode(single())
    assert Metainfo.from_info(info, ["u:a", ["u:b", "u:c"], [], ""]).trackers == (
        ("u:a",),
        ("u:b", "u:c"),
    )


def test_what_else_the_file_says_is_kept():
    meta = read(
        single(source="S"),
        **{"comment": "h\xe9", "created by": b"x\xff", "creation date": 17, "url-list": ["u"]},
    )
    assert (meta.comment, meta.created_by, meta.creation_date) == ("h\xe9", "x\ufffd", 17)
    assert meta.extra == {b"url-list": [b"u"]}
    assert b"6:source1:S" in meta.to_bytes()
    bent = read(single(), **{"comment": 1, "created by": [], "creation date": "now"})
    assert (bent.comment, bent.created_by, bent.creation_date) == (None, None, None)


@pytest.mark.parametrize(
    "outer",
    [
        {},
        {"announce": "u:a"},
        {"announce": "u:a", "announce-list": [["u:a", "u:b"]]},
        {"announce": "u:a", "announce-list": [["u:a"], ["u:c", "u:b"]]},
        {"comment": "c", "created by": "p", "creation date": 0, "zz": {"k": [1, "s"]}, "aa": 1},
    ],
)
def test_a_torrent_is_written_as_it_was_read(outer):
    data = encode({"info": single(), **outer})
    assert Metainfo.from_bytes(data).to_bytes() == data


@pytest.mark.parametrize(
    ("value", "private"), [(None, False), (0, False), (1, True), (2, True), ("1", True)]
)
def test_private_unless_it_says_that_it_is_not(value, private):
    assert read(single(private=value)).private is private


def test_pad_files_need_no_path_and_are_told_by_their_attribute():
    meta = read(
        multi(
            [
                ("a", 5),
                {"length": 16379, "attr": "p", "path": ["..", "/etc"]},
                ("b", 7),
                {"length": 16377, "attr": "hp"},
                ("c", 1),
                {"length": 16379, "attr": "p", "path": [".pad", "16379"]},
            ]
        )
    )
    assert [file.pad for file in meta.files] == [False, True, False, True, False, True]
    assert meta.files[1] == File(("dir", ".pad", "16379"), 16379, 5, "p")
    assert meta.files[2].offset == 16384
    assert not any(file.link for file in meta.files)


def test_links_hold_no_bytes():
    link = {"attr": "l", "path": ["l"], "symlink path": ["..", "..", "etc"]}
    for length in ({}, {"length": 0}):
        meta = read(multi([("a", 5), {**link, **length}, ("b", 7)]))
        assert [(file.link, file.length, file.offset) for file in meta.files] == [
            (False, 5, 0),
            (True, 0, 5),
            (False, 7, 5),
        ]
    refuse(multi([("a", 5), {**link, "length": 1}]), "file 1 is a link, whose length is 0")


def test_attributes_of_another_kind_are_ignored():
    assert read(single(attr="x\xe9")).files[0].attr == "x"
    assert read(single(attr=7)).files[0].attr == ""


def test_names_in_an_older_encoding_have_their_utf_8_form_beside_them():
    meta = read(
        multi(
            [{"path": [b"\xb2\xe2"], "path.utf-8": ["测"], "length": 1}],
            name=b"\xb2",
            **{"name.utf-8": "試"},
        )
    )
    assert meta.files[0].path == ("試", "测")
    refuse(multi([("a", 1)], **{"name.utf-8": ".."}), "dots")
    refuse(multi([{"path": ["a"], "path.utf-8": [".."], "length": 1}]), "dots")


UNSAFE = [
    ("..", "only dots"),
    (".", "only dots"),
    ("", "is empty"),
    (".. ", "only dots and spaces"),
    ("...", "only dots and spaces"),
    ("/etc", "path separator"),
    ("a/b", "path separator"),
    ("a/../../b", "path separator"),
    ("a\\b", "path separator"),
    ("\\\\host\\share", "path separator"),
    ("a\0b", "control character"),
    ("a\x1b[2J", "control character"),
    ("a\x7f", "control character"),
    ("a\x9b2J", "control character"),
    ("C:", "drive letter"),
    ("c:x", "drive letter"),
    (b"a\xff", "is not UTF-8"),
    (b"\xed\xa0\x80", "is not UTF-8"),
    (b"\xc0\xae\xc0\xae", "is not UTF-8"),
    (7, "is a string"),
    (["a"], "is a string"),
    ("a" * (MAX_PATH + 1), f"at most {MAX_PATH} bytes"),
    ("/" + "a" * (MAX_PATH - 1), "path separator"),
]


@pytest.mark.parametrize(("name", "reason"), UNSAFE, ids=lambda value: ascii(value)[:20])
def test_names_that_lead_elsewhere_are_refused(name, reason):
    refuse(single(name=name), f"the torrent's name.*{reason}")
    refuse(multi([("a", 1)], name=name), f"the torrent's name.*{reason}")
    for path in ([name], [name, "a"], ["a", name]):
        entries = [{"path": ["ok"], "length": 1}, {"path": path, "length": 1}]
        refuse(multi(entries), f"a name in the path of file 1.*{reason}")


@pytest.mark.parametrize(
    "name",
    ["one: two", "..a", "a..", ".a", "aux.c", "CON", "a?", "a.", "Ünï", "測", "a" * 300, " a"],
)
def test_names_that_some_system_dislikes_are_kept(name):
    assert read(single(name=name)).files[0].path == (name,)
    assert read(multi([(name, 1)], name=name)).files[0].path == (name, name)


@pytest.mark.parametrize("path", [None, "a", [], {}, 5])
def test_a_path_is_a_list_of_names(path):
    entry = {"length": 1} if path is None else {"length": 1, "path": path}
    refuse(multi([entry]), "the path of file 0 is a list of at least one name")


def test_a_path_is_no_longer_than_any_system_opens():
    names = ["a"] * (MAX_PATH // 2)
    assert len(read(multi([("/".join(names), 1)])).files[0].path) == MAX_PATH // 2 + 1
    refuse(multi([("/".join([*names, "a"]), 1)]), f"the path of file 0 has at most {MAX_PATH}")


@pytest.mark.parametrize(
    ("paths", "match"),
    [
        (["a", "a"], "two files at 'dir/a'"),
        (["a/b", "c", "a/b"], "two files at 'dir/a/b'"),
        (["a", "a/b"], "'dir/a/b' lies inside another file"),
        (["a", "a/b/c"], "'dir/a/b/c' lies inside another file"),
        (["a/b", "a"], "two files at 'dir/a'"),
    ],
)
def test_two_files_can_not_share_a_place(paths, match):
    refuse(multi([(path, 1) for path in paths]), match)
    links = [{"attr": "l", "path": path.split("/")} for path in paths]
    refuse(multi([("x", 1), *links]), match)


def test_names_that_differ_in_case_are_two():
    meta = read(multi([("xt_DSCP.c", 1), ("xt_dscp.c", 1)]))
    assert len(meta.files) == 2


@pytest.mark.parametrize(
    ("info", "match"),
    [
        (single(length=None), "either 'length' or 'files'"),
        (single(files=[]), "either 'length' or 'files'"),
        (single(length=-1), "the 'length' of the file is -1, not 0 to"),
        (single(length=2**63), "the 'length' of the file is 9223372036854775808, not 0 to"),
        (single(length=MAX_LENGTH + 1), "the 'length' of the file"),
        (single(length=b"5"), "the 'length' of the file is an integer"),
        (single(length=0, pieces=b""), "hold no bytes"),
        (single(name=None), "the torrent's name is a string"),
        (single(piece_length=None), "the 'piece length' of the info dictionary is an integer"),
        (single(piece_length=0), "is 0, not 1 to"),
        (single(piece_length=-16384), "is -16384, not 1 to"),
        (single(piece_length=MAX_PIECE_LENGTH + 1), "not 1 to 536870912"),
        (single(piece_length=[1]), "is an integer"),
        (single(pieces=None), "'pieces' is a string of SHA-1 hashes"),
        (single(pieces=[]), "'pieces' is a string of SHA-1 hashes"),
        (single(pieces=hashes(3)[:-1]), "20 bytes each"),
        (single(pieces=hashes(2)), "2 piece hashes, but 40000 bytes in pieces of 16384 are 3"),
        (single(pieces=hashes(4)), "4 piece hashes, but"),
        (single(pieces=b""), "0 piece hashes, but"),
        (single(length=None, files={}), "'files' is a list of at least one"),
        (single(length=None, files=[]), "'files' is a list of at least one"),
        (single(length=None, files=["a"]), "file 0 is not a dictionary"),
        (multi([("a", 1), {"path": ["b"]}]), "the 'length' of file 1 is an integer"),
        (multi([("a", 20_000), ("b", -1)]), "the 'length' of file 1 is -1"),
        (multi([("a", 0), ("b", 0)]), "hold no bytes"),
        (multi([("a", 1), {"attr": "p"}]), "the 'length' of file 1 is an integer"),
        (single(meta_version=3), "'meta version' 3 is newer than 2"),
        (single(meta_version="2"), "'meta version' b'2' is newer"),
        ([], "is a dictionary"),
        ("info", "is a dictionary"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(info, match):
    refuse(info, match)


def test_a_v2_torrent_is_refused_by_name_and_a_hybrid_is_read_as_v1():
    tree = {"a.bin": {"": {"length": 40_000, "pieces root": b"r" * 32}}}
    v2 = {"name": "a.bin", "piece length": 16384, "meta version": 2, "file tree": tree}
    refuse(v2, r"v2-only torrent \(BEP 52\)")
    hybrid = read({**v2, **single()}, **{"piece layers": {b"r" * 32: b"l" * 96}})
    assert hybrid.files == read(single()).files
    assert hybrid.info == encode({**v2, **single()})
    assert hybrid.extra == {b"piece layers": {b"r" * 32: b"l" * 96}}


def test_counts_are_bounded(monkeypatch):
    files = [(str(n), 1) for n in range(5)]
    monkeypatch.setattr(metainfo, "MAX_FILES", 5)
    assert len(read(multi(files)).files) == 5
    monkeypatch.setattr(metainfo, "MAX_FILES", 4)
    refuse(multi(files), "5 files; at most 4")
    monkeypatch.setattr(metainfo, "MAX_PIECES", 3)
    assert read(single()).num_pieces == 3
    monkeypatch.setattr(metainfo, "MAX_PIECES", 2)
    refuse(single(), "3 pieces; at most 2")


def test_so_many_files_as_the_bound_says_pass_the_decoder():
    tokens = 9
    decode(encode({"length": 1, "path": ["directory", "file"]}), max_items=tokens)
    assert MAX_FILES * tokens < MAX_ITEMS


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a .torrent: at byte 0"),
        (b"le", "not a .torrent: at byte 0: not a dictionary"),
        (b"d", "not a .torrent: at byte 1"),
        (b"d4:info" + b"l" * 1000, "nested deeper"),
        (b"de", "it has no 'info' dictionary"),
        (b"d4:infoi1ee", "the 'info' of a torrent is a dictionary"),
        (encode({"info": single()}) + b"\n", "1 bytes follow the value"),
        (b"<html>", "not a .torrent: at byte 0"),
    ],
)
def test_what_is_no_torrent_is_refused(data, match):
    with pytest.raises(MetainfoError, match=match):
        Metainfo.from_bytes(data)


def test_what_is_no_info_dictionary_is_refused():
    with pytest.raises(MetainfoError, match="not an info dictionary: at byte 0") as caught:
        Metainfo.from_info(b"x")
    assert isinstance(caught.value.__cause__, BencodeError)


def test_a_torrent_s_repr_does_not_show_its_hashes():
    assert len(repr(read(single()))) < 300


junk = st.recursive(
    st.integers(-(2**64), 2**64)
    | st.binary(max_size=8)
    | st.sampled_from([b"..", b"a", b"p", b"l"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([b"length", b"path", b"attr", b"path.utf-8", b""]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
KEYS = [
    "name", "name.utf-8", "length", "files", "pieces", "piece length", "private", "attr",
    "meta version", "file tree",
]  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(KEYS), junk, max_size=4),
    st.sampled_from([single(), multi([("a", 1), ("b/c", 20_000)])]),
    st.dictionaries(st.sampled_from(["announce", "announce-list", "comment"]), junk),
)
def test_nothing_but_a_metainfo_error_leaves_the_reader(changes, base, outer):
    data = encode({"info": {**base, **changes}, **outer})
    try:
        meta = Metainfo.from_bytes(data)
    except MetainfoError:
        return
    assert Metainfo.from_bytes(meta.to_bytes()) == meta
    assert sum(file.length for file in meta.files) == meta.length
    assert sum(meta.piece_size(n) for n in range(meta.num_pieces)) == meta.length
    for file in meta.files:
        assert not {"", ".", ".."} & set(file.path)
        assert not any("/" in part for part in file.path)
