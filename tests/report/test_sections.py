"""A section is a file with a ``SECTION`` and its line in the registry: nothing else has to know of it."""

from __future__ import annotations

from bench import report
from bench.report.section import Content, Note, Section, Sentences
from bench.report.sections import SECTIONS
from bench.report.table import table
from tests.support.factory import CARD_A, run
from tests.support.page import Page, frame_of


def test_a_new_section_needs_no_template_and_no_change_elsewhere(tmp_path):
    def build(study):
        grid = table("A caption", ("a", "b"), [["first", card] for card in study.cards])
        return Content([Note("A note."), grid, Sentences("Said", ["One.", "Two."])], data={"mine": [1]})

    new = Section("mine", "Mine", "A section of mine", build)
    frame, result = frame_of(tmp_path, run(CARD_A, 2))
    seen = Page(report.render(frame, result, sections=(*SECTIONS, new)))
    assert seen.headings[-1] == "A section of mine"
    assert {"mine", "mine-heading"} <= set(seen.ids)
    for text in ("A note.", "A caption", "Two."):
        assert text in seen.visible
    assert '"mine":[1]' in seen.data


def test_a_section_with_nothing_to_show_is_left_out_and_its_reason_is_given(tmp_path):
    empty = Section("mine", "Mine", "A section of mine", lambda study: None, absent="Mine (nobody wrote it).")
    frame, result = frame_of(tmp_path, run(CARD_A, 2))
    seen = Page(report.render(frame, result, sections=(SECTIONS[0], empty)))
    assert seen.headings == ["The answer"]
    assert "Not on this page: Mine (nobody wrote it)." in seen.visible


def test_the_ids_of_sections_are_their_own():
    ids = [section.id for section in SECTIONS]
    assert len(ids) == len(set(ids))
