"""The tables of shared.db. A migration is only ever added, never edited."""

from postroom.store.sqlite.timed_file import CLOCK_SCHEMA

SHARED = (
    CLOCK_SCHEMA
    + """
CREATE TABLE beats (
    word    TEXT NOT NULL,
    host    TEXT NOT NULL,
    pid     INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    samples TEXT NOT NULL,  -- JSON, metric name -> value
    PRIMARY KEY (word, host, pid)
) STRICT, WITHOUT ROWID;
""",
    """
CREATE TABLE suppressions (
    recipient_hash  TEXT PRIMARY KEY,
    domain          TEXT NOT NULL,
    hint            TEXT NOT NULL,
    cause           TEXT NOT NULL,
    enhanced_status TEXT,
    evidence        TEXT NOT NULL,
    source          TEXT NOT NULL,
    added_at        REAL NOT NULL,  -- Unix seconds
    expires_at      REAL            -- NULL is never
) STRICT, WITHOUT ROWID;
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;
""",
    # Entries tell their rule, stream and wave.
    """
ALTER TABLE suppressions RENAME TO suppressions_before;
DROP INDEX suppressions_by_expiry;
CREATE TABLE suppressions (
    recipient_hash  TEXT NOT NULL,
    domain          TEXT NOT NULL,
    hint            TEXT NOT NULL,
    cause           TEXT NOT NULL,
    enhanced_status TEXT,
    evidence        TEXT NOT NULL,
    source          TEXT NOT NULL,
    added_at        REAL NOT NULL,
    expires_at      REAL,
    rule            TEXT NOT NULL,     -- '' where no rule judged
    rule_version    INTEGER NOT NULL,
    stream          TEXT NOT NULL,     -- '' is all mail
    wave            INTEGER,
    is_held         INTEGER NOT NULL,  -- 1: waits for review, not in effect
    PRIMARY KEY (recipient_hash, stream)
) STRICT, WITHOUT ROWID;
INSERT INTO suppressions
    SELECT recipient_hash, domain, hint, cause, enhanced_status, evidence,
           CASE source WHEN 'watcher' THEN 'bounce' ELSE 'manual' END, added_at, expires_at, '', 0, '', NULL, 0
    FROM suppressions_before;
DROP TABLE suppressions_before;
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;
""",
    """
CREATE TABLE refusals (
    id              TEXT PRIMARY KEY,  -- of the fact
    recipient_hash  TEXT NOT NULL,
    cause           TEXT NOT NULL,
    rule            TEXT NOT NULL,
    rule_version    INTEGER NOT NULL,
    enhanced_status TEXT NOT NULL,
    evidence        TEXT NOT NULL,     -- masked
    at              REAL NOT NULL,     -- Unix seconds
    is_proof        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refusals_by_recipient ON refusals (recipient_hash, cause, at);
CREATE INDEX refusals_by_time ON refusals (at);
CREATE TABLE good (
    recipient_hash TEXT PRIMARY KEY,
    domain         TEXT NOT NULL,      -- '' where it was lifted by hand
    at             REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX good_by_time ON good (at);
CREATE INDEX good_by_domain ON good (domain, at);
-- What suppressed before this table was proof by itself.
INSERT INTO refusals
    SELECT 'before ' || recipient_hash, recipient_hash, cause, '', 0, coalesce(enhanced_status, ''), evidence,
           added_at, 1
    FROM suppressions WHERE source = 'bounce';
""",
    """
CREATE TABLE waves (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    subject  TEXT NOT NULL,
    state    TEXT NOT NULL,
    began_at REAL NOT NULL,  -- Unix seconds
    last_at  REAL NOT NULL
) STRICT;
CREATE INDEX waves_by_subject ON waves (subject, last_at);
CREATE INDEX suppressions_by_wave ON suppressions (wave) WHERE wave IS NOT NULL;
CREATE INDEX suppressions_by_domain ON suppressions (domain, added_at) WHERE source = 'bounce';
CREATE INDEX suppressions_by_rule ON suppressions (rule, added_at) WHERE source = 'bounce';
""",
)
