"""A disk that is full, or read-only, while `get` writes to it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from ..cli.conftest import PEERWIRE, Said, Sample, run
from .conftest import complaint

KIB = 1024


def said_in(folder, name):
    """What a process said that was started by a script."""
    read = [(folder / f"{name}.{what}").read_text() for what in ("status", "out", "err")]
    return Said(int(read[0]), *read[1:])


@pytest.fixture
def on_mount(mounting, tmp_path):
    """Runs `get` into a file system of its own, which may change between two runs."""

    def on_mount(prepare, *words, change=""):
        script = (
            f"new={tmp_path}/new; mkdir -p $new; {prepare}\n"
            f'get() {{ s=0; "$@" >{tmp_path}/$n.out 2>{tmp_path}/$n.err || s=$?;'
            f" echo $s >{tmp_path}/$n.status; }}\n"
            'n=1; get "$@"\n'
            f'if [ -n "{change}" ]; then {change or ":"}; n=2; get "$@"; fi\n'
            f"cp -r $new {tmp_path}/kept\n"
        )
        done = subprocess.run(
            [*mounting(script), *PEERWIRE, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        return [said_in(tmp_path, n) for n in ("1", "2") if (tmp_path / f"{n}.status").exists()]

    return on_mount


def fetch(sample: Sample, giver: str, folder: object) -> list[object]:
    return ["get", sample.torrent, "--peer", giver, "-o", folder, "--json"]


def test_a_full_disk_and_then_room(on_mount, sample, giver, tmp_path):
    """A file system of 120 KiB for 227 KiB; once it is larger, the rest is fetched, and no more."""
    full, done = on_mount(
        "mount -t tmpfs -o size=120k none $new",
        *fetch(sample, giver, tmp_path / "new"),
        change="mount -o remount,size=1m $new",
    )
    where = f"{tmp_path}/new/sample/"
    assert complaint(full).startswith(f"can't write {where}")
    assert complaint(full).endswith(": No space left on device")
    assert done.status == 0
    complete = json.loads(done.out.splitlines()[-1])
    kept = sample.meta.length - complete["fetched"]
    # Two pages of a piece that the disk cut off are the most that was written in vain.
    assert 120 * KIB - kept <= 2 * sample.meta.piece_length + 6 * 4 * KIB
    assert sample.is_in(tmp_path / "kept")


def test_a_disk_without_room_for_a_directory(on_mount, sample, giver, tmp_path):
    (said,) = on_mount(
        "mount -t tmpfs -o nr_inodes=1 none $new", *fetch(sample, giver, tmp_path / "new")
    )
    assert complaint(said) == (
        f"can't make the directory {tmp_path}/new/sample: No space left on device"
    )


def test_a_disk_without_room_for_a_file(on_mount, sample, giver, tmp_path):
    (said,) = on_mount(
        "mount -t tmpfs -o nr_inodes=2 none $new", *fetch(sample, giver, tmp_path / "new")
    )
    assert complaint(said) == (
        f"can't make the file {tmp_path}/new/sample/b/empty: No space left on device"
        f" ({tmp_path}/new/sample/b)"
    )


def test_a_folder_that_is_read_only_even_to_root(on_mount, sample, giver, tmp_path):
    read_only = "mount --bind $new $new && mount -o remount,bind,ro $new"
    (said,) = on_mount(read_only, *fetch(sample, giver, tmp_path / "new"))
    assert complaint(said) == (
        f"can't make the directory {tmp_path}/new/sample: Read-only file system"
    )


def test_content_that_is_read_only_and_complete_needs_no_writing(on_mount, sample, giver, tmp_path):
    assert run(*fetch(sample, giver, tmp_path / "new")).status == 0
    read_only = "mount --bind $new $new && mount -o remount,bind,ro $new"
    (said,) = on_mount(read_only, *fetch(sample, giver, tmp_path / "new"))
    assert (said.status, said.err) == (0, "")


def test_a_disk_that_becomes_read_only_between_two_runs(on_mount, sample, giver, tmp_path):
    full, refused = on_mount(
        "mount -t tmpfs -o size=120k none $new",
        *fetch(sample, giver, tmp_path / "new"),
        change="mount -o remount,ro $new",
    )
    assert full.status == 1
    assert ": Read-only file system" in complaint(refused)


def test_a_folder_that_may_not_be_written_to(sample, giver, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(0o500)
    words = [*PEERWIRE, *map(str, fetch(sample, giver, closed))]
    if os.geteuid() == 0:  # whom modes don't stop, unless it has given up its privileges
        if shutil.which("setpriv") is None:
            pytest.skip("root can't be held to modes here: there is no setpriv")
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=50)
    said = Said(done.returncode, done.stdout, done.stderr)
    assert complaint(said) == f"can't make the directory {closed}/sample: Permission denied"


def test_nobody_can_be_told_of_the_end(sample, giver, tmp_path):
    """Standard output is a full disk: the content is there, and yet it can't be called done."""
    with open("/dev/full", "w") as full:
        said = subprocess.run(
            [*PEERWIRE, "get", sample.torrent, "--peer", giver, "-o", tmp_path / "new"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
        )
    assert "Traceback" not in said.stderr
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1] == "peerwire: No space left on device"
    assert sample.is_in(tmp_path / "new")
