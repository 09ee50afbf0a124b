from __future__ import annotations

import hashlib
import random
import tracemalloc

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerwire.bencode import decode, encode
from peerwire.errors import MetainfoError
from peerwire.torrent import metainfo_v2
from peerwire.torrent.fields import MAX_LENGTH, MAX_METAINFO, MAX_PATH, MAX_PIECES
from peerwire.torrent.merkle import block_hashes, layer, piece_layer, root
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.metainfo_v2 import FileV2, MetainfoV2

KIB = 1024
PIECE = 32 * KIB
CONTENT = random.Random(52).randbytes(200 * KIB)
ROOT = bytes(range(32))


def leaf(length=5, **more):
    """A file in the tree, of this length."""
    properties = {"length": length, "pieces root": ROOT}
    properties.update({key.replace("_", " "): value for key, value in more.items()})
    return {"": {key: value for key, value in properties.items() if value is not None}}


def info_of(tree, **changes):
    """An info dictionary with this file tree, and keys replaced, or removed by None."""
    info = {"name": "top", "piece length": PIECE, "meta version": 2, "file tree": tree}
    info.update({key.replace("_", " "): value for key, value in changes.items()})
    return {key: value for key, value in info.items() if value is not None}


def read(tree, **changes):
    return MetainfoV2.from_info(encode(info_of(tree, **changes)))


def refuse(match, tree, **changes):
    """It is refused, alone or in a .torrent, and the error is not endless."""
    info = info_of(tree, **changes)
    for make, data in [
        (MetainfoV2.from_info, encode(info)),
        (MetainfoV2.from_bytes, encode({"info": info})),
    ]:
        with pytest.raises(MetainfoError, match=match) as caught:
            make(data)
        assert len(str(caught.value)) < 400


# The tree


def test_one_file():
    info = info_of({"a.bin": leaf(40_000)})
    meta = MetainfoV2.from_info(encode(info))
    assert meta.name == "top"
    assert meta.files == (FileV2(("a.bin",), 40_000, 0, "", ROOT),)
    assert (meta.length, meta.piece_length, meta.num_pieces) == (40_000, PIECE, 2)
    assert meta.info == encode(info)
    assert meta.info_hash == hashlib.sha256(meta.info).digest()
    assert (meta.private, meta.v1, meta.piece_layers) == (False, None, {})


def test_each_file_begins_with_a_piece_of_its_own():
    meta = read(
        {
            "a": {"b": {"c": leaf(PIECE + 1)}, "empty dir": {}, "z": leaf(0, pieces_root=None)},
            "b": leaf(1, attr="xh"),
            "link": leaf(0, attr="l", symlink_path=["a"], pieces_root=None),
            "n": leaf(PIECE),
        }
    )
    assert meta.files == (
        FileV2(("top", "a", "b", "c"), PIECE + 1, 0, "", ROOT),
        FileV2(("top", "a", "z"), 0, 2 * PIECE),
        FileV2(("top", "b"), 1, 2 * PIECE, "xh", ROOT),
        FileV2(("top", "link"), 0, 3 * PIECE, "l"),
        FileV2(("top", "n"), PIECE, 3 * PIECE, "", ROOT),
    )
    assert meta.num_pieces == 4
    assert meta.length == 2 * PIECE + 2


def test_one_file_in_a_directory_is_not_alone():
    assert read({"dir": {"a": leaf()}}).files[0].path == ("top", "dir", "a")
    assert read({"a": leaf(), "b": leaf()}).files[0].path == ("top", "a")


def test_a_private_torrent_and_a_better_name():
    assert read({"a": leaf()}, private=1).private
    assert read({"a": leaf(), "b": leaf()}, name_utf=None, **{"name.utf-8": "ö"}).name == "ö"


