"""What holds for all tests."""

from importlib import import_module
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, Phase, settings

from .own_coverage import SRC, core

# Nothing timed is asserted, neither of an example nor of how long it takes to make one.
settings.register_profile("peerwire", deadline=None, suppress_health_check=[HealthCheck.too_slow])

# For mutation testing, which asks a thousand times whether anything fails at all and not what the
# smallest example is. The same examples each time, so that a survivor is one tomorrow as well.
settings.register_profile(
    "mutation",
    settings.get_profile("peerwire"),
    database=None,
    derandomize=True,
    max_examples=50,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile("peerwire")


# Coverage is told which test file is running; `own_coverage.py` asks for it. What importing the
# core runs belongs to everybody, so that comes first. What collecting runs belongs to nobody.


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    spreads = session.config.pluginmanager.hasplugin("dsession")  # to others, and runs nothing
    if spreads or Coverage.current() is None:
        return
    for path in core():
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        import_module(".".join(parts).removesuffix(".__init__"))
    in_context("collecting")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    in_context(item.path.relative_to(Path(__file__).parents[1]).as_posix())
    return (yield)


def in_context(name):
    if (coverage := Coverage.current()) is not None:
        coverage.switch_context(name)
