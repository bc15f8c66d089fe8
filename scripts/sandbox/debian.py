"""A bare Debian: its base made by mmdebstrap and kept, and what of the host's settings it needs to reach the world.

Nothing about a particular network is written in the project. What this host uses to install packages is asked
for and carried in: the Debian mirrors and connection settings of apt, the settings of pip with the folders
they name, proxies, and the bundle of trusted certificates.

Flow:    base() once -> booted_debian.py
Source:  mmdebstrap(1), apt-get(8) indextargets, apt-config(8), pip's `config list`
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.process import BedError

PACKAGES = ("systemd", "systemd-sysv", "dbus")
"""What a bare Debian needs to boot; everything else the scripts have to install themselves."""

INDEX_FIELDS = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"

APT_SETTINGS = re.compile(r"Acquire::(https?|ftp|Retries|Check-Valid-Until|Check-Date)\b")
"""What of the host's apt settings has to do with reaching mirrors: proxies, certificates, dates of a frozen mirror."""

CERTIFICATES = "/opt/host-certificates.crt"
"""Where the host's bundle lies inside; not in /etc/ssl/certs, which ca-certificates writes anew."""

CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
PASSED_ON = re.compile(r"CI|LANG|TERM|NO_COLOR|(https?|ftp|no|all)_proxy", re.IGNORECASE)


@dataclass(frozen=True)
class Carried:
    """What goes into the machine with us."""

    environment: Mapping[str, str]
    read_only: Mapping[str, str]
    """Host path to path inside."""


def mirrors(targets: str, suite: str) -> list[str]:
    """Lines of sources.list for this suite, from what `apt-get indextargets` prints as INDEX_FIELDS.

    Empty when the host has none: then mmdebstrap's own default serves.
    """
    lines = []
    for target in targets.splitlines():
        origin, codename, uri, release, component = target.split("|")
        if origin == "Debian" and re.fullmatch(rf"{re.escape(suite)}(-updates|-security)?", codename):
            lines.append(f"deb {uri} {release} {component}")
    return lines


def apt_settings(dump: str) -> list[str]:
    """The lines of `apt-config dump` that have to do with reaching mirrors."""
    return [line for line in dump.splitlines() if APT_SETTINGS.match(line) and not line.endswith(' "";')]


def pip_environment(config_list: str) -> dict[str, str]:
    """The settings of `pip config list` as environment variables; a later line wins, as with pip.

    Source: pip's documentation, "Configuration": `extra-index-url` is PIP_EXTRA_INDEX_URL.
    """
    environment = {}
    for line in sorted(config_list.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if section in ("global", "install", ":env:"):
            # pip prints values as Python literals; shlex reads the quoted ones as the shell would.
            environment[f"PIP_{option.upper().replace('-', '_')}"] = " ".join(shlex.split(value))
    return environment


def named_paths(environment: Mapping[str, str]) -> Iterator[Path]:
    """The folders and files that pip's settings name, as far as they exist."""
    for value in environment.values():
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            # An index names its files by relative links, usually in a folder beside it (PEP 503).
            if word.startswith("file://"):
                path = path.parent
            if path.is_absolute() and path != Path("/") and path.exists():
                yield path


def carried(environment: Mapping[str, str], pip: str) -> Carried:
    """What of the host goes into the machine.

    Args:
        environment: ours.
        pip: the output of `pip config list`.
    """
    inside = {name: value for name, value in environment.items() if PASSED_ON.fullmatch(name)}
    pip_settings = pip_environment(pip)
    bundle = pip_settings.pop("PIP_CERT", environment.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    read_only = {str(path): str(path) for path in named_paths(pip_settings)}
    if Path(bundle).exists():
        read_only[bundle] = CERTIFICATES
        inside.update(dict.fromkeys(CERTIFICATE_VARIABLES, CERTIFICATES))
    return Carried({**inside, **pip_settings}, read_only)


def base(cache: Path, suite: str) -> Path:
    """The root folder of a bare Debian, made when it is not there yet (20 to 40 s).

    Args:
        cache: where bases are kept, one folder for each suite, package list and set of apt settings.

    Raises:
        BedError: mmdebstrap failed.
    """
    sources = mirrors(asked("apt-get", "indextargets", "--format", INDEX_FIELDS, "Created-By: Packages"), suite)
    settings = apt_settings(asked("apt-config", "dump"))
    recipe = "\n".join([suite, *PACKAGES, *sources, *settings])
    root = cache / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if root.exists():
        return root
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f"{root.name}.unfinished"
    if unfinished.exists():
        shutil.rmtree(unfinished)
    options = [f"--aptopt={setting}" for setting in settings]
    arguments = ["--quiet", "--variant=apt", "--format=directory", f"--include={','.join(PACKAGES)}", *options]
    done = subprocess.run(
        ["mmdebstrap", *arguments, suite, unfinished, *(["-"] if sources else [])],
        input="".join(f"{source}\n" for source in sources),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode != 0:
        raise BedError(f"mmdebstrap made no {suite}: {done.stdout.strip()[-1000:]}")
    os.rename(unfinished, root)
    return root


def asked(*command: str) -> str:
    """What a command of the host prints; nothing when it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
