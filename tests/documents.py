"""The project's documents, and the blocks of code in them.

How a block is tested is said in a comment before it, which no reader sees:

    <!-- setup ... -->           code that is run before what follows on this page
    <!-- from: PATH -->          an excerpt of a file that is run itself
    <!-- skip: REASON -->        it is not run, and why

Without one, blocks of Python are run one after the other in the namespace of their page, and the
commands of a shell as they stand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    if "_build" not in path.relative_to(ROOT).parts
)

_PART = re.compile(
    r"^<!-- (?P<note>setup|from:|skip:)(?P<said>.*?)-->\n+(?=```|\Z|[^`])"
    r"|^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass
class Block:
    """A fenced block, or what a comment has run before one.

    Attributes:
        line: Where it stands.
        language: What follows its fence; "setup" for what only the tests run.
        code: Its lines.
        note: "from", "skip" or nothing.
        said: What that says: a path, or a reason.
    """

    path: Path
    line: int
    language: str
    code: str
    note: str = ""
    said: str = ""

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks(path: Path) -> list[Block]:
    found = []
    text = path.read_text()
    note, said, end = "", "", -1
    for part in _PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if part["note"] == "setup":
            found.append(Block(path, line, "setup", part["said"]))
        elif part["note"]:
            note, said, end = part["note"].rstrip(":"), part["said"].strip(), part.end()
        else:
            if part.start() != end:
                note, said = "", ""
            found.append(Block(path, line, part["language"], part["code"], note, said))
    return found
