"""One made-up study and its page, for every test of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report, storage
from bench.analysis import compare, published
from tests.support.report_sample import decision, outlook, study


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    paths = study(tmp_path_factory.mktemp("study"))
    frame = storage.read(paths)
    return frame, compare.compare(frame), [storage.read_sidecar(storage.sidecar_path(path)) for path in paths]


@pytest.fixture(scope="module")
def html(sample):
    frame, result, sidecars = sample
    with_published = published.with_published(result, ["H100 SXM"])
    return report.render(frame, with_published, sidecars, outlook=outlook(frame), decision=decision(frame))


@pytest.fixture(scope="session")
def page_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    paths = study(folder)
    frame = storage.read(paths)
    result = published.with_published(compare.compare(frame), ["H100 SXM"])
    sidecars = [storage.read_sidecar(storage.sidecar_path(path)) for path in paths]
    path = folder / "page.html"
    html = report.render(frame, result, sidecars, outlook=outlook(frame), decision=decision(frame))
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def shown(browser, page_file):
    """The page at desktop width, freshly opened."""
    browser.messages.clear()
    browser.requests.clear()
    browser.size(1280, 900)
    browser.open(page_file.as_uri())
    return browser
