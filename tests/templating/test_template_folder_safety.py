"""What lies in a template folder and is no file of it: never waited for, never read, always named."""

import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue, TemplatesBroken
from postroom.templating.folders import read_regular
from postroom.templating.logo import Logo


def faults(folder: Path, basis: Path, brand: Brand) -> list[tuple[str, str]]:
    """Where and what, of a load that must end by itself."""
    raised: list[TemplatesBroken] = []

    def load() -> None:
        try:
            Catalogue.load([folder, basis], brand)
        except TemplatesBroken as broken:
            raised.append(broken)

    loading = threading.Thread(target=load, daemon=True)
    loading.start()
    loading.join(60)
    assert not loading.is_alive(), "it waits for somebody"
    return [(problem.file, problem.what) for problem in raised[0].problems] if raised else []


def override(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.process
@pytest.mark.parametrize("name", ["welcome/en/body.html", "welcome/template.yaml", "_layout/mail.css", "_layout/x.txt"])
def test_a_fifo_is_named_and_not_waited_for(tmp_path: Path, basis: Path, brand: Brand, name: str) -> None:
    """Nobody writes to it, so whoever opened it would wait for ever."""
    path = override(tmp_path, name)
    os.mkfifo(path)
    assert faults(tmp_path, basis, brand)[0] == (str(path), "is not a regular file")


@pytest.mark.process
def test_a_socket_and_a_device_are_named(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """A link to a device is not followed into it either: /dev/zero has no end."""
    path = override(tmp_path, "welcome/en/body.html")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        assert faults(tmp_path, basis, brand)[0] == (str(path), "is not a regular file")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert faults(tmp_path, basis, brand)[0] == (str(path), "is not a regular file")


@pytest.mark.process
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """What Postroom may read and the writer of the template may not would go out by mail."""
    secret = tmp_path / "secret"
    secret.write_text("the key", encoding="utf-8")
    folder = tmp_path / "templates"
    path = override(folder, "welcome/en/body.txt")
    for link in (secret, Path("../../../secret"), Path("../en/../../../secret")):
        path.symlink_to(link)
        assert faults(folder, basis, brand)[0] == (str(path), "is a link that leads out of the template folder")
        path.unlink()
    shutil.rmtree(path.parent)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "body.txt").write_text("the key", encoding="utf-8")
    path.parent.symlink_to(outside)
    assert faults(folder, basis, brand)[0] == (str(path), "is a link that leads out of the template folder")


@pytest.mark.process
def test_a_link_within_the_folder_and_a_linked_folder_are_used(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """One locale for another, and a release directory behind a link."""
    real = tmp_path / "release-1"
    shutil.copytree(basis / "welcome", real / "welcome")
    (real / "welcome" / "en-GB").symlink_to("en")
    folder = tmp_path / "current"
    folder.symlink_to(real)
    assert faults(folder, basis, brand) == []
    assert "en-GB" in Catalogue.load([folder, basis], brand).get("welcome").locales


@pytest.mark.process
def test_a_folder_of_a_thousand_thousand_files_is_not_read(
    tmp_path: Path, basis: Path, brand: Brand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong folder, such as a home, is named instead."""
    monkeypatch.setattr("postroom.templating.folders.FILES", 500)
    for number in range(501):
        (tmp_path / f"{number}.txt").touch()
    assert faults(tmp_path, basis, brand)[0] == (str(tmp_path), "holds more than 500 files")


def test_a_logo_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """It is read at each load as the templates are."""
    os.mkfifo(tmp_path / "logo.png")
    with pytest.raises(ValueError, match=r"logo\.png is not a regular file"):
        Logo.read(tmp_path / "logo.png", "mail.example.org")


def test_a_file_that_becomes_another_between_look_and_open_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look is at what was opened."""
    path, fifo = tmp_path / "body.txt", tmp_path / "fifo"
    path.touch()
    os.mkfifo(fifo)
    opened = os.open
    monkeypatch.setattr(os, "open", lambda _path, flags: opened(fifo, flags))
    with pytest.raises(ValueError, match="is not a regular file"):
        read_regular(path, 10)
