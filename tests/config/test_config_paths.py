"""Where things lie."""

from pathlib import Path

import pytest

from postroom.config import paths
from postroom.config.load import parse


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """An installed program: its modules and its shipped folders below one prefix, no setup.py."""
    (tmp_path / "prefix/share/postroom/templates").mkdir(parents=True)
    return tmp_path / "prefix"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout: modules, shipped folders and setup.py together."""
    (tmp_path / "checkout/daemons/postroom/config").mkdir(parents=True)
    (tmp_path / "checkout/templates").mkdir()
    (tmp_path / "checkout/setup.py").touch()
    return tmp_path / "checkout"


def test_checkout_comes_before_the_prefix(checkout: Path, installation: Path) -> None:
    """An editable install does not copy the folders, and what is edited must be what is used."""
    source = checkout / "daemons/postroom/config/paths.py"
    assert paths.shipped("templates", source, installation) == checkout / "templates"


def test_installed_program_uses_its_prefix(installation: Path) -> None:
    """Without a checkout around the sources, setup.py has put the folders below the prefix."""
    source = installation / "lib/python3.11/site-packages/postroom/config/paths.py"
    assert paths.shipped("templates", source, installation) == installation / "share/postroom/templates"


def test_missing_folder_is_named(checkout: Path, installation: Path) -> None:
    """The error says which folder was looked for, and how to get it."""
    with pytest.raises(paths.ShippedMissing, match="share/postroom/postfix-conf is missing; install Postroom again"):
        paths.shipped("postfix-conf", installation / "postroom/config/paths.py", installation)
    with pytest.raises(paths.ShippedMissing, match="checkout/postfix-conf is missing"):
        paths.shipped("postfix-conf", checkout / "daemons/postroom/config/paths.py", installation)


def test_these_sources_find_their_folders() -> None:
    """The tests run from a checkout, and its folders are found."""
    root = Path(__file__).resolve().parents[2]
    assert paths.templates_dir() == root / "templates"
    assert paths.shipped("postfix-conf", Path(paths.__file__), Path("/nowhere")) == root / "postfix-conf"


def test_default_config_can_be_moved_by_the_environment() -> None:
    """An empty variable counts as none."""
    assert paths.default_config({"POSTROOM_CONFIG": "/srv/p.yaml"}) == Path("/srv/p.yaml")
    assert paths.default_config({"POSTROOM_CONFIG": ""}) == Path("/etc/postroom/postroom.yaml")
    assert paths.default_config({}) == Path("/etc/postroom/postroom.yaml")


def test_files_of_state_lie_below_the_state_dir() -> None:
    """The outbox has a folder of its own, because only one user may enter it."""
    config = parse(b"domains: {example.org: }\nstate_dir: /srv/state\n", "it", lambda: "mail.example.org")
    assert paths.mail_db(config) == Path("/srv/state/submission/mail.db")
    assert paths.limits_db(config) == Path("/srv/state/shared/limits.db")
    assert paths.shared_db(config) == Path("/srv/state/shared/shared.db")
    assert paths.return_path_key(config) == Path("/srv/state/keys/return-path.key")
