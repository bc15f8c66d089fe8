"""Where the bounces of a From domain go."""

import pytest

from postroom.config.return_path import ReturnPath, return_path


def test_verp_lies_under_the_from_domain() -> None:
    """A subdomain aligns, and so does a sibling under the same owner."""
    assert return_path("verp bounces.example.org", "example.org") == ReturnPath("verp", "bounces.example.org")
    assert return_path("verp bounces.example.org", "news.example.org") == ReturnPath("verp", "bounces.example.org")
    assert return_path("verp Bounces.Example.ORG", "example.org") == ReturnPath("verp", "bounces.example.org")


@pytest.mark.parametrize("domain", ["bounces.example.net", "notexample.org", "bounces.example.org.example.net"])
def test_verp_elsewhere_is_refused(domain: str) -> None:
    """SPF would not align; the error offers what would do."""
    with pytest.raises(ValueError, match=f"write verp bounces.example.org, or shared {domain}"):
        return_path(f"verp {domain}", "example.org")


def test_shared_may_lie_anywhere() -> None:
    """One shared domain serves From domains of several owners."""
    assert return_path("shared returns.example.net", "example.org") == ReturnPath("shared", "returns.example.net")


@pytest.mark.parametrize("kind", ["verp", "shared"])
def test_the_from_domain_itself_is_refused(kind: str) -> None:
    """Its own mailboxes, postmaster among them, would get 550 5.1.1."""
    with pytest.raises(ValueError, match="has mailboxes of its own"):
        return_path(f"{kind} example.org", "example.org")


@pytest.mark.parametrize(
    "text", ["", "verp", "none example.org", "VERP bounces.example.org", "verp a.example.org b", "{…}"]
)
def test_other_forms_are_refused(text: str) -> None:
    """There are three forms, and the error names them."""
    with pytest.raises(ValueError, match=r"write verp bounces\.<domain>, shared returns\.<domain>, or none"):
        return_path(text, "example.org")


def test_return_path_is_written_as_configured() -> None:
    """str() gives the notation back."""
    assert [str(return_path(text, "example.org")) for text in ("verp b.example.org", "none")] == [
        "verp b.example.org",
        "none",
    ]