@pytest.mark.parametrize(
    ("version", "match"),
    [
        (3, "'meta version' 3 is newer than 2"),
        (10**19, "is newer than 2"),
        (1, "not a v2 torrent"),
        ("2", "not a v2 torrent"),
        (None, "not a v2 torrent"),
    ],
)
def test_the_version_is_looked_at_first(version, match):
    refuse(match, 5, name=5, meta_version=version)


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        (None, "'file tree' is a dictionary"),
        ([], "'file tree' is a dictionary"),
        ({}, "hold no bytes"),
        ({"dir": {}}, "hold no bytes"),
        ({"a": leaf(0)}, "hold no bytes"),
        (leaf(), "a name in the file tree, '', is empty"),
        ({"dir": {"..": leaf()}}, r"'\.\.', is empty or only dots"),
        ({"a/b": leaf()}, "path separator"),
        ({b"\xff": leaf()}, "not UTF-8"),
        ({"a": 5}, "'top/a' is not a dictionary"),
        ({"a": {"b": [1]}}, "'top/a/b' is not a dictionary"),
        ({"a": {"": 5}}, "properties of 'a' are not a dictionary"),
        ({"a": {**leaf(), "b": leaf()}}, "both a file and a directory"),
        ({"a": {"": {}}}, "'length' of 'a' is an integer"),
        ({"a": leaf("5")}, "'length' of 'a' is an integer"),
        ({"a": leaf(-1)}, "is -1, not 0 to"),
        ({"a": leaf(MAX_LENGTH + 1)}, "not 0 to"),
        ({"a": leaf(pieces_root=None)}, "'pieces root' of 'a' is a string of 32 bytes"),
        ({"a": leaf(pieces_root=5)}, "'pieces root' of 'a' is a string of 32 bytes"),
        ({"a": leaf(pieces_root=bytes(20))}, "'pieces root' of 'a' is a string of 32 bytes"),
        ({"a": leaf(attr="p")}, "pad file"),
        ({"a": leaf(5, attr="l")}, "is a link, whose length is 0"),
        ({"x" * 3000: {"y" * 2000: leaf()}}, f"has at most {MAX_PATH} bytes"),
        ({"x" * 5000: leaf()}, f"has at most {MAX_PATH} bytes"),
    ],
)
def test_what_is_no_file_tree(tree, match):
    refuse(match, tree)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": None}, "the torrent's name is a string"),
        ({"name": ".."}, "the torrent's name"),
        ({"piece_length": None}, "'piece length' of the info dictionary is an integer"),
        ({"piece_length": 0}, "not 1 to"),
        ({"piece_length": 8 * KIB}, "a v2 piece length is a power of two"),
        ({"piece_length": 40 * KIB}, "a v2 piece length is a power of two"),
        ({"piece_length": 1 << 30}, "not 1 to"),
    ],
)
def test_what_is_no_info_dictionary(changes, match):
    refuse(match, {"a": leaf()}, **changes)


@pytest.mark.parametrize(
    "data", [b"", b"i5e", b"d", b"5:hello", b"d4:name1:x3:agei1ee", b"d1:ai1e1:ai2ee"]
)
def test_what_is_no_dictionary_in_good_order(data):
    with pytest.raises(MetainfoError, match=r"not a v2 info dictionary|is a dictionary"):
        MetainfoV2.from_info(data)
    with pytest.raises(MetainfoError, match=r"not a v2 \.torrent"):
        MetainfoV2.from_bytes(data)
    with pytest.raises(MetainfoError, match="has no 'info'"):
        MetainfoV2.from_bytes(b"de")


def test_keys_out_of_order_would_be_other_pieces_for_other_clients():
    data = encode(info_of({"a": leaf(), "b": leaf()}))
    one, other = encode("a") + encode(leaf()), encode("b") + encode(leaf())
    assert one + other in data
    with pytest.raises(MetainfoError, match="order"):
        MetainfoV2.from_info(data.replace(one + other, other + one))


def test_counts_are_bounded(monkeypatch):
    tree = {f"f{n}": leaf(PIECE) for n in range(5)}
    assert read(tree).num_pieces == 5
    monkeypatch.setattr(metainfo_v2, "MAX_FILES", 4)
    refuse("over 4 files", tree)
    monkeypatch.undo()
    monkeypatch.setattr(metainfo_v2, "MAX_PIECES", 4)
    refuse("5 pieces; at most 4", tree)
    refuse(f"pieces; at most {4}", {"a": leaf(MAX_LENGTH)})
    assert MAX_PIECES > 4


def test_directories_inside_each_other_do_not_multiply(monkeypatch):
    tree = {f"f{n:04}": leaf() for n in range(1000)}
    for _ in range(90):
        tree = {"d": tree}
    data = encode(info_of(tree))
    MetainfoV2.from_info(data)
    monkeypatch.setattr(metainfo_v2, "_MAX_NAMES", 20_000)
    tracemalloc.start()
    try:
        with pytest.raises(MetainfoError, match="paths of over 20000 names"):
            MetainfoV2.from_info(data)
        assert tracemalloc.get_traced_memory()[1] < 50 * len(data)
    finally:
        tracemalloc.stop()


# Piece layers


def pieces_of(content):
    return layer(block_hashes(content), piece_layer(PIECE))


def torrent(files, layers=None, **outer):
    """A .torrent of these contents by name, with their piece layers unless others are given."""
    tree = {
        name: leaf(len(data), pieces_root=root(block_hashes(data)))
        for name, data in sorted(files.items())
    }
    if layers is None:
        layers = {
            root(block_hashes(data)): pieces_of(data)
            for data in files.values()
            if len(data) > PIECE
        }
    return encode({"info": info_of(tree), "piece layers": layers, **outer})


