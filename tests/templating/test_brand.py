"""The brand: what may be written into mail as the organisation's own."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.templating import Brand
from postroom.templating.brand import _luminance

GOOD = Brand("Example", "https://www.example.org/", "", "", "#1a5fb4")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", " "), ("name", "Example\nBcc: x"), ("url", "www.example.org"), ("url", "javascript:x"),
        ("address", "1 High Street\nExampleton"), ("support", "a@example.org\r\n"), ("colour", "blue"),
        ("colour", "#fff"), ("colour", "#1a5fb4; } x {"), ("colour", "#1a5fb4\n"),
    ],
)  # fmt: skip
def test_brand_that_cannot_be_shown_is_refused_by_field(field: str, value: str) -> None:
    """The error names the field, so that the configuration can be mended."""
    with pytest.raises(ValueError, match=rf"^brand\.{field} "):
        replace(GOOD, **{field: value})  # type: ignore[arg-type] # every field but the logo is text


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.integers(0, 0xFFFFFF))
def test_ink_contrasts_with_any_colour(number: int) -> None:
    """At least 4.5:1 (WCAG 2.2, 1.4.3), whatever colour is configured."""
    brand = replace(GOOD, colour=f"#{number:06x}")
    darker, lighter = sorted((_luminance(brand.colour), _luminance(brand.ink)))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
