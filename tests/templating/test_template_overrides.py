"""The operator's folder before the shipped one, file by file; the catalogue's names; the version."""

from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue, TemplateUnknown

DATA = {"first_name": "Ada", "action_url": "https://www.example.org/start"}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_one_file_of_the_operator_replaces_one_shipped_file(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """The rest stays as shipped, and the version tells the two apart."""
    plain = Catalogue.load([tmp_path, basis], brand).get("welcome")
    write(tmp_path / "welcome/en/subject.txt", "Hello {{ first_name }}\n")
    mended = Catalogue.load([tmp_path, basis], brand).get("welcome")

    assert mended.render("en", DATA).subject == "Hello Ada"
    assert mended.render("en", DATA).text == plain.render("en", DATA).text
    assert mended.version != plain.version


def test_layout_is_overridden_like_any_file(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """A changed style sheet shows in the HTML and changes the version of the templates that stand on it."""
    plain = Catalogue.load([basis], brand).get("welcome")
    write(tmp_path / "_layout/mail.css", "h1 { color: #222222 }")
    mended = Catalogue.load([tmp_path, basis], brand).get("welcome")

    assert '<h1 style="color: #222222;">' in mended.render("en", DATA).html
    assert mended.version != plain.version


def test_operator_adds_a_template_beside_the_shipped_ones(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """It uses the shipped layout, and an editor's leavings do not disturb."""
    write(tmp_path / "goodbye/template.yaml", "stream: transactional\ndescription: Says goodbye.\ndefault_locale: en\n")
    write(tmp_path / "goodbye/en/subject.txt", "Goodbye\n")
    write(tmp_path / "goodbye/en/body.txt", "Goodbye.\n")
    write(
        tmp_path / "goodbye/en/body.html",
        '{% extends "_layout/layout.html" %}\n{% block content %}\n<h1>Goodbye</h1>\n{% endblock %}\n',
    )
    write(tmp_path / "goodbye/en/body.html~", "{% broken")
    write(tmp_path / "goodbye/en/.body.html.swp", "{% broken")
    catalogue = Catalogue.load([tmp_path, basis], brand)

    assert catalogue.names() == ["goodbye", "welcome"]
    assert "<title>Goodbye</title>" in catalogue.get("goodbye").render(None, {}).html


def test_version_is_of_the_content_and_not_of_the_place(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """Twelve hexadecimal digits, the same for the same files in another folder and with other line ends."""
    for file in basis.rglob("*.*"):
        copy = tmp_path / file.relative_to(basis)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    here, there = (Catalogue.load([folder], brand).get("welcome").version for folder in (basis, tmp_path))
    assert here == there
    assert len(here) == 12
    assert set(here) <= set("0123456789abcdef")


def test_unknown_template_is_refused_with_the_names_that_come_close(basis: Path, brand: Brand) -> None:
    """A typo is answered with the name that was meant; a long name is not repeated in full."""
    catalogue = Catalogue.load([basis], brand)
    with pytest.raises(TemplateUnknown, match=r"there is no template 'wellcome'; did you mean 'welcome'\?"):
        catalogue.get("wellcome")
    with pytest.raises(TemplateUnknown) as unknown:
        catalogue.get("x" * 1_000_000)
    assert len(str(unknown.value)) < 100
