"""Mail that bounces late, on the booted host: a server of the world writes to the return path, and the API tells.

Clients of 127.0.0.2 are the world there: mynetworks has 127.0.0.1 alone. They pose as another host by XFORWARD, for
what comes from this one counts for nothing.
"""

import os
import re
import signal
import smtplib
import subprocess

from tests.setup.doors import post, state
from tests.systemd.asking import CONFIG, WORLD, pids, run, unit

from sandbox.bounce_mails import dsn
from sandbox.process import until

DOMAIN = "bounces.example.org"


def delivered(recipients: set[str]) -> dict[str, tuple[str, str]]:
    """A mail to each: recipient -> id of the message, and the return address that the world has of it."""
    sent = {recipient: post(f"to {recipient}", recipient) for recipient in sorted(recipients)}
    until(lambda: {state(message) for message in sent.values()} == {"delivered"}, 60, "all delivered", every_s=0.3)
    return {recipient: (message, _return_address(recipient)) for recipient, message in sent.items()}


def _return_address(recipient: str) -> str:
    for path in WORLD.glob("mail.*"):
        text = path.read_text("latin-1")
        if f"X-Rcpt-Args: <{recipient}>" in text:
            return str(re.findall(r"^X-Mail-Args: <(.*?)>", text, re.MULTILINE)[0])
    raise AssertionError(recipient)


def bounce(recipient: str, return_address: str) -> None:
    """As a server of the world does it, by port 25."""
    with smtplib.SMTP("127.0.0.1", 25, "mx.world.test", timeout=60, source_address=("127.0.0.2", 0)) as client:
        client.ehlo()
        client.docmd("XFORWARD", "ADDR=203.0.113.25 SOURCE=REMOTE")
        client.sendmail("", [return_address], dsn(recipient))


def local_bounce(recipient: str, return_address: str) -> None:
    """As a user of this host makes one up."""
    done = subprocess.run(
        [
            *["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/sbin/sendmail", "-f", "<>"],
            return_address,
        ],
        input=dsn(recipient).replace(b"\r\n", b"\n"),
        check=False,
    )
    assert done.returncode == 0


def refused(recipient: str) -> str:
    """What port 25 says of this recipient to the world."""
    with smtplib.SMTP("127.0.0.1", 25, "mx.world.test", timeout=60, source_address=("127.0.0.2", 0)) as client:
        client.ehlo()
        client.mail("")
        code, text = client.rcpt(recipient)
        return f"{code} {text.decode()}"


def a_late_bounce_comes_to_the_api() -> None:
    """And nothing else comes in by the return-path domain."""
    ((message, return_address),) = delivered({"gone@example.net"}).values()
    assert return_address.endswith(f"@{DOMAIN}")
    local_bounce("gone@example.net", return_address)
    until(lambda: "effect=local" in run("journalctl", "--quiet", "--no-pager", "-u", unit("watcher")), 30, "taken")
    assert state(message) == "delivered"
    bounce("gone@example.net", return_address)
    until(lambda: state(message) == "bounced", 30, "bounced", every_s=0.2)
    assert refused(f"made-up@{DOMAIN}").startswith("550 5.1.1 "), refused(f"made-up@{DOMAIN}")
    assert refused("jane@example.net")[:1] in {"4", "5"}
    # What the site relays for it goes on to relay for.
    assert refused("jane@partner.test").startswith("250 ")


def a_watcher_killed_under_bounces_loses_none() -> None:
    sent = delivered({f"gone-{number}@example.net" for number in range(20)})
    for number, (recipient, (_, return_address)) in enumerate(sent.items()):
        if number % 5 == 2 and (pid := pids()["watcher"]):
            os.kill(pid, signal.SIGKILL)
        bounce(recipient, return_address)

    def are_all_told() -> bool:
        run("postqueue", "-f")
        return {state(message) for message, _ in sent.values()} == {"bounced"}

    until(are_all_told, 60, "all bounced", every_s=1.0)


def postroom_yaml_decides_which_domains_are_wired(*set_up: str) -> None:
    """Taken out there and set up again, then put back."""
    good, wired = CONFIG.read_text(), run("postconf", "-n")
    CONFIG.write_text(good.replace(f"return_path: verp {DOMAIN}", "return_path: none"))
    output = run(*set_up, "--no-test-mail")
    assert f"note: {CONFIG} is there and decides" in output
    assert DOMAIN not in run("postconf", "-n")
    assert run("postconf", "-h", "relay_domains") == "partner.test\n"
    CONFIG.write_text(good)
    output = run(*set_up, "--no-test-mail")
    assert f"{DOMAIN}. IN MX 10 mail.example.org." in output
    assert run("postconf", "-n") == wired


def the_watcher_is_away() -> None:
    run("systemctl", "stop", "postroom-watcher.socket", unit("watcher"))
