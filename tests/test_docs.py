"""What documents refer to is there, and what they say of the code is so."""

import re
import subprocess
import sys
from importlib import import_module

import pytest

import peerwire
from peerwire.cli import VERBS, main

from .documents import DOCUMENTS, ROOT

DIRECTIVE = re.compile(r"^\.\. (auto(?:class|function|exception|data)|currentmodule):: (\S+)", re.M)

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_project_leads_somewhere(document):
    targets = [link for link in LINK.findall(document.read_text()) if "://" not in link]
    missing = [link for link in targets if not (document.parent / link).exists()]
    assert not missing


def test_each_of_our_features_leads_to_its_tests():
    """A cell that claims something is a link, and one that claims nothing is none."""
    table = (ROOT / "docs" / "features.md").read_text().split("## Limits")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for feature, ours in rows:
        assert ours.strip() == "\N{EN DASH}" or "](../tests/" in ours, feature


# The reference


def public_names():
    for module in ("peerwire", "peerwire.sync"):
        for name in import_module(module).__all__:
            if not name.startswith("__"):
                yield f"{module}.{name}"


def documented():
    """What the reference has, by its full name, whatever module is the current one."""
    found = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        module = "peerwire"
        for kind, name in DIRECTIVE.findall(page.read_text()):
            if kind == "currentmodule":
                module = name
            else:
                found.add(name if name.startswith("peerwire.") else f"{module}.{name}")
    return found


def test_no_public_name_is_missing_from_the_reference():
    missing = sorted(set(public_names()) - documented())
    assert not missing


@pytest.mark.parametrize("name", sorted(documented()))
def test_what_the_reference_has_is_there(name):
    module, _, own = name.rpartition(".")
    assert hasattr(import_module(module), own)


def test_the_attributes_that_the_reference_lists_of_a_wire_are_there():
    page = (ROOT / "docs" / "reference" / "wire.md").read_text()
    names = re.findall(r"py:attribute:: (\w+)", page)
    assert len(names) > 5
    wire = peerwire.Wire("responder")
    assert [name for name in names if not hasattr(wire, name)] == []


# What is made from code


def script(name, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / f"{name}.py", *arguments],
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.mark.parametrize("name", ["draw_architecture", "draw_screen", "draw_states"])
def test_drawings_show_what_the_code_does(name):
    if name == "draw_screen":
        pytest.importorskip("cypcap")
    drawn = script(name, "--check")
    assert drawn.returncode == 0, f"{drawn.stdout}{drawn.stderr}`make generate` draws it anew"


def plain(said):
    """Help as any Python would print it: 3.13 tells the value of `-o OUT, --output OUT` once."""
    return " ".join(re.sub(r"(-\w) [A-Z][^\s,]*, (--)", r"\1, \2", said).split())


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_line_page_has_what_each_verb_says(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "96")
    assert main([verb, "--help"]) == 0
    page = plain((ROOT / "docs" / "reference" / "command-line.md").read_text())
    assert plain(capsys.readouterr().out) in page, "`make generate` writes the page anew"


def test_every_page_is_reached_from_the_index():
    pages = {path for path in DOCUMENTS if path.is_relative_to(ROOT / "docs")}
    reached, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.DOTALL):
            entries = [line for line in tree.splitlines() if line and not line.startswith(":")]
            found = [path for entry in entries for path in sorted(page.parent.glob(f"{entry}.md"))]
            assert len(found) >= len(entries), entries
            waiting += [path for path in found if path not in reached]
    assert reached == pages
