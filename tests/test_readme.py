"""The README is what a stranger reads in two screens. Its code is run by test_docs_code.py."""

import re

from .documents import ROOT, blocks

README = ROOT / "README.md"


def test_it_fits_two_screens():
    hidden = re.sub(r"<!--.*?-->\n+", "", README.read_text(), flags=re.DOTALL)
    assert len(hidden.splitlines()) <= 90


def test_its_library_example_is_short():
    (example,) = (block for block in blocks(README) if block.language == "python")
    assert len([line for line in example.code.splitlines() if line.strip()]) <= 15


def test_its_screen_is_there_and_is_of_the_program():
    (screen,) = re.findall(r"!\[[^]]*\]\((\S+\.svg)\)", README.read_text())
    assert "handshake" in (ROOT / screen).read_text().replace("\N{NO-BREAK SPACE}", " ")
