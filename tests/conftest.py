"""What holds for all tests."""

from hypothesis import HealthCheck, Phase, settings

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
