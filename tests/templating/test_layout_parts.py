"""The parts of the layout: what each makes of what it is given, and that it nests."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue, Logo, Template

MakeTemplate = Callable[[Mapping[str, str]], Template]
IMPORT = '{% extends "_layout/layout.html" %}{% from "_layout/macros.html" import code, facts, lines, notice %}'
MANIFEST = """\
stream: transactional
description: Made by a test.
default_locale: en
variables:
  name: {type: string, required: true, description: d, example: Ada}
  due: {type: date, description: d, example: "2026-11-24"}
  tax: {type: money, description: d, example: {amount: "4.50", currency: EUR}}
  total: {type: money, description: d, example: {amount: "28.50", currency: EUR}}
  items:
    type: list
    required: true
    description: d
    fields:
      description: {type: string, required: true, description: d, example: x}
      quantity: {type: integer, description: d, example: 2}
      unit_price: {type: money, description: d, example: {amount: "12.00", currency: EUR}}
      amount: {type: money, required: true, description: d, example: {amount: "24.00", currency: EUR}}
    example: [{description: x, amount: {amount: "1.00", currency: EUR}}]
"""
EURO = {"currency": "EUR"}
DATA = {
    "name": "<b>Ada</b>",
    "total": {"amount": "28.50", **EURO},
    "items": [
        {
            "description": "Pens from evil.example",
            "quantity": 2,
            "unit_price": {"amount": "12.00", **EURO},
            "amount": {"amount": "24.00", **EURO},
        },
        {"description": "Postage", "amount": {"amount": "4.50", **EURO}},
    ],
}


class Cells(HTMLParser):
    """The words of each cell, header cells with their scope; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"br", "meta", "img"}:
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append(f"{dict(attrs).get('scope') or ''}:")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open) and data.strip():
            self.cells[-1] += data.strip().replace("\u00a0", " ")


def made(make: MakeTemplate, basis: Path, content: str, data: Mapping[str, object]) -> list[str]:
    layout = {f"_layout/{file.name}": file.read_text("utf-8") for file in (basis / "_layout").iterdir()}
    body = f"{IMPORT}{{% block content %}}{content}{{% endblock %}}"
    html = make({**layout, "template.yaml": MANIFEST, "en/body.html": body}).render("en", data).html
    return Cells(html).cells


def test_facts_are_rows_with_headings_and_without_what_is_absent(make: MakeTemplate, basis: Path) -> None:
    """A screen reader says the label with the value; an absent date makes no empty row; values are escaped."""
    cells = made(make, basis, '{{ facts([("Name", name), ("Due", due|date), ("Tax", tax|money)]) }}', DATA)
    assert cells[-3:-1] == ["row:Name", ":<b>Ada</b>"]
    assert not any("Due" in cell or "Tax" in cell for cell in cells)


def test_lines_show_quantities_amounts_and_the_total_last(make: MakeTemplate, basis: Path) -> None:
    """Amounts by language; what was ordered cannot carry a link; an absent tax makes no row."""
    sums = '{{ lines("Item", "Amount", items, [("Tax", tax), ("Total", total)]) }}'
    assert made(make, basis, sums, DATA)[-9:-1] == [
        "col:Item",
        "col:Amount",
        ":Pens from evil[.]example2 × €12.00",  # noqa: RUF001 - the sign of multiplication
        ":€24.00",
        ":Postage",
        ":€4.50",
        "row:Total",
        ":€28.50",
    ]


@pytest.mark.parametrize("tone", ["info", "warning", "critical"])
def test_notice_has_the_ground_of_its_tone(make: MakeTemplate, basis: Path, tone: str) -> None:
    """Each tone is one cell with its own style on the tag."""
    layout = {f"_layout/{file.name}": file.read_text("utf-8") for file in (basis / "_layout").iterdir()}
    body = f'{IMPORT}{{% block content %}}{{% call notice("{tone}") %}}Mind{{% endcall %}}{{% endblock %}}'
    html = make({**layout, "template.yaml": MANIFEST, "en/body.html": body}).render("en", DATA).html
    Cells(html)
    cell = html.split(f'class="notice-{tone}"')[0].rpartition("<td")[2]
    assert "background-color: #" in cell
    assert "border-left: 4px solid #" in cell


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\x00\x00\x00"


def test_logo_stands_for_the_name_and_travels_with_the_mail(tmp_path: Path, basis: Path, brand: Brand) -> None:
    """It is named by its content, has the name as alternative text, and is shown at half its size."""
    (tmp_path / "logo.png").write_bytes(png(400, 96))
    logo = Logo.read(tmp_path / "logo.png", "www.example.org")
    assert (logo.kind, logo.width, logo.height) == ("png", 200, 48)
    data = {"first_name": "Ada", "action_url": "https://www.example.org/"}
    mail = Catalogue.load([basis], replace(brand, logo=logo)).get("welcome").render("en", data)
    assert f'src="cid:{logo.cid}" alt="Example Books" width="200" height="48"' in mail.html
    assert mail.logo is logo
    assert Catalogue.load([basis], brand).get("welcome").render("en", data).logo is None


@pytest.mark.parametrize(
    ("octets", "kind", "size"),
    [
        (b"GIF89a" + struct.pack("<HH", 48, 24), "gif", (48, 24)),
        (b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc2\x00\x0b\x08\x00\x18\x00\x30", "jpeg", (48, 24)),
        (png(4800, 24), "png", (240, 1)),
    ],
)
def test_logo_may_be_a_gif_or_jpeg_and_is_never_wider_than_a_phone(
    tmp_path: Path, octets: bytes, kind: str, size: tuple[int, int]
) -> None:
    """The size is read from the file, so that nothing moves when it is shown."""
    (tmp_path / "logo").write_bytes(octets)
    logo = Logo.read(tmp_path / "logo", "example.org")
    assert (logo.kind, (logo.width, logo.height)) == (kind, size)


@pytest.mark.parametrize(
    "octets",
    [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n", png(0, 5), b"GIF89a", b"\xff\xd8", b"\xff\xd8" + b"\xff\xe0\x00\x00" * 9,
     b"\x89PNG\r\n\x1a\n" + b"x" * 50_000],
)  # fmt: skip
def test_what_is_no_logo_is_refused_with_the_way_to_mend_it(tmp_path: Path, octets: bytes) -> None:
    """Nothing is sent that programs would show as a broken image."""
    (tmp_path / "logo").write_bytes(octets)
    with pytest.raises(ValueError, match=r"save it as PNG|make it smaller"):
        Logo.read(tmp_path / "logo", "example.org")
    with pytest.raises(ValueError, match="cannot be read"):
        Logo.read(tmp_path / "nowhere", "example.org")


@pytest.mark.parametrize(
    ("support", "link"),
    [
        ("help@example.org", "mailto:help@example.org"), ("https://example.org/help", "https://example.org/help"),
        ("+49 30 1234-567", "tel:+49301234567"), ("our shop", ""), ("", ""),
    ],
)  # fmt: skip
def test_support_leads_to_mail_page_or_telephone(brand: Brand, support: str, link: str) -> None:
    """Whatever the operator offers can be clicked, and what is none of them is only shown."""
    assert replace(brand, support=support).support_link == link
