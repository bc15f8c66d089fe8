"""`postroom template`: list, render, lint and new, on a folder of the operator's own."""

import email
import json
from email import policy
from pathlib import Path

import pytest
from tests.ctl.conftest import Postroom


@pytest.fixture
def own(config: Path, bed: Path) -> Path:
    """The operator's folder; not made yet."""
    folder = bed / "templates"
    with config.open("a", encoding="utf-8") as file:
        file.write(f"templates:\n  folder: {folder}\n  brand:\n    name: Example Books\n")
    return folder


def test_templates_are_listed_with_version_and_locales(postroom: Postroom, own: Path) -> None:
    """A line each; as JSON with samples and variables too. The version changes with the content."""
    assert not own.exists()
    done = postroom("template", "list", "--json")
    listed = {row["name"]: row for row in json.loads(done.stdout)}
    assert listed["welcome"]["locales"] == ["de", "en", "es", "fr"]
    assert "required only" in listed["welcome"]["samples"]
    (own / "welcome/en").mkdir(parents=True)
    (own / "welcome/en/subject.txt").write_text("Hello\n", encoding="utf-8")
    line = next(line for line in postroom("template", "list").stdout.splitlines() if line.startswith("welcome "))
    assert "  de en es fr  Greets a new user" in line
    assert listed["welcome"]["version"] not in line


def test_whole_message_is_printed_as_it_would_be_handed_over(postroom: Postroom, own: Path) -> None:
    """RFC 5322 with both parts, in the locale asked for; the data of a sample, or of a file."""
    assert not own.exists()
    done = postroom("template", "render", "password-reset", "--locale", "de-AT", "--sample", "one-hour")
    message = email.message_from_string(done.stdout, policy=policy.default)
    assert (done.returncode, message["Subject"]) == (0, "Neues Passwort für Example Books")
    text = message.get_body(("plain",))
    assert text is not None
    assert "Guten Tag Jürgen," in text.get_content()
    data = {"first_name": "Zoë", "action_url": "https://www.example.org/z"}
    only = postroom(
        "template", "render", "welcome", "--data", "-", "--part", "subject", stdin=json.dumps(data).encode()
    )
    assert only.stdout == "Welcome to Example Books, Zoë\n"


def test_data_that_does_not_fit_is_told_in_full(postroom: Postroom, own: Path) -> None:
    """Every fault with its pointer, exit 1; an unknown template or sample is usage."""
    assert not own.exists()
    done = postroom("template", "render", "welcome", "--data", "-", stdin=b'{"login": 5}')
    assert done.returncode == 1
    assert [line.split(":")[0] for line in sorted(done.stderr.splitlines())] == ["/action_url", "/first_name", "/login"]
    assert postroom("template", "render", "wellcome").returncode == 2
    assert "it has examples, required-only" in postroom("template", "render", "welcome", "--sample", "x").stderr


def test_shipped_templates_have_no_findings_and_a_careless_edit_has(postroom: Postroom, own: Path) -> None:
    """Exit 0, then 1 with the rule named."""
    assert postroom("template", "lint").returncode == 0
    (own / "welcome/de").mkdir(parents=True)
    (own / "welcome/de/body.txt").write_text(
        "{{ first_name }} {{ login or '' }} Sign in for the first time.\n", "utf-8"
    )
    done = postroom("template", "lint", "welcome", "--json")
    assert done.returncode == 1
    assert {finding["rule"] for finding in json.loads(done.stdout)} == {"links-differ"}


def test_new_template_is_whole_and_is_never_written_over(postroom: Postroom, own: Path) -> None:
    """It renders at once and has no findings but the locales it lacks; what is there is kept."""
    done = postroom("template", "new", "goodbye")
    assert done.returncode == 0
    assert (own / "goodbye/en/body.html").is_file()
    assert postroom("template", "render", "goodbye").returncode == 0
    found = json.loads(postroom("template", "lint", "goodbye", "--json").stdout)
    assert {finding["rule"] for finding in found} == {"missing-locale"}
    again = postroom("template", "new", "goodbye")
    assert (again.returncode, "already" in again.stderr) == (1, True)
    assert postroom("template", "new", "../evil").returncode == 1
    assert postroom("template", "new", "adieu", "--locale", "../..").returncode == 1
    assert sorted(path.name for path in own.iterdir()) == ["goodbye"]


def test_broken_template_is_told_with_file_line_and_mend(postroom: Postroom, own: Path) -> None:
    """Every command that reads the templates says it, exit 1."""
    (own / "welcome/en").mkdir(parents=True)
    (own / "welcome/en/body.txt").write_text("Hello\n{{ nobody }}\n", encoding="utf-8")
    done = postroom("template", "list")
    assert done.returncode == 1
    assert f"{own}/welcome/en/body.txt:2: 'nobody' is no variable" in done.stderr
    assert "Mend: " in done.stderr
