"""A store of each engine, empty, on its own event loop."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.event_loop import Run

from postroom.store.shared.interface import SharedStore
from postroom.store.shared.sqlite import SqliteSharedStore


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the SQLite engine."""
    folder = tmp_path / "shared"
    SqliteSharedStore.init(folder)
    return folder


@pytest.fixture(params=["sqlite"])
def shared_store(request: pytest.FixtureRequest, run: Run) -> Iterator[SharedStore]:
    """The contract: each engine passes every test that asks for this fixture."""
    store: SharedStore
    match request.param:
        case "sqlite":
            store = SqliteSharedStore(request.getfixturevalue("folder"))
        case engine:
            raise AssertionError(engine)
    yield store
    run(store.close())
