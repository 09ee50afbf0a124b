"""What documents refer to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

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
