"""The mail that goes through all daemons, and the clients that send it as careful clients do.

Half goes by the API, half by SMTP. Of each half 6 parts of 10 come from quiet senders; `busy` and `wide` want more
than they may: the one in messages, the other in recipients.
"""

import smtplib
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random

from tests.endurance.daemons import AllDaemons

from sandbox.daemon import SubmissionDaemon

QUIET_SENDERS = 10
SHARED_GHOSTS = 3
"""Recipients that do not exist and are written to by several messages; all other recipients are written to once."""
KINDS = {"ada": 14, "slow": 2, "ghost": 2, "policy": 1, "full": 1}
"""How the far end answers (tests/watcher/far_end.py), and how often."""
API_CLIENTS, SMTP_CLIENTS = 4, 8
LIMITED_TRIES = 3
"""How often a client of a sender with a limit that binds tries again after "over the limit"."""
PATIENCE_S = 40.0


@dataclass(frozen=True)
class Letter:
    """One message that somebody wants to send."""

    number: int
    door: str
    """socket or smtp."""
    sender: str
    recipients: tuple[str, ...]

    @property
    def is_limited(self) -> bool:
        return self.sender in {"busy", "wide"}


def letters(count: int, random: Random) -> list[Letter]:
    """So many, in an order that is drawn."""
    senders = [f"s{number}" for number in range(QUIET_SENDERS)]
    half = count // 2
    made = []
    for number in range(count):
        door, place = ("socket", number) if number < half else ("smtp", number - half)
        share = place * 10 // half
        if share < 6:
            sender, kinds = (
                senders[place % QUIET_SENDERS],
                random.choices(list(KINDS), list(KINDS.values()), k=random.randint(1, 3)),
            )
        else:
            # What passes of these is counted at the far end, so it takes all of it.
            sender, kinds = ("busy", ["ada"]) if place % 5 < 3 else ("wide", ["ada"] * 3)
        recipients = [_address(kind, number, index, random) for index, kind in enumerate(kinds)]
        made.append(Letter(number, door, sender, tuple(dict.fromkeys(recipients))))
    random.shuffle(made)
    return made


def late_letters(first: int) -> list[Letter]:
    """To each shared ghost and one more recipient, by each door; their numbers begin with `first`."""
    return [
        Letter(number, door, "s0", (f"ghost{ghost + 1}@world.test", f"ada{(number + 1) * 10}@world.test"))
        for door, start in (("socket", first), ("smtp", first + SHARED_GHOSTS))
        for ghost, number in enumerate(range(start, start + SHARED_GHOSTS))
    ]


def _address(kind: str, number: int, index: int, random: Random) -> str:
    if kind == "ghost" and random.random() < 0.6:
        return f"ghost{random.randint(1, SHARED_GHOSTS)}@world.test"
    return f"{kind}{(number + 1) * 10 + index}@world.test"


