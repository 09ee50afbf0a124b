"""Turns links to files of the project into links to pages that show these files.

The documents link to tests and examples by their path, which works where the project is browsed.
On the site each such file gets a page of its own, and a link whose text is the name of a function
leads to that function.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx import addnodes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]

#: Documents of the project's root that are pages of the site.
PAGES = {"CHANGELOG.md": "project/changelog", "CONTRIBUTING.md": "project/contributing"}

DEFINITION = re.compile(r"^(?:async )?(?:def|class) (\w+)", re.MULTILINE)


def page_of(path: Path) -> str:
    return f"source/{path.relative_to(ROOT).with_suffix('').as_posix()}"


def redirect(app: Sphinx, doctree: nodes.document) -> None:
    """Has the links of a document lead to pages, before Sphinx makes downloads of them."""
    docname = app.env.docname
    here = Path(app.env.doc2path(docname)).parent
    for link in list(doctree.findall(addnodes.download_reference)):
        path = (here / link["reftarget"]).resolve()
        if not path.is_relative_to(ROOT):
            continue
        name, text = path.relative_to(ROOT).as_posix(), link.astext()
        if name in PAGES:
            uri = app.builder.get_relative_uri(docname, PAGES[name])
        elif path.suffix == ".py":
            app.env.linked_sources.setdefault(docname, set()).add(path)
            known = DEFINITION.findall(path.read_text())
            anchor = f"#{text}" if text in known else ""
            uri = app.builder.get_relative_uri(docname, page_of(path)) + anchor
        else:
            continue
        link.replace_self(nodes.reference("", "", *link.children, internal=True, refuri=uri))
    for link in list(doctree.findall(addnodes.pending_xref)):
        if link["reftype"] == "myst" and (here / link["reftarget"]).is_dir():
            link.replace_self(link.children)  # a folder has no page


def begin(app: Sphinx, env: Any, docnames: list[str]) -> None:
    if not hasattr(env, "linked_sources"):
        env.linked_sources = {}
    for docname in docnames:
        env.linked_sources.pop(docname, None)


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    for path in sorted(set().union(*app.env.linked_sources.values())):
        source = path.read_text()
        lines = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)).split("\n")
        for number, line in enumerate(source.split("\n")):
            if found := DEFINITION.match(line):
                lines[number] = f'<span id="{found[1]}" class="linked">{lines[number]}</span>'
        name = path.relative_to(ROOT).as_posix()
        body = "\n".join(lines)
        body = f'<h1>{name}</h1><div class="highlight"><pre>{body}</pre></div>'
        yield page_of(path), {"title": name, "body": body}, "page.html"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("env-before-read-docs", begin)
    app.connect("doctree-read", redirect, priority=100)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
