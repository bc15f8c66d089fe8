"""Regions of ours in files of others: whatever was there comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.setup.marks import MarksBroken, lines_of, region, without_regions

TEXTS = st.binary(max_size=200).map(lambda octets: octets.decode("latin-1"))


def as_it_is(line: str) -> str:
    return line


@given(TEXTS)
def test_any_octets_come_back_from_behind_a_block(text: str) -> None:
    """With or without a newline at the end, with CR, NUL and whatever is no UTF-8."""
    lines = lines_of(text)
    unended = bool(text) and not text.endswith("\n")
    ended = text + "\n" if unended else text
    marked = ended + "".join(region("settings", ["ours = 1"], unended=unended))
    assert "".join(lines) == text
    assert without_regions(marked, as_it_is).text == text


@given(st.lists(TEXTS.map(lambda text: text.replace("\n", "") + "\n"), min_size=1, max_size=5))
def test_lines_that_ours_stand_for_come_back(replaced: list[str]) -> None:
    """Comments, blank lines and continuations too."""
    restored = without_regions("".join(region("list a", ["a = ours\n"], replaced)), as_it_is)
    assert restored.text == "".join(replaced)
    assert restored.edited == ()


def test_a_region_that_was_edited_keeps_the_edit_and_loses_ours() -> None:
    """The line in force stays, without our word; the original, which is no longer the last word, goes."""
    marked = "".join(region("list a", ["a = site, ours\n"], ["a = site\n"])).replace("site, ours", "site, more, ours")
    restored = without_regions(marked, lambda line: line.replace(", ours", ""))
    assert (restored.text, restored.edited) == ("a = site, more\n", ("list a",))


def test_an_added_block_that_was_edited_is_taken_out_whole() -> None:
    """It is ours all the same, and said to be edited."""
    marked = "b = 1\n" + "".join(region("settings", ["ours = 1"])).replace("ours = 1", "ours = 2")
    restored = without_regions(marked, as_it_is)
    assert (restored.text, restored.edited) == ("b = 1\n", ("settings",))


def test_only_the_named_regions_are_taken_out() -> None:
    """The way of an uninstallation: the entrance first, the services when nobody waits for them."""
    entrance, services = "".join(region("entrance", ["x"])), "".join(region("services", ["y"]))
    assert without_regions(entrance + "b\n" + services, as_it_is, ("entrance",)).text == "b\n" + services


def test_lines_written_behind_ours_stay() -> None:
    """Also where the file had no newline at its end: it has one since."""
    marked = "a = 1\n" + "".join(region("settings", ["ours = 1"], unended=True)) + "b = 2"
    assert without_regions(marked, as_it_is).text == "a = 1\nb = 2"


@pytest.mark.parametrize(
    "text",
    [
        "# BEGIN postroom settings 0123456789ab\nours = 1\n",
        "ours = 1\n# END postroom\n",
        "# BEGIN postroom settings\nours = 1\n# END postroom\n",
        "# BEGIN postroom settings 0123456789ab\n# BEGIN postroom settings 0123456789ab\n# END postroom\n",
    ],
)
def test_a_mark_without_its_other_end_is_told_with_its_line(text: str) -> None:
    """Guessing where a region ends could delete lines of the site."""
    with pytest.raises(MarksBroken, match=r"^line \d: .*; mend: "):
        without_regions(text, as_it_is)
