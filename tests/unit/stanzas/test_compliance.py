"""What the project says it implements: ``docs/compliance.md`` and the ``PROTOCOL`` lines."""

from pathlib import Path

import pytest

from tests.support.compliance import PAGE, Feature, Protocol, beyond, judge, page, read


def test_the_page_is_what_the_modules_say() -> None:
    """``python -m tests.support.compliance`` writes it anew."""
    assert PAGE.read_text() == page(read())


def test_no_module_claims_a_version_that_is_not_known() -> None:
    """A typing mistake, or a version to be noted in ``NEWEST``."""
    assert list(beyond(read())) == []


def test_a_version_from_the_future_is_named() -> None:
    """So is an XEP that nobody has looked up."""
    claimed = [
        Protocol("a.py", "XEP-0198", "1.6.3", "complete"),
        Protocol("b.py", "XEP-0198", "1.7", "complete"),
        Protocol("c.py", "XEP-9999", "1.0", "complete"),
    ]
    assert [complaint[:4] for complaint in beyond(claimed)] == ["b.py", "c.py"]


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ({}, "no"),
        ({"XEP-0001": "complete", "XEP-0002": "complete"}, "yes"),
        ({"XEP-0001": "complete"}, "partial"),
        ({"XEP-0001": "complete", "XEP-0002": "partial: no cake"}, "partial"),
    ],
)
def test_a_feature_is_there_when_all_it_asks_for_is(states: dict[str, str], verdict: str) -> None:
    """One of several is a part, and what is missing is named."""
    lines = [Protocol("a.py", name, "1.0", state) for name, state in states.items()]
    found, why = judge(Feature("Both", ["XEP-0001", "XEP-0002"], "not yet"), lines)
    assert found == verdict
    assert bool(why) == (verdict != "yes")
    assert ("no cake" in why) == ("partial: no cake" in states.values())


def test_one_module_may_state_several(tmp_path: Path) -> None:
    """A tuple of lines; a state of another shape is refused."""
    (tmp_path / "stanzas").mkdir()
    module = tmp_path / "stanzas" / "both.py"
    module.write_text(
        "PROTOCOL = (('XEP-0060', '1.0', 'complete'), ('XEP-0163', '1', 'partial: x'))"
    )
    assert [line.name for line in read(tmp_path)] == ["XEP-0060", "XEP-0163"]
    module.write_text("PROTOCOL = ('XEP-0060', '1.0', 'perhaps')")
    with pytest.raises(ValueError, match="perhaps"):
        read(tmp_path)
