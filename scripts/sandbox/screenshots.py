"""Every template as people see it: pictures of all, checked by the browser, axe-core and tidy(1).

    python -m sandbox.screenshots OUT [--samples]

Each template, in each locale, 320 and 600 pixels wide, light and dark; with --samples each sample too.
Writes OUT/NAME-LOCALE-SAMPLE-WIDTH-MODE.png and prints what was found; exit 1 when there is anything.
"""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from postroom.templating import Brand, Catalogue, Rendered
from sandbox.chromium import Chromium

CHECKOUT = Path(__file__).resolve().parents[2]
AXE = CHECKOUT / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (320, 600)
BRAND = Brand(
    "Example Books", "https://www.example.org/", "1 High Street, Exampleton", "support@example.org", "#1a5fb4"
)


class Shot(NamedTuple):
    """One picture to take: its name, and the mail in it."""

    name: str
    mail: Rendered


def shots(catalogue: Catalogue, *, samples: bool) -> Iterator[Shot]:
    """What there is to look at: all locales, with the examples or with every sample."""
    for name in catalogue.names():
        template = catalogue.get(name)
        for locale in sorted(template.locales):
            for trial, data in template.manifest.trials():
                if samples or trial == "examples":
                    yield Shot(f"{name}-{locale}-{trial.replace(' ', '-')}", template.render(locale, data))


def as_shown(mail: Rendered) -> str:
    """The HTML with the logo in it, as a mail program puts it there."""
    if mail.logo is None:
        return mail.html
    data = base64.b64encode(mail.logo.octets).decode()
    return mail.html.replace(f"cid:{mail.logo.cid}", f"data:image/{mail.logo.kind};base64,{data}")


def tidied(html: str) -> list[str]:
    """The errors tidy(1) has, and those of its warnings that are none of HTML 4's habits mail needs.

    Mail has its look in attributes (bgcolor, cellpadding) that HTML5 calls obsolete, for programs that know no others.
    """
    done = subprocess.run(
        ["tidy", "-errors", "-quiet", "-utf8", "--drop-empty-elements", "no", "--show-info", "no"],
        input=html.encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    return [line for line in lines if not any(habit in line for habit in _HABITS)]


_HABITS = (
    "attribute not allowed for HTML5",
    "proprietary attribute",
    'lacks "summary" attribute',
    'attribute "align"',
    'attribute "width"',
)


def examine(browser: Chromium, shot: Shot, width: int, *, dark: bool, axe: str) -> tuple[bytes, list[str]]:
    """The picture of one shot, and what is wrong with it."""
    look = browser.look(as_shown(shot.mail), width=width, dark=dark, axe=axe)
    findings = [f"asks for {url}" for url in look.requests]
    findings += [f"axe: {violation}" for violation in look.violations]
    if look.overflow > 0:
        findings.append(f"is {look.overflow} pixels wider than the window")
    return look.png, findings


def main(out: Path, *, samples: bool) -> int:
    """Take all pictures; gives the exit code."""
    out.mkdir(parents=True, exist_ok=True)
    axe = AXE.read_text(encoding="utf-8")
    catalogue = Catalogue.load([CHECKOUT / "templates"], BRAND)
    taken = wrong = 0
    with Chromium() as browser:
        for shot in shots(catalogue, samples=samples):
            for line in tidied(shot.mail.html):
                wrong += 1
                print(f"{shot.name}: tidy: {line}")
            for width in WIDTHS:
                for dark in (False, True):
                    name = f"{shot.name}-{width}-{'dark' if dark else 'light'}"
                    png, findings = examine(browser, shot, width, dark=dark, axe=axe)
                    (out / f"{name}.png").write_bytes(png)
                    taken += 1
                    wrong += len(findings)
                    for finding in findings:
                        print(f"{name}: {finding}")
    print(f"{taken} pictures in {out}, {wrong} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), samples="--samples" in sys.argv[2:]))
