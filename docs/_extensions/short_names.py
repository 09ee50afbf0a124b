"""Finds what docstrings name in short, and reads them as they are written.

Docstrings say `Limits.max_message` wherever they stand; Sphinx looks for it in their own module.
"""

from __future__ import annotations

import builtins
import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes

import peerwire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

#: Stands for a colon while napoleon looks on: it takes what is before one for a type.
COLON = "\ue000"


def find(
    app: Sphinx, env: Any, node: addnodes.pending_xref, contnode: nodes.TextElement
) -> nodes.Element | None:
    """Finds the one public thing whose name ends like that."""
    if node.get("refdomain") != "py":
        return None
    domain, target = env.get_domain("py"), node["reftarget"]
    ending = "." + target.removeprefix("peerwire.")
    found = sorted(
        (name for name in domain.objects if f".{name}".endswith(ending)),
        key=lambda name: (domain.objects[name].aliased, len(name)),
    )
    if not found or ("." not in target and target.islower()):
        # Of arguments there are many with one name.
        return contnode if node.get("soft") else None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", found[0], _exactly(node), contnode
    )


def _exactly(node: addnodes.pending_xref) -> addnodes.pending_xref:
    exact = node.copy()
    exact.attributes.pop("py:module", None)
    exact.attributes.pop("py:class", None)
    exact.attributes.pop("refspecific", None)
    return exact


def link_literals(app: Sphinx, doctree: nodes.document) -> None:
    """Has what the pages say in code lead to the reference, where it is a public name."""
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removeprefix("peerwire.").removesuffix("()")
        inside = (nodes.title, nodes.reference, addnodes.pending_xref, addnodes.desc_signature)
        if name.split(".")[0] not in peerwire.__all__ or any(_above(literal, inside)):
            continue
        link = addnodes.pending_xref(
            "",
            literal.deepcopy(),
            refdomain="py",
            reftype="obj",
            reftarget=f"peerwire.{name}",
            refdoc=app.env.docname,
            refwarn=False,
            soft=True,
        )
        literal.replace_self(link)


def _above(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> Iterator[bool]:
    while node.parent is not None:
        node = node.parent
        yield isinstance(node, kinds)


def tell_apart(app: Sphinx, doctree: nodes.document) -> None:
    """Keeps `range` from leading to an attribute called that, and `Peer` to that of another API."""
    for node in list(doctree.findall(addnodes.pending_xref)):
        if node.get("refdomain") != "py":
            continue
        if node["reftarget"] in vars(builtins):
            node.replace_self(node.children)
        elif node["reftarget"] in peerwire.__all__ and node.get("py:module") != "peerwire.sync":
            node["reftarget"] = f"peerwire.{node['reftarget']}"
            node["refspecific"] = False


def hide_colons(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in ("property", "attribute", "data") and lines:
        lines[0] = re.sub(r":(?= |$)", COLON, lines[0])


def show_colons(_: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [line.replace(COLON, ":") for line in lines]


def shorten(
    _: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str]:
    """Says `Limits()` for the defaults of all limits, and names bits by their names."""
    if signature:
        signature = re.sub(r"Limits\(\w+=[^)]*\)", "Limits()", signature)
        signature = signature.replace("DEFAULT_LIMITS", "Limits()")
        signature = signature.replace("DEFAULT_RESERVED", "Reserved.FAST | Reserved.EXTENSION")
        signature = re.sub(r"<(\w+)\.([\w|]+): \d+>", _bits, signature)
    return signature, returns


def _bits(value: re.Match[str]) -> str:
    return " | ".join(f"{value[1]}.{bit}" for bit in value[2].split("|"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("missing-reference", find)
    app.connect("doctree-read", link_literals, priority=90)
    app.connect("doctree-read", tell_apart, priority=100)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-process-docstring", hide_colons, priority=100)
    app.connect("autodoc-process-docstring", show_colons, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
