from __future__ import annotations

import io

from lofargrid.simulation.trace import Trace


def test_a_line_has_the_time_a_noun_and_facts() -> None:
    stream = io.StringIO()
    trace = Trace(lambda: 12.3456, keep=True, stream=stream)
    trace.note("start", attempt="a-1", share=0.5, count=3)
    assert trace.lines == ["12.346 start attempt=a-1 share=0.500 count=3\n"]
    assert stream.getvalue() == trace.lines[0]


def test_faults_are_counted_by_their_cause() -> None:
    trace = Trace(lambda: 0.0)
    for place in ("A", "B"):
        trace.fault("storage-down", place=place)
    assert (trace.faults["storage-down"], trace.count, trace.lines) == (2, 2, [])


def test_the_fingerprint_tells_any_difference_and_nothing_else() -> None:
    def sha256(*nouns: str, hidden: str = "") -> str:
        trace = Trace(lambda: 1.0)
        trace.hide(hidden)
        for noun in nouns:
            trace.note(noun)
        return trace.sha256

    assert sha256("a", "b") == sha256("a", "b") != sha256("b", "a")
    assert sha256("run-of-x7", hidden="x7") == sha256("run-of-y9", hidden="y9")


def test_several_hidden_texts_keep_apart() -> None:
    trace = Trace(lambda: 0.0, keep=True)
    for text in ("aaaa", "bbbb", "aaaa"):
        trace.hide(text)
    trace.note("submit", first="aaaa-1", second="bbbb-1")
    assert trace.lines == ["0.000 submit first=T1-1 second=T2-1\n"]