FILES = {"a": CONTENT, "b": CONTENT[:PIECE], "c": CONTENT[: PIECE + 1], "d": CONTENT}


def test_piece_layers_are_read_and_make_trees():
    meta = MetainfoV2.from_bytes(torrent(FILES, announce="http://x/", comment="c"))
    assert set(meta.piece_layers.values()) == {pieces_of(CONTENT), pieces_of(CONTENT[: PIECE + 1])}
    for file, data in zip(meta.files, FILES.values(), strict=True):
        tree = meta.tree(file)
        assert tree.root == file.pieces_root == root(block_hashes(data))
        assert tree.num_leaves == -(-len(data) // (16 * KIB))
    roots = [tree.root for tree in meta.trees()]
    assert sorted(roots) == sorted({file.pieces_root for file in meta.files})


def test_without_piece_layers_only_small_files_have_trees():
    raw = decode(torrent(FILES))[b"info"]
    meta = MetainfoV2.from_info(encode(raw))
    assert [tree.root for tree in meta.trees()] == [root(block_hashes(FILES["b"]))]
    with pytest.raises(MetainfoError, match="0 hashes are not layer"):
        meta.tree(meta.files[0])


def test_an_empty_file_has_no_tree():
    meta = read({"a": leaf(), "empty": leaf(0)})
    assert len(list(meta.trees())) == 1
    with pytest.raises(MetainfoError):
        meta.tree(meta.files[1])


def test_small_files_need_no_piece_layers():
    info = info_of({"a": leaf(PIECE)})
    assert MetainfoV2.from_bytes(encode({"info": info})).piece_layers == {}
    assert MetainfoV2.from_bytes(encode({"info": info, "piece layers": {}})).piece_layers == {}


ROOT_A = root(block_hashes(CONTENT))
PIECES_A = pieces_of(CONTENT)
WRONG = bytes([PIECES_A[0] ^ 1]) + PIECES_A[1:]


@pytest.mark.parametrize(
    ("layers", "match"),
    [
        (5, "'piece layers' is a dictionary"),
        ({}, "'top/a' has no string in 'piece layers'"),
        ({ROOT_A: [PIECES_A]}, "'top/a' has no string in 'piece layers'"),
        ({ROOT_A: PIECES_A[:-32]}, "'top/a' has a piece layer of 192 bytes"),
        ({ROOT_A: PIECES_A + bytes(32)}, "'top/a' has a piece layer of 256 bytes"),
        ({ROOT_A: WRONG}, "a piece layer leads to the root"),
        ({ROOT_A: PIECES_A, bytes(32): bytes(32)}, "one of a file that is not there"),
    ],
)
def test_piece_layers_that_do_not_prove_the_roots(layers, match):
    with pytest.raises(MetainfoError, match=match):
        MetainfoV2.from_bytes(torrent({"a": CONTENT, "b": CONTENT[:5]}, layers))


def test_piece_layers_that_are_missing_altogether():
    fields = decode(torrent(FILES))
    del fields[b"piece layers"]
    with pytest.raises(MetainfoError, match="'top/a' has no string in 'piece layers'"):
        MetainfoV2.from_bytes(encode(fields))


def test_files_that_share_a_root_have_as_many_pieces():
    tree = {
        "a": leaf(len(CONTENT), pieces_root=ROOT_A),
        "b": leaf(PIECE + 1, pieces_root=ROOT_A),
    }
    data = encode({"info": info_of(tree), "piece layers": {ROOT_A: PIECES_A}})
    with pytest.raises(MetainfoError, match="'top/b' has a piece layer of 224 bytes"):
        MetainfoV2.from_bytes(data)


def test_a_layer_that_many_files_share_is_proved_once(monkeypatch):
    proved = []
    kind = metainfo_v2.MerkleTree
    prove = kind.from_piece_layer
    monkeypatch.setattr(kind, "from_piece_layer", lambda *a: proved.append(a) or prove(*a))
    tree = {f"{n}": leaf(len(CONTENT) - n, pieces_root=ROOT_A) for n in range(10)}
    data = encode({"info": info_of(tree), "piece layers": {ROOT_A: PIECES_A}})
    assert MetainfoV2.from_bytes(data).num_pieces == 70
    assert len(proved) == 1


def test_a_file_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.torrent"
    data = torrent(FILES)
    path.write_bytes(data)
    assert MetainfoV2.from_file(path) == MetainfoV2.from_bytes(data)
    monkeypatch.setattr(metainfo_v2, "MAX_METAINFO", len(data) - 1)
    with pytest.raises(MetainfoError, match=f"at most {len(data) - 1} bytes"):
        MetainfoV2.from_file(path)
    assert len(data) < MAX_METAINFO


# Hybrids, and what libtorrent makes


OLD_FORM = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that libtorrent 2.0 knows


def made_by_libtorrent(folder, flags):
    files = lt.file_storage()
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        if path.is_file():
            files.add_file(str(path.relative_to(folder.parent)), path.stat().st_size)
    maker = lt.create_torrent(files, PIECE, flags)
    lt.set_piece_hashes(maker, str(folder.parent))
    return lt.bencode(maker.generate())


@pytest.fixture
def folder(tmp_path):
    for name, length in {"b/long": 200_000, "a": 1, "c": PIECE, "b/two": PIECE + 1, "e": 0}.items():
        path = tmp_path / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[:length])
    return tmp_path / "top"


