"""There are enough cases, for every row on every level, and the document lists them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from peerwire import Limits

from .cases import CASES
from .rows import ROWS
from .table import cases_of, in_document, table

if TYPE_CHECKING:
    from .case import Row

BOUNDS = {field.name for field in dataclasses.fields(Limits)}


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 100


def test_each_is_another_one() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert len({(repr(case.script), case.scene, case.levels) for case in CASES}) == len(CASES)


def test_each_belongs_to_a_row() -> None:
    assert {case.row for case in CASES} == {row.key for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_row_has_cases_wherever_it_can_be_met(row: Row) -> None:
    met = [case.levels for case in cases_of(row)]
    assert frozenset().union(*met) == row.levels


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_bound_is_a_field_of_limits(row: Row) -> None:
    assert {bound for bound in row.bounds if " " not in bound} <= BOUNDS


def test_the_document_has_the_table() -> None:
    assert in_document() == table(), "run `python -m tests.hostile`"
