"""The tables of mail.db. A migration is only ever added, never edited."""

from postroom.mail.states import NEEDS_BODY, WAITING

NEEDS_BODY_SQL = ", ".join(f"'{state}'" for state in NEEDS_BODY)
WAITING_SQL = ", ".join(f"'{state}'" for state in WAITING)
"""These states as SQL has a list."""

MAIL = (
    """
    CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE message (
        id               TEXT PRIMARY KEY,   -- UUIDv7: sorts by the time of acceptance
        client           TEXT NOT NULL,
        message_id       TEXT NOT NULL,
        return_path      TEXT NOT NULL,      -- envelope sender, '*' where the attempt token goes
        accepted_at      REAL NOT NULL,      -- Unix seconds, as all times here
        size             INTEGER NOT NULL,   -- octets of the body
        template         TEXT,
        template_version TEXT
    ) WITHOUT ROWID;
    CREATE INDEX message_accepted_at ON message (accepted_at);

    -- Apart from its message: it goes as soon as no delivery needs it, and is overwritten (secure_delete).
    CREATE TABLE body (
        message TEXT PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
        octets  BLOB NOT NULL
    );

    CREATE TABLE delivery (
        id              INTEGER PRIMARY KEY,
        message         TEXT NOT NULL REFERENCES message (id) ON DELETE CASCADE,
        recipient       TEXT NOT NULL,
        state           TEXT NOT NULL,
        due_at          REAL,                        -- next hand-over; NULL when none is to come
        leased          INTEGER NOT NULL DEFAULT 0,  -- a session of this process has it
        handing         INTEGER NOT NULL DEFAULT 0,  -- the body may be on its way, the answer is not stored yet
        attempts        INTEGER NOT NULL DEFAULT 0,
        token           TEXT,                        -- of the last attempt
        queue_id        TEXT,
        enhanced_status TEXT,
        reason          TEXT,
        changed_at      REAL NOT NULL
    );
    CREATE INDEX delivery_message ON delivery (message);
    CREATE INDEX delivery_due ON delivery (due_at) WHERE due_at IS NOT NULL AND leased = 0;
    CREATE INDEX delivery_waiting ON delivery (message) WHERE due_at IS NOT NULL;
    CREATE INDEX delivery_handing ON delivery (id) WHERE handing = 1;
    CREATE INDEX delivery_leased ON delivery (id) WHERE leased = 1;
    CREATE INDEX delivery_in_doubt ON delivery (id) WHERE state = 'in_doubt';

    -- Every attempt whose body may have left us: a line of Postfix's log or queue with this token tells its end.
    CREATE TABLE attempt (
        token      TEXT PRIMARY KEY,
        delivery   INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
        started_at REAL NOT NULL     -- before the session was opened that it was made in
    ) WITHOUT ROWID;
    CREATE INDEX attempt_delivery ON attempt (delivery);

    CREATE TABLE idem (
        client      TEXT NOT NULL,
        key         TEXT NOT NULL,
        fingerprint BLOB NOT NULL,
        answer      TEXT NOT NULL,
        accepted_at REAL NOT NULL,
        PRIMARY KEY (client, key)
    ) WITHOUT ROWID;
    CREATE INDEX idem_accepted_at ON idem (accepted_at);

    -- How many deliveries are in each state, kept by triggers: asked at every accept, so it must not be counted then.
    CREATE TABLE tally (
        state      TEXT PRIMARY KEY,
        deliveries INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TRIGGER tally_insert AFTER INSERT ON delivery BEGIN
        INSERT INTO tally VALUES (new.state, 1) ON CONFLICT DO UPDATE SET deliveries = deliveries + 1;
    END;
    CREATE TRIGGER tally_update AFTER UPDATE OF state ON delivery WHEN old.state <> new.state BEGIN
        UPDATE tally SET deliveries = deliveries - 1 WHERE state = old.state;
        INSERT INTO tally VALUES (new.state, 1) ON CONFLICT DO UPDATE SET deliveries = deliveries + 1;
    END;
    CREATE TRIGGER tally_delete AFTER DELETE ON delivery BEGIN
        UPDATE tally SET deliveries = deliveries - 1 WHERE state = old.state;
    END;
    """,
    """
    -- The sender as limits count it, hashed; '' in rows from before there were limits of mail.
    ALTER TABLE message ADD COLUMN sender TEXT NOT NULL DEFAULT '';
    """,
    """
    -- The stream of mail; '' where none was named.
    ALTER TABLE message ADD COLUMN stream TEXT NOT NULL DEFAULT '';
    """,
    """
    -- Who a delivery is for in the form that stays (mail/recipients.py). '' in rows from before, until they are opened.
    ALTER TABLE delivery ADD COLUMN recipient_hash TEXT NOT NULL DEFAULT '';
    ALTER TABLE delivery ADD COLUMN hint TEXT NOT NULL DEFAULT '';
    CREATE INDEX delivery_unhashed ON delivery (id) WHERE recipient_hash = '';
    -- In clear only as long as it may have to be handed over: whatever ends it, the address goes in the same commit.
    CREATE TRIGGER delivery_ended AFTER UPDATE OF state ON delivery
    WHEN new.state NOT IN ('accepted', 'deferred', 'in_doubt') AND new.recipient <> '' BEGIN
        UPDATE delivery SET recipient = '' WHERE id = new.id;
    END;
    """,
    """
    -- Apart from its delivery: SQLite overwrites a row that is deleted, but where rows that change move to another page
    -- what they held may stay in the one they left. These rows never change.
    CREATE TABLE address (
        delivery  INTEGER PRIMARY KEY REFERENCES delivery (id) ON DELETE CASCADE,
        recipient TEXT NOT NULL
    ) STRICT;
    INSERT INTO address SELECT id, recipient FROM delivery WHERE recipient <> '';
    DROP TRIGGER delivery_ended;
    ALTER TABLE delivery DROP COLUMN recipient;
    CREATE TRIGGER delivery_ended AFTER UPDATE OF state ON delivery
    WHEN new.state NOT IN ('accepted', 'deferred', 'in_doubt') BEGIN
        DELETE FROM address WHERE delivery = new.id;
    END;
    """,
)
