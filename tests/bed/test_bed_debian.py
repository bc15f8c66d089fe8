"""What of the host goes into a bare Debian: asked for, never written down here."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sandbox.debian import CERTIFICATES, apt_settings, carried, mirrors, named_paths, pip_environment

TARGETS = """\
Debian|bookworm|http://mirror.example/debian/|bookworm|main
Debian|bookworm-updates|http://mirror.example/debian/|bookworm-updates|main
Debian|bookworm-security|http://mirror.example/debian-security/|bookworm-security|main
Debian|trixie|http://mirror.example/debian/|trixie|main
Vendor|bookworm|http://vendor.example/|bookworm|main
"""


def test_mirrors_are_the_hosts_own_for_the_suite_asked_for() -> None:
    """Neither another suite nor another vendor's packages."""
    assert mirrors(TARGETS, "bookworm") == [
        "deb http://mirror.example/debian/ bookworm main",
        "deb http://mirror.example/debian/ bookworm-updates main",
        "deb http://mirror.example/debian-security/ bookworm-security main",
    ]
    assert mirrors(TARGETS, "sid") == []
    assert mirrors("", "bookworm") == []


def test_apt_settings_are_those_about_reaching_mirrors() -> None:
    """Proxies and dates go along, hooks and folders of the host do not."""
    dump = (
        'Dir::Cache "var/cache/apt";\nDPkg::Post-Invoke:: "/usr/bin/hook";\nAcquire "";\nAcquire::http "";\n'
        'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::Check-Valid-Until "false";\n'
        'Acquire::Languages:: "none";\n'
    )
    assert apt_settings(dump) == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::Check-Valid-Until "false";',
    ]


def test_pip_settings_become_variables_and_the_environment_wins() -> None:
    """As with pip itself; a section of another command is not ours."""
    listed = (
        ":env:.timeout='60'\nglobal.timeout='15'\nglobal.extra-index-url='file:///a/simple https://b.example/simple'\n"
        "install.no-compile='true'\ndownload.dest='/x'\n"
    )
    assert pip_environment(listed) == {
        "PIP_TIMEOUT": "60",
        "PIP_EXTRA_INDEX_URL": "file:///a/simple https://b.example/simple",
        "PIP_NO_COMPILE": "true",
    }


def test_folders_that_pip_names_go_along_if_they_exist(tmp_path: Path) -> None:
    """An index brings the folder it lies in, because its links lead there (PEP 503)."""
    (tmp_path / "index" / "simple").mkdir(parents=True)
    (tmp_path / "wheels").mkdir()
    settings = {
        "PIP_EXTRA_INDEX_URL": f"file://{tmp_path}/index/simple https://b.example/simple",
        "PIP_FIND_LINKS": f"{tmp_path}/wheels {tmp_path}/missing relative",
        "PIP_TIMEOUT": "60",
    }
    assert list(named_paths(settings)) == [tmp_path / "index", tmp_path / "wheels"]


def test_the_whole_root_is_never_carried_in() -> None:
    """An index right below / would bring / itself."""
    assert list(named_paths({"PIP_INDEX_URL": "file:///tmp"})) == []


def test_certificates_lie_where_ca_certificates_does_not_write(tmp_path: Path) -> None:
    """The bundle pip trusts is found inside by every client that is told by a variable."""
    bundle = tmp_path / "bundle.crt"
    bundle.write_text("x")
    inside = carried({"PATH": "/bin", "CI": "true", "https_proxy": "http://p:1"}, f"global.cert='{bundle}'\n")
    assert inside.read_only == {str(bundle): CERTIFICATES}
    assert inside.environment == {
        "CI": "true",
        "https_proxy": "http://p:1",
        "SSL_CERT_FILE": CERTIFICATES,
        "PIP_CERT": CERTIFICATES,
        "CURL_CA_BUNDLE": CERTIFICATES,
        "REQUESTS_CA_BUNDLE": CERTIFICATES,
    }


@given(st.dictionaries(st.text(), st.text()))
def test_any_value_of_a_setting_is_looked_at_without_harm(settings: dict[str, str]) -> None:
    """Only what is an existing absolute path is taken."""
    assert all(path.is_absolute() for path in named_paths(settings))
