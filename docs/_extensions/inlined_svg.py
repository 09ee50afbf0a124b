"""Puts drawings into the page itself, where they follow its colours, light or dark.

An SVG in an <img> knows what the system prefers, and not what the reader of the page has chosen.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def inline(app: Sphinx, doctree: nodes.document) -> None:
    if app.builder.format != "html":
        return
    folder = Path(app.env.doc2path(app.env.docname)).parent
    for image in list(doctree.findall(nodes.image)):
        path = folder / image["uri"]
        if path.suffix != ".svg" or not path.is_file():
            continue
        drawing = re.sub(r"<\?xml.*?\?>", "", path.read_text())
        frame = f'<div class="drawing">{scoped(drawing, path.stem)}</div>'
        image.replace_self(nodes.raw("", frame, format="html"))


def scoped(drawing: str, name: str) -> str:
    """Returns it with rules of style that hold for nothing else on the page."""
    own = f"drawing-{name}"
    drawing = drawing.replace("<svg ", f'<svg id="{own}" ', 1)
    return re.sub(
        r"<style>(.*?)</style>",
        lambda style: f"<style>{_two_themes(style[1], own)}</style>",
        drawing,
        flags=re.DOTALL,
    )


def _two_themes(css: str, own: str) -> str:
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{(.*?\})\s*\}", css, re.DOTALL)
    light = css if dark is None else css.replace(dark[0], "")
    rules = f"#{own} {{ {light} }}"
    if dark is None:
        return rules
    chosen = f"body[data-theme=dark] #{own} {{ {dark[1]} }}"
    system = f"body:not([data-theme=light]) #{own} {{ {dark[1]} }}"
    return f"{rules} {chosen} @media (prefers-color-scheme: dark) {{ {system} }}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", inline, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
