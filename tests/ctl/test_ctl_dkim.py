"""`postroom dkim`: keys, records, and signatures verified."""

import base64
import json
import re
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.ctl.conftest import Postroom
from tests.milter import rfc8463

from postroom.ctl import main
from postroom.ctl.verification import MAX_SIGNATURES, verify
from postroom.milter.keys import zone_line

BOTH_SIGNATURES = [
    (b"DKIM-Signature", rfc8463.ED25519_SIGNATURE),
    (b"DKIM-Signature", rfc8463.RSA_SIGNATURE),
]


def message_of(*fields: tuple[bytes, bytes]) -> bytes:
    """The example of the RFC with these fields on top, with LF line ends, as a file has it."""
    header = b"".join(name + b":" + value + b"\n" for name, value in [*fields, *rfc8463.FIELDS])
    return header + b"\n" + rfc8463.BODY.replace(b"\r\n", b"\n")


RECORDS = {
    b"brisbane._domainkey.football.example.com.": f"v=DKIM1; k=ed25519; p={rfc8463.ED25519_PUBLIC}",
    b"test._domainkey.football.example.com.": f"v=DKIM1; k=rsa; p={rfc8463.RSA_PUBLIC}",
}


def text_of(line: str) -> str:
    """What a zone file's line publishes: its strings, joined (RFC 6376 §3.6.2.2)."""
    strings = re.findall(r'"([^"]*)"', line)
    assert all(len(string) <= 255 for string in strings)
    return "".join(strings)


