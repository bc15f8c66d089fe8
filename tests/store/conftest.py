"""A store of each engine, empty, on its own event loop."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.event_loop import Run

from postroom.store.limits.interface import Notes, Takes
from postroom.store.shared.interface import Beats, Suppressions
from postroom.store.shared_store import SharedStore
from postroom.store.sqlite_store import init_sqlite_store, open_sqlite_store


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of the SQLite engine."""
    folder = tmp_path / "shared"
    init_sqlite_store(folder)
    return folder


@pytest.fixture(params=["sqlite"])
def shared_store(request: pytest.FixtureRequest, run: Run) -> Iterator[SharedStore]:
    """The contract: each engine passes every test that asks for this fixture."""
    store: SharedStore
    match request.param:
        case "sqlite":
            store = open_sqlite_store(request.getfixturevalue("folder"))
        case engine:
            raise AssertionError(engine)
    yield store
    run(store.close())


@pytest.fixture
def takes(shared_store: SharedStore) -> Takes:
    return shared_store.takes


@pytest.fixture
def notes(shared_store: SharedStore) -> Notes:
    return shared_store.notes


@pytest.fixture
def suppressions(shared_store: SharedStore) -> Suppressions:
    return shared_store.suppressions


@pytest.fixture
def beats(shared_store: SharedStore) -> Beats:
    return shared_store.beats
