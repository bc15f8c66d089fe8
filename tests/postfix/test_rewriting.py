"""What Postfix says of how it rewrites, read; tests/recipients/test_spellings_postfix.py does it with postconf(1)."""

from pathlib import Path

import pytest

from postroom.mail.spellings import AddressRewriting, DomainPattern
from postroom.postfix import postconf
from postroom.postfix.commands import PostfixCommandFailed
from postroom.postfix.rewriting import address_rewriting, domain_patterns, known_rewriting
from postroom.runtime.log import Field, Level, Log


def test_the_patterns_of_a_list_keep_their_order_and_what_they_stand_for(tmp_path: Path) -> None:
    """Names in any case, files, tables, exceptions, and tables in braces with commas in them."""
    (tmp_path / "ours").write_text("# a comment\none.example, !two.example\n", "ascii")
    written = f"Mail.example.org, !{tmp_path}/ours hash:/etc/ours inline:{{ {{ a=b, c=d }} }} !!localhost [192.0.2.1]"
    assert list(domain_patterns(written)) == [
        DomainPattern("mail.example.org"),
        DomainPattern("one.example", is_inside=False),
        DomainPattern("two.example"),
        DomainPattern(None),
        DomainPattern(None),
        DomainPattern("localhost"),
        DomainPattern("[192.0.2.1]"),
    ]


def test_a_file_that_cannot_be_read_or_names_itself_is_like_a_table(tmp_path: Path) -> None:
    """Nothing is known of it."""
    (tmp_path / "loop").write_text(f"{tmp_path}/loop\n", "ascii")
    for name in ("loop", "missing"):
        assert list(domain_patterns(f"{tmp_path}/{name}")) == [DomainPattern(None)]


def test_the_first_pattern_that_matches_decides() -> None:
    """A table before it leaves open what it does not decide the same way."""
    no, table, ours = DomainPattern("a.example", is_inside=False), DomainPattern(None), DomainPattern("a.example")

    def is_local(*patterns: DomainPattern) -> list[bool | None]:
        rewriting = AddressRewriting("mail.example.org", "example.org", "example.org", patterns)
        return [rewriting.is_local(domain) for domain in ("A.example.", "b.example")]

    assert is_local(no, ours) == [False, False]
    assert is_local(ours, no, table) == [True, None]
    assert is_local(table, ours) == [True, None]
    assert is_local(table, no) == [None, None]
    assert is_local() == [False, False]


def test_a_postfix_that_does_not_answer_is_told_once_and_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon runs without."""

    def fails(*_: object) -> dict[str, str]:
        raise PostfixCommandFailed("postconf: fatal", "CalledProcessError")

    written: list[tuple[Level, str, dict[str, Field]]] = []
    monkeypatch.setattr(postconf, "expanded_all", fails)
    assert known_rewriting(Log("info", lambda *line: written.append(line))) is None
    assert [(level, event) for level, event, _ in written] == [("warning", "postfix.rewriting_unknown")]


def test_the_origin_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As Debian's /etc/mailname; words that are no `yes` are `no`."""
    (tmp_path / "mailname").write_text("mail.example.org\n", "ascii")
    values = {"myorigin": str(tmp_path / "mailname"), "mydestination": "", "allow_percent_hack": "Yes"}
    monkeypatch.setattr(postconf, "expanded_all", lambda names, _: {name: values.get(name, "no") for name in names})
    read = address_rewriting()
    assert (read.myorigin, read.allow_percent_hack, read.swap_bangpath) == ("mail.example.org", True, False)
