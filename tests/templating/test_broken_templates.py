"""Folders that cannot be used, one under broken/ for each way to be wrong, laid over the shipped templates."""

from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue, TemplatesBroken

CASES = sorted((Path(__file__).parent / "broken").iterdir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_broken_folder_is_refused_with_every_fault_named(case: Path, basis: Path, brand: Brand) -> None:
    """File, line, what is wrong and how to mend it, of all faults at once, word for word as in `expected`."""
    with pytest.raises(TemplatesBroken) as broken:
        Catalogue.load([case / "templates", basis], brand)
    assert str(broken.value).replace(f"{case}/", "") + "\n" == (case / "expected").read_text(encoding="utf-8")


def test_template_nested_beyond_what_python_compiles_is_refused(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """Python's own limits end in a problem like any other, not in a traceback."""
    body = tmp_path / "welcome/en/body.txt"
    body.parent.mkdir(parents=True)
    for text in ("{% if login %}" * 120 + "x" + "{% endif %}" * 120, "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"):
        body.write_text(text, encoding="utf-8")
        with pytest.raises(TemplatesBroken) as broken:
            Catalogue.load([tmp_path, basis], brand)
        assert [(problem.file, problem.what) for problem in broken.value.problems] == [
            (str(body), "it is nested too deeply")
        ]


def test_file_that_is_too_large_is_refused(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """Of a file of any size only the first 256 KiB are read."""
    body = tmp_path / "welcome/en/body.txt"
    body.parent.mkdir(parents=True)
    body.write_bytes(b"x" * (256 * 1024 + 1))
    with pytest.raises(TemplatesBroken, match="is larger than 262144 bytes"):
        Catalogue.load([tmp_path, basis], brand)


def test_unreadable_file_does_not_let_the_shipped_one_through(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """An override that cannot be opened is a fault: the operator meant it to be used."""
    body = tmp_path / "welcome/en/body.txt"
    body.parent.mkdir(parents=True)
    body.symlink_to(tmp_path / "nowhere")
    with pytest.raises(TemplatesBroken, match="cannot be read: No such file"):
        Catalogue.load([tmp_path, basis], brand)


def test_folders_without_any_template_are_refused(tmp_path: Path, brand: Brand) -> None:
    """A misspelt folder does not make a catalogue that knows nothing."""
    with pytest.raises(TemplatesBroken, match="there are no templates"):
        Catalogue.load([tmp_path / "nowhere", tmp_path], brand)
