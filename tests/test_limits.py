import dataclasses
import inspect

import pytest

from peerwire.limits import DEFAULT_LIMITS, Limits


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Limits)])
def test_a_limit_is_above_zero(field):
    with pytest.raises(ValueError, match=rf"Limits\.{field} is 0"):
        Limits(**{field: 0})


def test_every_field_is_described_with_its_reason():
    text = inspect.getdoc(Limits) or ""  # indented as it is in the source only until 3.12
    for field in dataclasses.fields(Limits):
        assert f"\n    {field.name}: " in text


def test_the_defaults_fit_each_other():
    limits = DEFAULT_LIMITS
    assert limits.max_request <= limits.max_request_hard <= limits.max_message
    assert limits.keep_alive < limits.idle_timeout
    assert limits.max_undecided > limits.max_message
