"""Each family of commands as a process of its own: the other tests of this room call it in theirs."""

import pytest
from tests.ctl.conftest import Postroom

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("bounce", "classify"), 0, ""),
        (("check",), 0, "postroom.yaml: good"),
        (("dkim", "dns"), 1, "mend: make one with `postroom dkim key`"),
        (("limits", "show"), 0, "nobody waits"),
        (("log", "parse"), 0, ""),
        (("privacy", "report", "jane@example.net"), 0, "nothing is kept"),
        (("return-path", "dns"), 1, "mend: give a domain return_path: verp bounces.<domain>"),
        (("send",), 2, "Missing option"),
        (("status",), 1, "mend: start postroom-submission"),
        (("suppress", "list"), 0, ""),
        (("template", "list"), 0, "welcome"),
    ],
)
def test_each_family_starts(postroom_process: Postroom, arguments: tuple[str, ...], status: int, says: str) -> None:
    """With a store; its exit status and what it says, without a traceback."""
    assert postroom_process("store", "init").returncode == 0
    done = postroom_process(*arguments)
    assert (done.returncode, says in done.stdout + done.stderr) == (status, True), done.stdout + done.stderr
