"""The floors of the package: no import points up, none goes in a circle, the core stands alone."""

import ast
import sys
from pathlib import Path

import pytest

import peerwire

SRC = Path(peerwire.__file__).parent

#: Lowest floor first. A folder that is not named here belongs to the core.
FLOORS = [{"core"}, {"asyncio", "sync"}, {"torrent", "swarm", "capture"}, {"cli", "check"}]

#: Modules of the core that may use a third-party package, and which.
OPTIONAL = {"rc4": {"cryptography"}}

#: The doors to the package: they lead to every floor, and nothing imports them.
FACADES = {"peerwire", "peerwire.__main__"}


def modules() -> dict[str, Path]:
    found = {}
    for path in SRC.rglob("*.py"):
        parts = ["peerwire", *path.relative_to(SRC).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def floor(module: str) -> int:
    parts = module.split(".")
    folder = parts[1] if len(parts) > 1 else "core"
    return next((n for n, names in enumerate(FLOORS) if folder in names), 0)


def runtime_imports(tree: ast.Module):
    """Import nodes outside `if TYPE_CHECKING`, wherever they stand."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        waiting.extend(ast.iter_child_nodes(node))


def imports(module: str) -> set[str]:
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in runtime_imports(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
            continue
        base = package[: len(package) - node.level + 1] if node.level else []
        stem = ".".join([*base, node.module] if node.module else base)
        for alias in node.names:
            name = f"{stem}.{alias.name}"
            found.add(name if name in MODULES else stem)
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_points_up_a_floor(module):
    if module in FACADES:
        return
    for target in imports(module):
        if target in MODULES:
            assert target not in FACADES, f"{module} imports the facade {target}"
            assert floor(target) <= floor(module), f"{module} imports {target}, a floor above it"


def test_no_import_goes_in_a_circle():
    graph = {module: imports(module) & MODULES.keys() for module in MODULES}
    done: set[str] = set()

    def walk(module: str, trail: list[str]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module in done:
            return
        for target in graph[module] - {module}:
            walk(target, [*trail, module])
        done.add(module)

    for module in graph:
        walk(module, [])


@pytest.mark.parametrize("module", sorted(m for m in MODULES if floor(m) == 0))
def test_the_core_imports_the_standard_library_only(module):
    if module in FACADES:
        return
    allowed = (
        sys.stdlib_module_names | {"peerwire"} | OPTIONAL.get(module.rsplit(".", 1)[-1], set())
    )
    roots = {name.split(".")[0] for name in imports(module)}
    assert roots <= allowed, f"{module} imports {sorted(roots - allowed)}"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if floor(m) == 0))
def test_the_core_has_no_socket_no_thread_and_no_clock(module):
    if module in FACADES:
        return
    roots = {name.split(".")[0] for name in imports(module)}
    assert not roots & {"asyncio", "socket", "threading", "time", "select", "selectors"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_file_is_two_files(module):
    assert len(MODULES[module].read_text().splitlines()) <= 600
