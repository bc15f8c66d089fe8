"""The tables of track.db. A migration is only ever added, never edited."""

TRACK = (
    """
    CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- How far a source was read; what was read is in the tables below, in the same commit.
    CREATE TABLE position (
        source   TEXT PRIMARY KEY,
        position TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- One life of a queue id: short ids are used again, so a life ends with "removed".
    CREATE TABLE queue (
        id       INTEGER PRIMARY KEY,
        queue_id TEXT NOT NULL,
        token    TEXT NOT NULL,     -- of the attempt (mail/tokens.py)
        seen_at  REAL NOT NULL,     -- last; Unix seconds, as all times here
        ended_at REAL
    ) STRICT;
    CREATE INDEX queue_alive ON queue (queue_id) WHERE ended_at IS NULL;
    CREATE INDEX queue_token ON queue (token);
    CREATE INDEX queue_seen_at ON queue (seen_at);

    CREATE TABLE delivery (
        queue           INTEGER NOT NULL REFERENCES queue (id) ON DELETE CASCADE,
        recipient_hash  TEXT NOT NULL,
        domain          TEXT NOT NULL,
        hint            TEXT NOT NULL,
        original_hash   TEXT,             -- before Postfix rewrote it
        state           TEXT NOT NULL,
        enhanced_status TEXT NOT NULL,
        reason          TEXT NOT NULL,    -- masked
        relay           TEXT NOT NULL,
        attempts        INTEGER NOT NULL,
        changed_at      REAL NOT NULL,
        PRIMARY KEY (queue, recipient_hash)
    ) STRICT, WITHOUT ROWID;

    -- Sessions of the hand-over listener that have not ended as far as the log says. One smtpd has one at a time.
    CREATE TABLE session (
        pid      INTEGER PRIMARY KEY,
        seen_at  REAL NOT NULL            -- when its beginning was read: not before it began
    ) STRICT;

    -- What the witness has found out; see track_store.py.
    CREATE TABLE checkpoint (
        began_at    REAL PRIMARY KEY,
        asked_at    REAL NOT NULL,
        clear_since REAL NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- Recipients on their way to the suppression list of the shared store.
    CREATE TABLE share (
        number          INTEGER PRIMARY KEY AUTOINCREMENT,
        id              TEXT NOT NULL UNIQUE,
        token           TEXT NOT NULL,
        queue_id        TEXT NOT NULL,
        recipient_hash  TEXT NOT NULL,
        domain          TEXT NOT NULL,
        hint            TEXT NOT NULL,
        cause           TEXT NOT NULL,
        enhanced_status TEXT NOT NULL,
        evidence        TEXT NOT NULL,
        source          TEXT NOT NULL,
        added_at        REAL NOT NULL,
        expires_at      REAL NOT NULL,
        proven          INTEGER NOT NULL, -- 0: the source proves nothing, submission must have seen it too
        shared_at       REAL
    ) STRICT;
    CREATE INDEX share_waiting ON share (number) WHERE proven = 1 AND shared_at IS NULL;
    CREATE INDEX share_unproven ON share (number) WHERE proven = 0;
    CREATE INDEX share_added_at ON share (added_at);
    """,
    """
    -- The figures of a span of time, read from this index alone.
    CREATE INDEX delivery_changed_at ON delivery (changed_at, state, enhanced_status);
    """,
    """
    -- What a judgement rests on goes to the shared store, which alone knows how often and for how long; deliveries
    -- go there too (cause ''), for they put an end to suspicion.
    ALTER TABLE share DROP COLUMN expires_at;
    ALTER TABLE share ADD COLUMN proof TEXT NOT NULL DEFAULT 'now';
    ALTER TABLE share ADD COLUMN rule TEXT NOT NULL DEFAULT '';
    ALTER TABLE share ADD COLUMN rule_version INTEGER NOT NULL DEFAULT 0;
    -- What the last deferral says against the recipient, for the time Postfix gives up (JSON list: cause, proof,
    -- rule, version).
    ALTER TABLE delivery ADD COLUMN fault TEXT;
    """,
    """
    -- As Postfix says it when it takes the mail up: more than one where it rewrote ours.
    ALTER TABLE queue ADD COLUMN recipients INTEGER NOT NULL DEFAULT 1;
    -- The syslog_name of the Postfix that says so; '' where its queue did.
    ALTER TABLE queue ADD COLUMN instance TEXT NOT NULL DEFAULT '';
    """,
    """
    -- What mails to the return path said, one row for each recipient they name.
    CREATE TABLE report (
        id              TEXT PRIMARY KEY,   -- of the mail's octets: one that comes twice counts once
        token           TEXT NOT NULL,
        kind            TEXT NOT NULL,      -- bounce, complaint
        recipients      TEXT NOT NULL,      -- JSON list of hashes
        enhanced_status TEXT NOT NULL,
        reason          TEXT NOT NULL,      -- masked
        fault           TEXT,               -- JSON list (facts.Fault)
        taken_at        REAL NOT NULL,
        waits           INTEGER NOT NULL    -- 1: until the log says what became of the delivery
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX report_waiting ON report (token) WHERE waits = 1;
    CREATE INDEX report_taken_at ON report (taken_at);
    """,
    """
    -- Who wrote it (bounce_report.ReportOrigin), and where that may be bounce(8) the queue id of its mail.
    ALTER TABLE report ADD COLUMN origin TEXT NOT NULL DEFAULT 'remote';
    ALTER TABLE report ADD COLUMN notice TEXT NOT NULL DEFAULT '';
    CREATE INDEX report_token ON report (token);
    CREATE INDEX report_unproven ON report (taken_at) WHERE waits = 1 AND origin = 'notice';

    -- Mails by which bounce(8) has told the sender of a mail of ours, as the log says.
    CREATE TABLE notice (
        queue_id TEXT PRIMARY KEY,
        token    TEXT NOT NULL,
        seen_at  REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX notice_seen_at ON notice (seen_at);

    -- Mail of others with a token of ours as its envelope sender: anybody on this host can read one in the queue.
    CREATE TABLE foreign_mail (
        queue_id TEXT NOT NULL,
        token    TEXT NOT NULL,
        seen_at  REAL NOT NULL,
        PRIMARY KEY (queue_id, token)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX foreign_mail_seen_at ON foreign_mail (seen_at);
    """,
    """
    -- Mail that was refused when it may have been counted: until the shared store has given it back.
    CREATE TABLE refusal (
        number   INTEGER PRIMARY KEY,
        queue_id TEXT NOT NULL,
        began_at REAL NOT NULL,
        at       REAL NOT NULL,    -- of the line
        ended_at REAL,             -- it was counted before, if at all; NULL until that is known
        due_at   REAL NOT NULL     -- when it is looked for
    ) STRICT;
    CREATE INDEX refusal_queue_id ON refusal (queue_id) WHERE ended_at IS NULL;
    CREATE INDEX refusal_due_at ON refusal (due_at);
    """,
)
