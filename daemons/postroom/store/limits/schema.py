"""The tables of limits.db. A migration is only ever added, never edited."""

from postroom.store.sqlite.timed_file import CLOCK_SCHEMA

LIMITS = (
    CLOCK_SCHEMA
    + """
CREATE TABLE counters (
    key       TEXT NOT NULL,
    rule      TEXT NOT NULL,
    window_s  INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,  -- last take
    level     INTEGER NOT NULL,  -- burst bucket, units * window_s * 1000
    slots     BLOB NOT NULL,     -- pairs of slot number and units, 64 bit little-endian
    expires_s INTEGER NOT NULL,  -- from then on nothing counts; rounded up to EXPIRY_STEP_S
    PRIMARY KEY (key, rule, window_s)
) STRICT, WITHOUT ROWID;
CREATE INDEX counters_by_expiry ON counters (expires_s);
CREATE TABLE takes (
    id       INTEGER PRIMARY KEY,  -- in order of time
    instance TEXT NOT NULL,
    door     TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    queue_id TEXT,
    usages   TEXT NOT NULL,        -- of the verdict, as JSON
    UNIQUE (instance, door)
) STRICT;
""",
    """
CREATE TABLE notes (
    instance       TEXT NOT NULL,
    door           TEXT NOT NULL,
    recipient_hash TEXT NOT NULL,
    domain         TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    PRIMARY KEY (instance, door, recipient_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_by_time ON notes (at_ms);
""",
    """
CREATE TABLE waiting (
    instance TEXT NOT NULL,
    door     TEXT NOT NULL,
    key      TEXT NOT NULL,
    rule     TEXT NOT NULL,
    owner    TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL,  -- last refused, or held
    held_as  TEXT,              -- queue id, when it is held
    PRIMARY KEY (instance, door)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting_by_key ON waiting (key, at_ms) WHERE held_as IS NULL;
CREATE INDEX waiting_by_time ON waiting (at_ms);
CREATE INDEX waiting_by_queue_id ON waiting (held_as) WHERE held_as IS NOT NULL;
CREATE INDEX takes_by_queue_id ON takes (queue_id) WHERE queue_id IS NOT NULL;
""",
    """
-- Of each of the usages: units, those of them that went into the burst bucket, and the counter's time, 64 bit
-- little-endian. Empty in takes made before this column: they are not given back.
ALTER TABLE takes ADD COLUMN costs BLOB NOT NULL DEFAULT x'';
-- When it was asked for under its queue id.
ALTER TABLE takes ADD COLUMN named_ms INTEGER NOT NULL DEFAULT 0;
-- The take that made the counter: those before it went into one that was forgotten.
ALTER TABLE counters ADD COLUMN first_take INTEGER NOT NULL DEFAULT 0;
""",
)
