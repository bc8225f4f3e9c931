"""What is read aloud of a lesson: text alone."""

from rnntips.notebook.lessons import lessons
from tools.aloud import spoken


def test_spoken_is_what_a_reader_sees_as_text():
    for lesson in lessons():
        first, whole = spoken(lesson)
        assert whole.startswith(first.rstrip()[:500]) and 200 < len(first.split()) <= len(whole.split())
        assert not {"```", "http", "<", "import "} & {mark for mark in ("```", "http", "<", "import ") if mark in whole}
        stops = lesson.form in ("core", "short") and "own" not in lesson.form
        assert (len(first) < len(whole)) == stops, lesson.notebook