def public_half(path: Path) -> bytes:
    """As openssl gives it, in DER."""
    command = ["openssl", "pkey", "-in", str(path), "-pubout", "-outform", "DER"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.process
def test_a_key_is_made_and_its_record_printed(postroom: Postroom, state: Path) -> None:
    """Mode 0600, RSA of 2048 bits; the record alone on stdout, in strings of at most 255 octets."""
    done = postroom("dkim", "key", "--domain", "Example.org", "--selector", "2026A")
    path = state / "dkim" / "2026a.example.org.pem"
    assert done.returncode == 0
    assert done.stderr == f"{path}: ready; publish this record, then list the key below domains, example.org, dkim:\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (line,) = done.stdout.splitlines()
    assert line.startswith('2026a._domainkey.example.org. IN TXT ( "v=DKIM1; k=rsa; p=')
    assert text_of(line) == f"v=DKIM1; k=rsa; p={base64.b64encode(public_half(path)).decode()}"
    shown = subprocess.run(
        ["openssl", "pkey", "-in", path, "-noout", "-text"], capture_output=True, text=True, check=True
    )
    assert "2048 bit" in shown.stdout


@pytest.mark.process
def test_an_ed25519_record_is_one_string(postroom: Postroom, bed: Path) -> None:
    """The last 32 octets of the public key's DER are the key (RFC 8410); its file where --out says, for a group."""
    path = bed / "new" / "ed25519.pem"
    arguments = ("--domain", "example.org", "--selector", "e", "--type", "ed25519", "--out", str(path))
    done = postroom("dkim", "key", *arguments, "--group", path.parent.parent.group())
    assert done.returncode == 0, done.stderr
    public = base64.b64encode(public_half(path)[-32:]).decode()
    assert done.stdout == f'e._domainkey.example.org. IN TXT "v=DKIM1; k=ed25519; p={public}"\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.postfix
def test_a_key_for_a_group_can_be_read_by_it(bed: Path, state: Path, postroom: Postroom) -> None:
    """The folder that is made with it lets the group pass too; a key later made there for nobody stays root's own."""
    for folder in (bed, state):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    arguments = ("dkim", "key", "--domain", "example.org", "--type", "ed25519")
    assert postroom(*arguments, "--selector", "a", "--group", "mail").returncode == 0
    assert postroom(*arguments, "--selector", "b").returncode == 0
    keys = [state / "dkim" / f"{selector}.example.org.pem" for selector in "ab"]
    assert [read_as("mail", key) for key in keys] == [True, False]
    assert [read_as("nogroup", key) for key in keys] == [False, False]


def read_as(group: str, path: Path) -> bool:
    """Whether nobody can read it with this group."""
    command = ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups", "cat", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_key_is_never_replaced_and_never_left_half_made(postroom: Postroom, bed: Path) -> None:
    """Mail in flight bears its signature; a group that is missing leaves no key behind."""
    path = bed / "key.pem"
    arguments = ("dkim", "key", "--domain", "example.org", "--selector", "a", "--type", "ed25519", "--out", str(path))
    done = postroom(*arguments, "--group", "no-such-group")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{path}: there is no group 'no-such-group'; mend: create it, or name another\n"
    assert not path.exists()
    assert postroom(*arguments).returncode == 0
    before = path.read_bytes()
    done = postroom(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{path}: exists and was left as it is; mend: ")
    assert path.read_bytes() == before


def test_what_no_receiver_would_take_is_not_made(config: Path, state: Path) -> None:
    """No full domain, no selector or one that is a path, a short key: usage, exit 2; nothing is written."""
    for arguments in (
        ("--domain", "example", "--selector", "a"),
        ("--domain", "example.org", "--selector", "../a"),
        ("--domain", "example.org", "--selector", "a", "--bits", "1024"),
        ("--domain", "example.org"),
    ):
        assert CliRunner().invoke(main.postroom, ["--config", str(config), "dkim", "key", *arguments]).exit_code == 2
    assert not state.exists()


def test_records_of_the_configured_keys_are_printed(postroom: Postroom, bed: Path, config: Path) -> None:
    """As `key` printed them; one that cannot be read is told and costs exit 1; none at all too."""
    done = postroom("dkim", "dns")
    assert (done.returncode, done.stdout, "mend: " in done.stderr) == (1, "", True)
    made = [
        postroom("dkim", "key", "--domain", "example.org", "--selector", kind, "--type", kind, "--out", f"{bed}/{kind}")
        for kind in ("rsa", "ed25519")
    ]
    dkim = f"[{{selector: rsa, key_file: {bed}/rsa}}, {{selector: ed25519, key_file: {bed}/ed25519}}]"
    config.write_text(
        config.read_text().replace("example.org: {}", f"example.org: {{dkim: {dkim}}}\n  example.net: {{}}")
    )
    done = postroom("dkim", "dns")
    assert (done.returncode, done.stdout) == (0, "".join(one.stdout for one in made))
    assert postroom("dkim", "dns", "--domain", "example.net").returncode == 1
    (bed / "rsa").unlink()
    done = postroom("dkim", "dns", "--domain", "example.org")
    assert (done.returncode, done.stdout) == (1, made[1].stdout)
    assert done.stderr.startswith(f"{bed}/rsa: cannot be read ")


def test_long_text_is_split_and_short_is_not() -> None:
    """255 octets are one string, 256 two (RFC 1035 §3.3)."""
    assert zone_line("example.org", "a", "x" * 255) == f'a._domainkey.example.org. IN TXT "{"x" * 255}"'
    assert zone_line("example.org", "a", "x" * 256) == f'a._domainkey.example.org. IN TXT ( "{"x" * 255}" "x" )'


def test_a_signed_message_verifies(postroom: Postroom, bed: Path) -> None:
    """RFC 8463's example with LF line ends, from a file and from stdin; the key of one is given, the other fails."""
    path = bed / "signed.eml"
    path.write_bytes(message_of(*BOTH_SIGNATURES))
    record = RECORDS[b"brisbane._domainkey.football.example.com."]
    for done in (
        postroom("dkim", "verify", str(path), "--key-record", record),
        postroom("dkim", "verify", "-", "--key-record", record, stdin=message_of(*BOTH_SIGNATURES)),
    ):
        first, second = done.stdout.splitlines()
        assert first == "football.example.com brisbane ed25519-sha256 verifies"
        assert second.startswith("football.example.com test rsa-sha256 fails: ")
        assert done.returncode == 1
    only = message_of(BOTH_SIGNATURES[0])
    done = postroom("dkim", "verify", "-", "--key-record", record, "--json", stdin=only)
    assert (done.returncode, json.loads(done.stdout)) == (
        0,
        [
            {
                "domain": "football.example.com",
                "selector": "brisbane",
                "algorithm": "ed25519-sha256",
                "holds": True,
                "reason": "",
            }
        ],
    )


def test_each_key_is_asked_for_by_its_name() -> None:
    """With DNS both signatures of the example hold; without a record neither does, and the reason says so."""
    assert [one.holds for one in verify(message_of(*BOTH_SIGNATURES), RECORDS.get)] == [True, True]
    results = verify(message_of(*BOTH_SIGNATURES), lambda _: None)
    assert [one.holds for one in results] == [False, False]
    assert all("missing public key" in one.reason for one in results)


@pytest.mark.process
def test_a_message_without_a_signature_is_a_finding(postroom_process: Postroom) -> None:
    """Exit 1; also for what is empty."""
    done = postroom_process("dkim", "verify", "-", "--key-record", "x", stdin=b"Subject: x\n\nx\n")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "<stdin>: has no DKIM-Signature\n")
    assert verify(b"", lambda _: None) == []


@pytest.mark.process
def test_what_is_no_message_is_told_so(postroom_process: Postroom) -> None:
    """One line, exit 1, no traceback."""
    done = postroom_process("dkim", "verify", "-", "--key-record", "x", stdin=b"\xff\xfe\x00")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "<stdin>: is not a message: its header cannot be read\n"
    for octets in (b" continues nothing\n\n", b"no field\n\nx", b"\x00:\n"):
        with pytest.raises(ValueError, match="is not a message"):
            verify(octets, lambda _: None)


def test_a_broken_signature_fails_and_shows_no_control(postroom: Postroom) -> None:
    """Whatever its tags, it fails with a reason; the terminal is safe."""
    values = [
        b"",
        b"v=1",
        b"v=1; a=rsa-sha256; d=x; s=y; h=from; bh=!; b=!",
        b"d=\xff; d=\x1b[31m",
        b"=;=;",
        b"v=1; l=z",
    ]
    message = b"".join(b"DKIM-Signature: " + value + b"\n" for value in values) + b"From: a@example.org\n\nx\n"
    results = verify(message, lambda _: "v=DKIM1; p=")
    assert [result.holds for result in results] == [False] * len(values)
    assert all(result.reason for result in results)
    done = postroom("dkim", "verify", "-", "--key-record", "v=DKIM1; p=", stdin=message)
    assert done.returncode == 1
    assert [" fails: " in line and line.isprintable() for line in done.stdout.splitlines()] == [True] * len(values)


def test_only_so_many_signatures_are_looked_at() -> None:
    """A stranger's message must not make us ask DNS a thousand times."""
    asked: list[bytes] = []
    message = message_of(*BOTH_SIGNATURES * 50)
    results = verify(message, asked.append)
    assert len(results) == len(asked) == MAX_SIGNATURES
