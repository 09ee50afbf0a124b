"""The case that the how-to shows works as it is shown."""

from __future__ import annotations

import re
from pathlib import Path

from peerwire.check import Runner, Verdict

from .double import Double

HOWTO = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-check.md"


async def test_the_case_of_the_how_to(sample):
    code = re.findall(r"```python\n(.*?)```", HOWTO.read_text(), re.DOTALL)[0]
    shown: dict[str, object] = {}
    exec(code, shown)
    async with Double.running(sample.meta, sample.content) as double:
        run = await Runner("127.0.0.1", double.port, sample.subject).ask(shown["CASES"])
    assert [result.verdict for result in run.results] == [Verdict.PASS]
    assert run.results[0].case.id == "xx1/have/1"
