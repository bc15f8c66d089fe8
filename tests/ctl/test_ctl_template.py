"""`postroom template`: list, render, lint and new, on a folder of the operator's own."""

import email
import json
import os
import subprocess
from email import policy
from pathlib import Path

import pytest
from tests.ctl.conftest import CHECKOUT, Done, Postroom

pytestmark = pytest.mark.process


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
    assert f"{own}/welcome/en/body.txt:2: 'nobody' is not a variable" in done.stderr
    assert "Mend: " in done.stderr


@pytest.fixture
def laptop() -> Postroom:
    """The command where nobody has written a postroom.yaml, as on a designer's laptop."""
    if Path("/etc/postroom/postroom.yaml").exists():
        pytest.skip("this machine has a configuration in the default place")
    environment = {name: value for name, value in os.environ.items() if name != "POSTROOM_CONFIG"}

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        return subprocess.run(
            [str(CHECKOUT / "scripts" / "postroom"), *arguments],
            input=stdin.decode("utf-8"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )

    return run


@pytest.mark.process
def test_without_a_configuration_the_shipped_templates_are_rendered(laptop: Postroom) -> None:
    """With the brand of an example; one line on stderr says so."""
    done = laptop("template", "render", "welcome", "--part", "subject")
    assert (done.returncode, done.stdout) == (0, "Welcome to Example, Ada\n")
    assert done.stderr == (
        "/etc/postroom/postroom.yaml: there is none; using the shipped templates, and an example's brand\n"
    )
    assert laptop("template", "list").returncode == 0
    assert laptop("template", "lint", "welcome").returncode == 0
    whole = laptop("template", "render", "welcome")
    assert email.message_from_string(whole.stdout, policy=policy.default)["From"] == "Example <noreply@example.org>"


@pytest.mark.process
def test_without_a_configuration_templates_are_begun_in_a_folder_that_is_named(laptop: Postroom, bed: Path) -> None:
    """And found there by the other commands; without a folder there is nowhere to write."""
    nowhere = laptop("template", "new", "goodbye")
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert nowhere.stderr.endswith("mend: name a folder with --folder\n")
    own = bed / "mine"
    assert laptop("template", "lint", "--folder", str(own)).returncode == 2
    done = laptop("template", "new", "goodbye", "--folder", str(own))
    assert done.returncode == 0, done.stderr
    assert f"`postroom template lint goodbye --folder {own}`" in done.stderr
    assert f"using those in {own} and the shipped templates" in done.stderr
    assert (own / "goodbye/en/body.html").is_file()
    assert laptop("template", "render", "goodbye", "--folder", str(own), "--part", "subject").returncode == 0
    assert laptop("template", "render", "goodbye").returncode == 2


@pytest.mark.process
def test_a_configuration_that_was_named_must_be_there(laptop: Postroom, bed: Path) -> None:
    """By --config or in the environment: somebody meant that file."""
    done = laptop("--config", str(bed / "no.yaml"), "template", "list")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == f"{bed}/no.yaml: does not exist; write it, or name another file with --config\n"
    assert laptop("--config", "/etc/postroom/postroom.yaml", "template", "list").returncode == 78


def test_a_folder_that_is_named_comes_before_the_configured_one(postroom: Postroom, own: Path, bed: Path) -> None:
    """Brand and domains are still the configuration's."""
    assert not own.exists()
    (bed / "mine/welcome/en").mkdir(parents=True)
    (bed / "mine/welcome/en/subject.txt").write_text("Hello from {{ brand.name }}\n", encoding="utf-8")
    done = postroom("template", "render", "welcome", "--folder", str(bed / "mine"), "--part", "subject")
    assert (done.stdout, done.stderr) == ("Hello from Example Books\n", "")