@dataclass
class Outcomes:
    """What the clients were told."""

    ids: dict[int, str] = field(default_factory=dict)
    """Letter → id of the message the API took."""
    unfit: set[int] = field(default_factory=set)
    """Letters the API refused, for all their recipients were suppressed."""
    sent: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Letter → recipients that Postfix took, with 250 at the end."""
    refused: dict[int, str] = field(default_factory=dict)
    """Letter → the last refusal of a letter that was given up."""
    replies: Counter[str] = field(default_factory=Counter)
    """How often each refusal came by SMTP."""
    lost: Counter[str] = field(default_factory=Counter)
    """Sender → recipients of messages that came to nothing at their end: they may be counted."""

    @property
    def done(self) -> int:
        return len(self.ids) + len(self.unfit) + len(self.sent) + len(self.refused)


class Load:
    """Clients at work."""

    def __init__(self, daemons: AllDaemons) -> None:
        self.outcomes = Outcomes()
        self._daemons = daemons
        self._lock = threading.Lock()
        self._trouble: str | None = None

    def send(self, letters: list[Letter]) -> None:
        """Send all of them, until the last client has its last answer.

        Raises:
            AssertionError: an answer that none should get, or none in time; or somebody else gave up.
        """
        by_api = [letter for letter in letters if letter.door == "socket"]
        by_smtp = [letter for letter in letters if letter.door == "smtp"]
        with ThreadPoolExecutor(API_CLIENTS + SMTP_CLIENTS) as pool:
            works = [pool.submit(self._api_client, by_api[n::API_CLIENTS]) for n in range(API_CLIENTS)]
            works += [pool.submit(self._smtp_client, n, by_smtp[n::SMTP_CLIENTS]) for n in range(SMTP_CLIENTS)]
            for work in works:
                work.result()

    def give_up(self, trouble: str) -> None:
        """End all clients with this error."""
        self._trouble = self._trouble or trouble

    def _be_patient(self, letter: Letter, end: float) -> None:
        if time.monotonic() > end:
            self.give_up(f"letter {letter.number} was not taken: {self.outcomes.replies}")
        assert self._trouble is None, self._trouble
        time.sleep(0.02)

    def _api_client(self, letters: list[Letter]) -> None:
        for letter in letters:
            end = time.monotonic() + PATIENCE_S
            while not self._post(self._daemons.submission, letter):
                self._be_patient(letter, end)

    def _post(self, submission: SubmissionDaemon, letter: Letter) -> bool:
        message = {
            "from": f"{letter.sender}@example.org",
            "to": list(letter.recipients),
            "subject": f"Letter {letter.number}",
            "text": "hello",
        }
        try:
            answer = submission.post(message, key=f"letter-{letter.number}")
        except (OSError, ValueError, AttributeError):
            return False  # killed, or not up yet: the client cannot know, and asks again with the same key
        if answer.status == 503:
            return False
        if answer.status == 422 and answer.document["code"] == "suppressed":
            self.outcomes.unfit.add(letter.number)
            return True
        assert answer.status == 202, answer.document
        self.outcomes.ids[letter.number] = answer.document["id"]
        return True

    def _smtp_client(self, number: int, letters: list[Letter]) -> None:
        port = self._daemons.ports[number % len(self._daemons.ports)]
        client: smtplib.SMTP | None = None
        for letter in letters:
            end, tries = time.monotonic() + PATIENCE_S, 0
            while True:
                try:
                    client = client or _connected(port)
                    taken, refusal = self._transaction(client, letter)
                except (OSError, smtplib.SMTPException):
                    client = None
                    self._be_patient(letter, end)
                    continue
                if refusal is None:
                    self.outcomes.sent[letter.number] = taken
                    break
                # Postfix keeps a session whose milter was lost, and refuses all of it: a client connects anew.
                client.close()
                client = None
                tries += refusal.startswith("450 4.7.1")
                if refusal[0] == "5" or (letter.is_limited and tries > LIMITED_TRIES):
                    self.outcomes.refused[letter.number] = refusal
                    break
                self._be_patient(letter, end)
        if client is not None:
            client.quit()

    def _transaction(self, client: smtplib.SMTP, letter: Letter) -> tuple[tuple[str, ...], str | None]:
        """Try once; returns the recipients that were taken, and the refusal of the whole."""
        code, text = client.mail(f"{letter.sender}@example.org")
        if code != 250:
            return (), self._counted(code, text)
        taken = []
        for recipient in letter.recipients:
            code, text = client.rcpt(recipient)
            if code == 250:
                taken.append(recipient)
            elif code < 500:
                return (), self._counted(code, text)
        if not taken:
            return (), self._counted(code, text)
        octets = (
            f"From: <{letter.sender}@example.org>\r\nMessage-ID: <letter-{letter.number}@client.test>\r\n"
            f"Subject: Letter {letter.number}\r\n\r\nhello\r\n"
        )
        try:
            code, text = client.data(octets.encode("ascii"))
        except (OSError, smtplib.SMTPException):
            code, text = 0, b"lost"
        if code == 250:
            return tuple(taken), None
        if code != 450:
            with self._lock:
                self.outcomes.lost[letter.sender] += len(taken)
        return (), self._counted(code, text)

    def _counted(self, code: int, text: bytes) -> str:
        refusal = f"{code} {text.decode('ascii', 'replace').split()[0]}"
        with self._lock:
            self.outcomes.replies[refusal] += 1
        return refusal


def _connected(port: int) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", port, timeout=60)
    client.ehlo("client.example.com")
    return client
