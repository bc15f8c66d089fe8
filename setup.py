"""Packaging: `pip install .` gives the `postroom` command, with the templates, the pieces for Postfix and the units.

They are installed below sys.prefix/share/postroom, where config/paths.py finds them; an editable install does not
copy them and uses those of the checkout.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def shipped(folder: str) -> list[tuple[str, list[str]]]:
    """data_files entries for a folder with all that is below it."""
    files = sorted(path for path in (ROOT / folder).rglob("*") if path.is_file())
    folders = sorted({path.parent for path in files})
    return [
        (
            f"share/postroom/{parent.relative_to(ROOT)}",
            [str(path.relative_to(ROOT)) for path in files if path.parent == parent],
        )
        for parent in folders
    ]


def requirements() -> list[str]:
    """The names in requirements.in; requirements.lock pins them."""
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def version() -> str:
    """The version the package itself gives."""
    found = re.search(r'__version__ = "(.+)"', (ROOT / "daemons/postroom/__init__.py").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


setup(
    name="postroom",
    version=version(),
    description="The outbound mail room for the Postfix you already run",
    license="MIT",
    python_requires=">=3.11",
    package_dir={"": "daemons"},
    packages=find_packages("daemons"),
    package_data={"postroom.monitor": ["pages/*"], "postroom.setup": ["first.yaml"]},
    install_requires=requirements(),
    data_files=[*shipped("templates"), *shipped("postfix-conf"), *shipped("systemd")],
    entry_points={"console_scripts": ["postroom = postroom.ctl.main:main"]},
)
