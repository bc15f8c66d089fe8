"""Mail in Postfix's queue that needs what uninstallation removes."""

import json
from pathlib import Path

from postroom.setup.queued_mail import at_the_door, for_domains

QUEUE = """\
{"queue_name": "deferred", "queue_id": "A1", "recipients": [{"address": "prx@Bounces.Example.Org"}]}
{"queue_name": "deferred", "queue_id": "A2", "recipients": [{"address": "jane@example.net"}]}
{"queue_name": "active", "queue_id": "A3", "recipients": [{"address": "jane@x.test"}, {"address": "p@b.test"}]}
{"queue_name": "hold", "queue_id": "A4", "recipients": [{"address": "bounces.example.org"}]}
"""


def test_mail_to_the_return_path_is_known_by_its_recipients() -> None:
    """In whatever queue it is; an address without a domain is somebody of this host."""
    assert for_domains(map(json.loads, QUEUE.splitlines()), {"bounces.example.org", "b.test"}) == {
        "deferred": ["A1"],
        "active": ["A3"],
    }
    assert for_domains([], {"b.test"}) == {}


def test_mail_before_the_door_is_known_by_its_queue_file(tmp_path: Path) -> None:
    """In folders of hashed names as well; files that are no mail are passed over."""
    folder = tmp_path / "deferred" / "A"
    folder.mkdir(parents=True)
    (folder / "A1B2C3").write_bytes(b"C\x00L\x21postroom-door:[127.0.0.1]:10587\x00")
    (folder / "A1B2C4").write_bytes(b"C\x00 another mail")
    (folder / "no-mail").write_bytes(b"postroom-door:[127.0.0.1]:10587")
    assert at_the_door("deferred", tmp_path) == ["A1B2C3"]
    assert at_the_door("hold", tmp_path) == []
