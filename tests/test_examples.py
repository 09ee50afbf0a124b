"""Every example runs as it stands, in a Python that lets no warning pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

#: What each says at its end.
LAST_LINE = {
    "chat_extension": "Alice: hello, Bob",
    "crawler": "met 20 of 21 peers",
    "magnet_resolver": "it is hello.txt, 70000 bytes in 5 pieces",
    "many_torrents": "5 of 5 books are the same",
    "trio_peer": "fetched 262144 bytes under trio, right: True",
    "try_a_client": "the content is right",
    "two_peers": "fetched 262144 bytes, verified: True",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", example],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert not re.search("Error|Exception|Traceback|Warning", done.stderr)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == LAST_LINE[example.stem]


def test_the_one_that_the_readme_names_is_short():
    (two_peers,) = (path for path in EXAMPLES if path.stem == "two_peers")
    assert len(two_peers.read_text().splitlines()) < 60
