"""The fake NVML library, compiled once."""

from __future__ import annotations

import pytest

from tests.fakes.nvml import build as fake


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return fake.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def plan(tmp_path):
    from tests.support import fleet

    path = tmp_path / "plan.toml"
    path.write_text(fleet.PLAN)
    return path
