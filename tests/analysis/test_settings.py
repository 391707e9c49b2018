"""The table of settings names columns that rows have, and every setting of card and machine is in it."""

from __future__ import annotations

from dataclasses import fields

from bench.analysis.settings import SETTINGS
from bench.measure.host import HostState
from bench.model import CardState, Record

COLUMNS = {field.name for field in fields(Record)}


def missing(settings: set[str], columns: set[str]) -> set[str]:
    return settings - columns


def test_every_setting_is_a_column_and_every_state_a_setting():
    assert missing(set(SETTINGS), COLUMNS) == set()
    state = {field.name for kind in (CardState, HostState) for field in fields(kind)} & COLUMNS
    assert missing(state, set(SETTINGS)) == set()
    assert missing({"power_mode"}, COLUMNS) == {"power_mode"}, "the check itself sees a wrong name"
