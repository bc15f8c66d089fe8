"""An empty outbox, on its own event loop."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.event_loop import Run
from tests.store.outbox.sample_messages import KEY

from postroom.store.outbox.mail_store import MailStore


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def mail_db(tmp_path: Path) -> Path:
    """The file of an empty outbox."""
    path = tmp_path / "submission" / "mail.db"
    MailStore.init(path)
    return path


@pytest.fixture
def mail_store(mail_db: Path, run: Run) -> Iterator[MailStore]:
    store = MailStore.open(mail_db, KEY)
    yield store
    run(store.close())
