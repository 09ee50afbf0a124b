"""What holds for all tests."""

from hypothesis import HealthCheck, settings

# Nothing timed is asserted, neither of an example nor of how long it takes to make one.
settings.register_profile("peerwire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("peerwire")
