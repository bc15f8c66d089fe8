"""Whose a subordinate uid is: by name or number, after a change, and with lines that say nothing."""

from pathlib import Path

from postroom.runtime.subordinate_uids import SubordinateUids


def test_a_subordinate_uid_stands_for_its_user(tmp_path: Path) -> None:
    """By name or number; the first range decides; what cannot be read gives nobody anything."""
    path = tmp_path / "subuid"
    path.write_text(
        "daemon:100000:65536\n1001:165536:65536\nno-such-user:300000:10\n\n# no\nroot:x:1\n1002:100000:5\n7:-5:2:3\n"
    )
    uids = SubordinateUids(path)
    assert [uids.user_of(uid) for uid in (99_999, 100_000, 165_535, 165_536, 231_071, 231_072, 300_001, 0, 1001)] == [
        *(99_999, 1, 1, 1001, 1001, 231_072, 300_001, 0, 1001)
    ]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """Also one that comes later, or goes."""
    path = tmp_path / "subuid"
    uids = SubordinateUids(path)
    assert uids.user_of(100_000) == 100_000
    path.write_text("1001:100000:10\n")
    assert uids.user_of(100_000) == 1001
    path.write_text("1002:100000:1000\n")
    assert uids.user_of(100_100) == 1002
    path.unlink()
    assert uids.user_of(100_000) == 100_000
