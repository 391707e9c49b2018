"""One site of made-up cards, for every test of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import site, storage
from bench.analysis import economics
from tests.support.simulated import simulated


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    simulated(folder)
    return folder


@pytest.fixture(scope="session")
def files(results) -> dict[str, bytes]:
    return site.pages(storage.expand([results]), economics.read_prices(economics.example_path()))


@pytest.fixture(scope="session")
def public(files, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("a folder") / "public"
    site.publish(folder, files)
    return folder
