"""The bar on a terminal."""

from __future__ import annotations

import sys

from peerwire.cli.bar import Bar


def test_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with Bar("fetching") as bar:
        bar.update(1024, 4096, "2 peers [bold]")
        print("a note", file=sys.stderr)
        print("a result")
    said = capsys.readouterr()
    assert said.out == "a result\n"
    assert "fetching" in said.err
    assert "25%" in said.err
    assert "1.0/4.0 KiB" in said.err
    assert "2 peers [bold]" in said.err
    assert "a note\n" in said.err