@OLD_FORM
@pytest.mark.parametrize("flags", [lt.create_torrent.v2_only, 0])
@pytest.mark.parametrize("single", [True, False])
def test_a_torrent_of_libtorrent(folder, flags, single):
    path = folder / "b" / "long" if single else folder
    data = made_by_libtorrent(path, flags)
    meta = MetainfoV2.from_bytes(data)
    theirs = lt.torrent_info(data)
    assert meta.info_hash == theirs.info_hashes().v2.to_bytes()
    assert (meta.num_pieces, meta.name) == (theirs.num_pieces(), theirs.name())
    layout = theirs.files()
    expected = [
        (layout.file_path(n), layout.file_size(n), layout.file_offset(n), layout.root(n).to_bytes())
        for n in range(layout.num_files())
        if not layout.file_flags(n) & lt.file_storage.flag_pad_file
    ]
    ours = [
        ("/".join(f.path), f.length, f.offset if f.length else None, f.pieces_root or bytes(32))
        for f in meta.files
    ]
    assert ours == [(p, n, at if n else None, r) for p, n, at, r in expected]
    for file in meta.files:
        if file.length:
            name = folder.parent.joinpath(*file.path) if not single else path
            leaves = block_hashes(name.read_bytes())
            assert meta.tree(file).root == root(leaves)
    if flags:
        assert meta.v1 is None
    else:
        assert meta.v1 == Metainfo.from_info(meta.info)
        assert meta.v1.info_hash == theirs.info_hashes().v1.to_bytes()


def drop_pad(info):
    info[b"files"] = [file for file in info[b"files"] if b"attr" not in file]
    length = sum(file[b"length"] for file in info[b"files"])
    info[b"pieces"] = info[b"pieces"][: 20 * -(-length // PIECE)]


def rename(info):
    info[b"files"][0][b"path"] = [b"other"]


def lengthen(info):
    info[b"files"][0][b"length"] += 1
    info[b"files"][1][b"length"] -= 1  # its pad file


def more_pieces(info):
    pad = {b"attr": b"p", b"length": 10 * PIECE, b"path": [b".pad", b"0"]}
    info[b"files"].append(pad)
    info[b"pieces"] += bytes(20 * 10)


@OLD_FORM
@pytest.mark.parametrize("change", [drop_pad, rename, lengthen, more_pieces])
def test_both_sides_of_a_hybrid_mean_the_same_files(folder, change):
    fields = decode(made_by_libtorrent(folder, 0))
    change(fields[b"info"])
    Metainfo.from_bytes(encode(fields))
    with pytest.raises(MetainfoError, match="are not the same files in the same pieces"):
        MetainfoV2.from_bytes(encode(fields))


@OLD_FORM
def test_the_v1_side_of_a_hybrid_is_judged_as_well(folder):
    fields = decode(made_by_libtorrent(folder, 0))
    fields[b"info"][b"pieces"] = b"short"
    with pytest.raises(MetainfoError, match="SHA-1 hashes"):
        MetainfoV2.from_bytes(encode(fields))


# Whatever is in it

values = st.recursive(
    st.integers(-1, 2**40) | st.sampled_from([b"", b"a", b"..", b"x" * 32, b"p", b"l"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from([b"", b"a", b"b", b"length", b"pieces root", b"attr"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(values, values, st.sampled_from([2, 2, 2, 1]))
def test_nothing_but_a_metainfo_error_is_raised(tree, layers, version):
    fields = {"info": info_of(tree, meta_version=version), "piece layers": layers}
    for make, data in [
        (MetainfoV2.from_bytes, encode(fields)),
        (MetainfoV2.from_info, encode(fields["info"])),
    ]:
        try:
            meta = make(data)
        except MetainfoError:
            continue
        assert meta.num_pieces > 0
        assert sum(-(-file.length // PIECE) for file in meta.files) == meta.num_pieces
        for file in meta.files:
            assert file.offset % PIECE == 0
            assert not set(file.path) & {"", "."}
            assert ".." not in file.path
