"""opendkim(8) as a signing milter: another program for what postroom-milter does.

Source: opendkim.conf(5); what is not set here is Debian's /etc/opendkim.conf or the program's own default.
"""

from pathlib import Path
from types import TracebackType
from typing import Self

from sandbox.process import BedError, Recorded, until

PROGRAM = "/usr/sbin/opendkim"


class OpenDkim:
    """One signing OpenDKIM on a Unix socket that everybody may connect to.

    Args:
        folder:   absolute; holds its configuration, socket and output. Made when missing.
        key_file: PEM; read by root only.
        domain:   whose mail is signed.
    """

    def __init__(self, folder: Path, key_file: Path, domain: str, selector: str) -> None:
        self.socket = folder / "milter.sock"
        self._config = folder / "opendkim.conf"
        self._process = Recorded("opendkim", folder)
        self._text = (
            # Its check of the key's folders would refuse a bed below /tmp, which every user may write to.
            f"RequireSafeKeys no\nMode s\nDomain {domain}\nSelector {selector}\nKeyFile {key_file}\n"
            f"Socket local:{self.socket}\nUMask 000\nSyslog yes\nSyslogSuccess yes\n"
            "Canonicalization relaxed/relaxed\nOversignHeaders From\n"
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        self._config.parent.mkdir(parents=True, exist_ok=True)
        self._config.write_text(self._text, encoding="ascii")
        self._process.start([PROGRAM, "-f", "-x", str(self._config)])
        try:
            until(self.socket.is_socket, 10.0, "OpenDKIM's socket", lambda: self._process.exit_status() is None)
        except BedError as error:
            self._process.stop()
            raise BedError(f"{error}; {self._process.last_words()}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()
