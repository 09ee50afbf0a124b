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


def test_what_the_how_to_shows_of_an_extension_is_the_example():
    how_to = (ROOT / "docs/how-to/write-an-extension.md").read_text()
    shown = re.findall(r"```python\n(.*?)```", how_to, re.DOTALL)
    example = (ROOT / "examples/chat_extension.py").read_text()
    assert len(shown) == 4
    assert [block for block in shown if block not in example] == []
