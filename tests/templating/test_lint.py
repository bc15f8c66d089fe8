"""Lint: one folder under lint/ for each rule, laid over a clean template and the shipped layout, breaks exactly it."""

import shutil
from pathlib import Path

import pytest

from postroom.templating import Brand, Catalogue
from postroom.templating.lint import RULES, LintFinding, check

CASES = Path(__file__).parent / "lint"


def found(case: Path, tmp_path: Path, shipped: Path, brand: Brand) -> list[LintFinding]:
    clean = tmp_path / "clean"
    shutil.copytree(CASES / "clean", clean)
    shutil.copytree(shipped / "_layout", clean / "_layout")
    if case.name == "missing-preheader":
        # What is missing cannot be laid over what is there.
        (clean / "sample/en/preheader.txt").unlink()
    return check(Catalogue.load([case, clean], brand), "sample")


def test_clean_template_has_no_findings(tmp_path: Path, shipped: Path, brand: Brand) -> None:
    """What the other cases stand on breaks no rule."""
    assert found(tmp_path / "nothing", tmp_path, shipped, brand) == []


@pytest.mark.parametrize("rule", sorted(RULES))
def test_template_made_to_break_one_rule_breaks_exactly_that_one(
    rule: str, tmp_path: Path, shipped: Path, brand: Brand
) -> None:
    """Each finding says where, what and how to mend it; no other rule is set off by the same fault."""
    findings = found(CASES / rule, tmp_path, shipped, brand)
    assert {finding.rule for finding in findings} == {rule}
    for finding in findings:
        assert str(finding).startswith("sample/")
        assert f"[{rule}]\n  Mend: " in str(finding)


def test_shipped_templates_have_no_findings(shipped: Path, brand: Brand) -> None:
    """What we ship holds to the rules we give, whatever the brand's colour and whether it has support and address."""
    for one in (brand, Brand("Example", "https://www.example.org/", "", "", "#ffd60a")):
        catalogue = Catalogue.load([shipped], one)
        assert [finding for name in catalogue.names() for finding in check(catalogue, name)] == []


def test_every_rule_is_documented_and_no_other(shipped: Path) -> None:
    """The table in docs/templates.md is the rules there are."""
    docs = (shipped.parent / "docs/templates.md").read_text("utf-8")
    table = docs.split("| rule |", 1)[1].split("\n\n", 1)[0]
    assert {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")} == RULES
