"""One made-up study and its page, for every test of the report."""

from __future__ import annotations

import pytest

from bench import report, storage
from bench.analysis import compare, published
from tests.support.report_sample import outlook, study


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    paths = study(tmp_path_factory.mktemp("study"))
    frame = storage.read(paths)
    return frame, compare.compare(frame), [storage.read_sidecar(storage.sidecar_path(path)) for path in paths]


@pytest.fixture(scope="module")
def html(sample):
    frame, result, sidecars = sample
    return report.render(frame, published.with_published(result, ["H100 SXM"]), sidecars, outlook=outlook(frame))
