PRAGMA user_version = 5;
CREATE TABLE checkpoint (
        began_at    REAL PRIMARY KEY,
        asked_at    REAL NOT NULL,
        clear_since REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO checkpoint VALUES (4102444847.0, 4102444848.0, 4102444831.0);
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
        changed_at      REAL NOT NULL, fault TEXT,
        PRIMARY KEY (queue, recipient_hash)
    ) STRICT, WITHOUT ROWID;
INSERT INTO delivery VALUES (1, 'f204447407cf9098e2b85020e65ed687', 'example.net', 'j…@example.net', NULL, 'delivered', '2.0.0', '250 2.0.0 Ok', 'mx.example.net[192.0.2.25]:25', 1, 4102444820.0, NULL);
INSERT INTO delivery VALUES (2, '4917975beaa303922237129ba86d523b', 'example.net', 'g…@example.net', NULL, 'bounced', '5.1.1', '550 5.1.1 User unknown', 'mx.example.net[192.0.2.25]:25', 1, 4102444820.0, NULL);
INSERT INTO delivery VALUES (3, 'b2222c10defcca4c3a5ac260735231b3', 'example.net', 'f…@example.net', NULL, 'deferred', '4.2.2', '452 4.2.2 Mailbox full', 'mx.example.net[192.0.2.25]:25', 1, 4102444820.0, '["mailbox_full", "after", "recipient.full", 2]');
INSERT INTO delivery VALUES (4, 'bbd14db972e8cff84300d33e8dd027ba', 'example.net', 'l…@example.net', NULL, 'bounced', '5.1.1', '550 5.1.1 User unknown', 'mx.example.net[192.0.2.25]:25', 1, 4102444841.0, NULL);
INSERT INTO delivery VALUES (5, '', '', '', NULL, 'untracked', '', 'lines that are missing from Postfix''s log hide its end', '', 0, 4102444833.0, NULL);
INSERT INTO delivery VALUES (6, '', '', '', NULL, 'discarded', '', 'deleted from Postfix''s queue by an operator', '', 0, 4102444833.0, NULL);
INSERT INTO delivery VALUES (7, 'b066e7fd05e22e68b29aca6a35ac4df2', 'example.net', 'e…@example.net', NULL, 'expired', '4.2.2', '452 4.2.2 Mailbox full', 'mx.example.net[192.0.2.25]:25', 1, 4102444834.0, '["mailbox_full", "after", "recipient.full", 2]');
INSERT INTO delivery VALUES (8, '67f35f9cbfe16dae7c163babce0694e6', 'example.net', 'f…@example.net', NULL, 'bounced', '5.1.1', '550 5.1.1 User unknown', 'mx.example.net[192.0.2.25]:25', 1, 4102444820.0, NULL);
CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value ANY NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('covered_since', 4102444831.0);
INSERT INTO meta VALUES ('gaps', 1);
INSERT INTO meta VALUES ('instance', 'postfix');
INSERT INTO meta VALUES ('read_at', 4102444851.0);
INSERT INTO meta VALUES ('reconciled_at', 4102444845.0);
INSERT INTO meta VALUES ('reconciled_gaps', 1);
INSERT INTO meta VALUES ('standing', 'boot-1 journal');
INSERT INTO meta VALUES ('stopping', 'postfix');
CREATE TABLE position (
        source   TEXT PRIMARY KEY,
        position TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO position VALUES ('/var/log/mail.log', 'file-1');
INSERT INTO position VALUES ('journal', 'cursor-2');
CREATE TABLE queue (
        id       INTEGER PRIMARY KEY,
        queue_id TEXT NOT NULL,
        token    TEXT NOT NULL,     -- of the attempt (mail/tokens.py)
        seen_at  REAL NOT NULL,     -- last; Unix seconds, as all times here
        ended_at REAL
    , recipients INTEGER NOT NULL DEFAULT 1, instance TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO queue VALUES (1, '4Delivered1', 'praaaaaaaaaaaadol2nofncmtdwq', 4102444830.0, 4102444830.0, 1, 'postfix');
INSERT INTO queue VALUES (2, '4Bounced002', 'praaaaaaaaaaaafol2iupn3v2uti', 4102444830.0, 4102444830.0, 1, 'postfix');
INSERT INTO queue VALUES (3, '4Deferred03', 'praaaaaaaaaaaahol2ebhg6eq2wa', 4102444830.0, NULL, 1, 'postfix');
INSERT INTO queue VALUES (4, '4BouncedLate', 'praaaaaaaaaaaajol2edfl2nd65y', 4102444840.0, 4102444840.0, 1, 'postfix');
INSERT INTO queue VALUES (5, '4Untracked8', 'praaaaaaaaaaaarol24qkrolfaoi', 4102444840.0, 4102444840.0, 1, 'postfix');
INSERT INTO queue VALUES (6, '4Discarded9', 'praaaaaaaaaaaatol25geq7t6tga', 4102444840.0, 4102444840.0, 1, 'postfix');
INSERT INTO queue VALUES (7, '4Expired010', 'praaaaaaaaaaaavol2jfvhjb46ni', 4102444840.0, 4102444840.0, 1, 'postfix');
INSERT INTO queue VALUES (8, '4FromAFile1', 'praaaaaaaaaaaa5ol2vnqxssxi6y', 4102444851.0, NULL, 1, 'postfix');
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
INSERT INTO report VALUES ('r-1', 'praaaaaaaaaaaajol2edfl2nd65y', 'bounce', '["bbd14db972e8cff84300d33e8dd027ba"]', '5.1.1', '550 5.1.1 User unknown', '["invalid_recipient", "now", "recipient.unknown", 1]', 4102444841.0, 0);
INSERT INTO report VALUES ('r-2', 'praaaaaaaaaaaahol2ebhg6eq2wa', 'bounce', '[]', '5.2.2', '552 5.2.2 Mailbox full', '["mailbox_full", "after", "recipient.full", 2]', 4102444842.0, 1);
INSERT INTO report VALUES ('r-3', 'praaaaaaaaaaaadol2nofncmtdwq', 'complaint', '[]', '', 'abuse', '["complaint", "now", "arf", 1]', 4102444843.0, 0);
CREATE TABLE session (
        pid      INTEGER PRIMARY KEY,
        seen_at  REAL NOT NULL            -- when its beginning was read: not before it began
    ) STRICT;
INSERT INTO session VALUES (102, 4102444830.0);
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
        proven          INTEGER NOT NULL, -- 0: the source proves nothing, submission must have seen it too
        shared_at       REAL
    , proof TEXT NOT NULL DEFAULT 'now', rule TEXT NOT NULL DEFAULT '', rule_version INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO share VALUES (2, '2d3e2031998eb8438cca55cd72c812d9', 'praaaaaaaaaaaafol2iupn3v2uti', '4Bounced002', '4917975beaa303922237129ba86d523b', 'example.net', 'g…@example.net', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'journal', 4102444820.0, 1, 4102444850.0, 'now', 'recipient.unknown', 1);
INSERT INTO share VALUES (3, '5348c644d80714942d53124fe1b1576a', 'praaaaaaaaaaaajol2edfl2nd65y', '4BouncedLate', 'bbd14db972e8cff84300d33e8dd027ba', 'example.net', 'l…@example.net', '', '2.0.0', '', 'journal', 4102444820.0, 1, NULL, 'now', '', 0);
INSERT INTO share VALUES (4, 'f496de82267736445a18b385d26015f1', 'praaaaaaaaaaaavol2jfvhjb46ni', '4Expired010', 'b066e7fd05e22e68b29aca6a35ac4df2', 'example.net', 'e…@example.net', 'mailbox_full', '4.2.2', '452 4.2.2 Mailbox full', 'journal', 4102444834.0, 1, NULL, 'after', 'recipient.full', 2);
INSERT INTO share VALUES (5, '3a11143779bb284166ddff43e21ae88e', 'praaaaaaaaaaaajol2edfl2nd65y', '4BouncedLate', 'bbd14db972e8cff84300d33e8dd027ba', 'example.net', 'l…@example.net', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'journal', 4102444841.0, 1, NULL, 'now', 'recipient.unknown', 1);
INSERT INTO share VALUES (6, 'b3c6a120e6ac6fad729d50d98dc89d59', 'praaaaaaaaaaaadol2nofncmtdwq', '4Delivered1', 'f204447407cf9098e2b85020e65ed687', 'example.net', 'j…@example.net', 'complaint', '', 'abuse', 'journal', 4102444843.0, 1, NULL, 'now', 'arf', 1);
INSERT INTO share VALUES (7, '6b1e57e82ff529ddab35db6469cfe18f', 'praaaaaaaaaaaa5ol2vnqxssxi6y', '4FromAFile1', '67f35f9cbfe16dae7c163babce0694e6', 'example.net', 'f…@example.net', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', '/var/log/mail.log', 4102444820.0, 0, NULL, 'now', 'recipient.unknown', 1);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES ('share', 7);
CREATE INDEX delivery_changed_at ON delivery (changed_at, state, enhanced_status);
CREATE INDEX queue_alive ON queue (queue_id) WHERE ended_at IS NULL;
CREATE INDEX queue_seen_at ON queue (seen_at);
CREATE INDEX queue_token ON queue (token);
CREATE INDEX report_taken_at ON report (taken_at);
CREATE INDEX report_waiting ON report (token) WHERE waits = 1;
CREATE INDEX share_added_at ON share (added_at);
CREATE INDEX share_unproven ON share (number) WHERE proven = 0;
CREATE INDEX share_waiting ON share (number) WHERE proven = 1 AND shared_at IS NULL;
