"""The names in a .torrent, and a disk with links on it: nothing is made outside of the folder."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from peerwire.bencode import encode
from peerwire.errors import MetainfoError, StorageError
from peerwire.torrent.fields import read_name
from peerwire.torrent.metainfo import Metainfo
from peerwire.torrent.storage import Storage

from ..harness import Script, expect
from .metainfo import check_paths

#: Names that have led out of folders before; an input chooses among them or brings its own.
NAMES = (
    *(
        b"a",
        b"b",
        b"..",
        b".",
        b"",
        b"...",
        b".. ",
        b". .",
        b"../a",
        b"/etc",
        b"\\a",
        b"C:",
        b"C:a",
    ),
    *(b"a:b", b"CON", b"aux.c", b"a\0b", b"~", b"-", b"\xe2\x80\xae", b"..\xc0\xaf", b"%2e%2e"),
    *(b"link", b"out", b"\xef\xbc\x8f", b"a" * 300, b".pad", b"a.", b" a"),
)
#: Where a link leads that lies in the folder from before.
LINKS = ("../out", "..", "{}/out", ".", "a", "link", "../out/there", "b/../../out")

#: A folder in memory where there is one, as each execution makes its own.
_TMP = "/dev/shm" if Path("/dev/shm").is_dir() else None


def target(data: bytes) -> None:
    """Makes a torrent of such names, and writes to it."""
    script = Script(data)
    links = script.byte()
    lead = LINKS[script.below(len(LINKS))]
    name = _name(script)
    files: list[dict[str, Any]] = []
    for _ in range(4):
        if not script:
            break
        path = [_name(script) for _ in range(1 + script.below(4))]
        files.append({"path": path, "length": script.below(3)})
        if script.byte() % 8 == 0:
            files[-1]["attr"] = ("p", "l", "x")[script.below(3)]
    for raw in (name, *(part for file in files for part in file["path"])):
        _check_name(raw)
    length = sum(file["length"] for file in files)
    content: dict[str, Any] = {"files": files} if files else {"length": 1}
    pieces = hashlib.sha1(bytes(length or 1)).digest()
    info = encode({"name": name, "piece length": 16384, "pieces": pieces, **content})
    try:
        meta = Metainfo.from_info(info)
    except MetainfoError:
        return
    check_paths(meta.files)
    with tempfile.TemporaryDirectory(prefix="peerwire-fuzz-", dir=_TMP) as place:
        _write(meta, Path(place), lead if links & 1 else None, deep=bool(links & 2))


def _name(script: Script) -> bytes:
    choice = script.byte()
    return NAMES[choice] if choice < len(NAMES) else script.take(choice & 31)


def _check_name(raw: bytes) -> None:
    try:
        name = read_name(raw, "a name")
    except MetainfoError:
        return
    expect(name.encode() == raw, "a name is believed to be another")
    expect(name.strip(". ") != "" and not set(name) & set("/\\\0"), f"{name!r} is no name")


def _write(meta: Metainfo, place: Path, lead: str | None, *, deep: bool) -> None:
    inside, outside = place / "in", place / "out"
    outside.mkdir()
    inside.mkdir()
    if lead is not None:
        _link(inside, meta, lead.format(place), deep=deep)
    before = _found(place, inside)
    with Storage(meta, inside) as storage:
        try:
            storage.prepare()
            storage.write(0, 0, bytes(meta.length))
            expect(storage.check(0), "what was written is not there")
        except StorageError:
            pass
    expect(_found(place, inside) == before, "something was made outside of the folder")


def _link(inside: Path, meta: Metainfo, lead: str, *, deep: bool) -> None:
    """Puts a link where the torrent's folder, or something in it, would be."""
    path = meta.files[-1].path
    at = inside.joinpath(*(path[: max(1, len(path) - 1)] if deep else path[:1]))
    try:
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(lead)
    except OSError:
        return  # a name that this disk does not take


def _found(place: Path, inside: Path) -> list[str]:
    """Everything but what is inside; links are not followed."""
    found = []
    for folder, folders, files in os.walk(place):
        if Path(folder) == inside:
            folders.clear()
            continue
        found += [f"{folder}/{name}" for name in (*folders, *files)]
    return sorted(found)
