PRAGMA user_version = 5;
CREATE TABLE beats (
    word    TEXT NOT NULL,
    host    TEXT NOT NULL,
    pid     INTEGER NOT NULL,
    at_ms   INTEGER NOT NULL,
    samples TEXT NOT NULL,  -- JSON, metric name -> value
    PRIMARY KEY (word, host, pid)
) STRICT, WITHOUT ROWID;
INSERT INTO beats VALUES ('milter', 'mail.example.org', 1001, 4102444890000, '{"postroom_milter_up": 1.0}');
INSERT INTO beats VALUES ('monitor', 'mail.example.org', 1004, 4102444890000, '{"postroom_monitor_up": 1.0}');
INSERT INTO beats VALUES ('policy', 'mail.example.org', 1000, 4102444890000, '{"postroom_policy_up": 1.0}');
INSERT INTO beats VALUES ('submission', 'mail.example.org', 1002, 4102444890000, '{"postroom_submission_up": 1.0}');
INSERT INTO beats VALUES ('watcher', 'mail.example.org', 1003, 4102444890000, '{"postroom_watcher_up": 1.0}');
CREATE TABLE clock (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id   TEXT NOT NULL,
    offset_ms INTEGER NOT NULL  -- Unix time minus CLOCK_BOOTTIME, fixed for this boot
) STRICT;
INSERT INTO clock VALUES (1, '00000000-0000-4000-8000-000000000001', 4102444795000);
CREATE TABLE good (
    recipient_hash TEXT PRIMARY KEY,
    domain         TEXT NOT NULL,      -- '' where it was lifted by hand
    at             REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO good VALUES ('18a7ea37600c796c0406d1dea844e701', '', 4102464800.0);
INSERT INTO good VALUES ('1f2bf5fe2e25bf4b8500e5402c151e75', '', 4102464800.0);
INSERT INTO good VALUES ('2c00124ee1031c168a5c49503b4a4188', '', 4102444863.0);
INSERT INTO good VALUES ('49a77dfd65772c49e02872f3ea5bef0e', '', 4102464800.0);
INSERT INTO good VALUES ('b969eae644003146ecf729fb53658ae5', '', 4102464800.0);
INSERT INTO good VALUES ('d67a02d546279cb941bd96269fe5aa5a', '', 4102464800.0);
INSERT INTO good VALUES ('f204447407cf9098e2b85020e65ed687', 'example.net', 4102444875.0);
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
INSERT INTO refusals VALUES ('fact-1', '4917975beaa303922237129ba86d523b', 'invalid_recipient', 'recipient.unknown', 1, '5.1.1', '550 5.1.1 User unknown', 4102444871.0, 1);
INSERT INTO refusals VALUES ('fact-100', 'a2c3ae8186bd713280c73557ad5bac8c', 'invalid_recipient', 'rule.open.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102444970.0, 1);
INSERT INTO refusals VALUES ('fact-101', '22ea9c33c6f1bac2318a10c768d1c6c1', 'invalid_recipient', 'rule.open.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102444971.0, 1);
INSERT INTO refusals VALUES ('fact-102', '77c63c4fcdd0fca26ea2fe9c3c5be6e7', 'invalid_recipient', 'rule.open.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102444972.0, 1);
INSERT INTO refusals VALUES ('fact-103', '7d16e766a22bcdcd75409e3a5500831c', 'invalid_recipient', 'rule.open.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102444973.0, 1);
INSERT INTO refusals VALUES ('fact-104', 'e44daea913396f44c044e6b1320e040c', 'invalid_recipient', 'rule.open.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102444974.0, 1);
INSERT INTO refusals VALUES ('fact-2', 'b2222c10defcca4c3a5ac260735231b3', 'mailbox_full', 'recipient.full', 1, '5.2.2', '552 5.2.2 Mailbox full', 4102444872.0, 0);
INSERT INTO refusals VALUES ('fact-3', 'b2222c10defcca4c3a5ac260735231b3', 'mailbox_full', 'recipient.full', 1, '5.2.2', '552 5.2.2 Mailbox full', 4102444873.0, 0);
INSERT INTO refusals VALUES ('fact-5000', '9575cca4b79b0343099630db6d44e076', 'invalid_recipient', 'rule.accepted.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102449870.0, 1);
INSERT INTO refusals VALUES ('fact-5001', '36cbade923fe409101cc09189225789e', 'invalid_recipient', 'rule.accepted.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102449871.0, 1);
INSERT INTO refusals VALUES ('fact-5002', '1f74f53a9a5775aa0b1266fde734b0aa', 'invalid_recipient', 'rule.accepted.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102449872.0, 1);
INSERT INTO refusals VALUES ('fact-5003', '3967f2672800172d29ae4fb9fb2cab70', 'invalid_recipient', 'rule.accepted.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102449873.0, 1);
INSERT INTO refusals VALUES ('fact-5004', 'e42895963e7ecea148a35ac8bf67929d', 'invalid_recipient', 'rule.accepted.example', 1, '5.1.1', '550 5.1.1 User unknown', 4102449874.0, 1);
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
INSERT INTO suppressions VALUES ('1f74f53a9a5775aa0b1266fde734b0aa', 'accepted.example', 'u…@accepted.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102449872.0, 4417809872.0, 'rule.accepted.example', 1, '', 2, 0);
INSERT INTO suppressions VALUES ('22ea9c33c6f1bac2318a10c768d1c6c1', 'open.example', 'u…@open.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102444971.0, 4417804971.0, 'rule.open.example', 1, '', 1, 0);
INSERT INTO suppressions VALUES ('36cbade923fe409101cc09189225789e', 'accepted.example', 'u…@accepted.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102449871.0, 4417809871.0, 'rule.accepted.example', 1, '', 2, 0);
INSERT INTO suppressions VALUES ('3967f2672800172d29ae4fb9fb2cab70', 'accepted.example', 'u…@accepted.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102449873.0, 4417809873.0, 'rule.accepted.example', 1, '', 2, 0);
INSERT INTO suppressions VALUES ('4917975beaa303922237129ba86d523b', 'example.net', 'g…@example.net', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102444871.0, 4417804871.0, 'recipient.unknown', 1, '', NULL, 0);
INSERT INTO suppressions VALUES ('75578366a7b6a025f8c299d0f95657ec', 'example.net', 'l…@example.net', 'import', NULL, '', 'import', 4102444860.0, NULL, '', 0, '', NULL, 0);
INSERT INTO suppressions VALUES ('77c63c4fcdd0fca26ea2fe9c3c5be6e7', 'open.example', 'u…@open.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102444972.0, 4417804972.0, 'rule.open.example', 1, '', 1, 0);
INSERT INTO suppressions VALUES ('7d16e766a22bcdcd75409e3a5500831c', 'open.example', 'u…@open.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102444973.0, 4417804973.0, 'rule.open.example', 1, '', 1, 1);
INSERT INTO suppressions VALUES ('9135f9ece7b9cf78b3f648933f5937e8', 'example.net', 'o…@example.net', 'manual', NULL, '', 'manual', 4102444860.0, NULL, '', 0, '', NULL, 0);
INSERT INTO suppressions VALUES ('9575cca4b79b0343099630db6d44e076', 'accepted.example', 'u…@accepted.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102449870.0, 4417809870.0, 'rule.accepted.example', 1, '', 2, 0);
INSERT INTO suppressions VALUES ('a2c3ae8186bd713280c73557ad5bac8c', 'open.example', 'u…@open.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102444970.0, 4417804970.0, 'rule.open.example', 1, '', 1, 0);
INSERT INTO suppressions VALUES ('e42895963e7ecea148a35ac8bf67929d', 'accepted.example', 'u…@accepted.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102449874.0, 4417809874.0, 'rule.accepted.example', 1, '', 2, 0);
INSERT INTO suppressions VALUES ('e44daea913396f44c044e6b1320e040c', 'open.example', 'u…@open.example', 'invalid_recipient', '5.1.1', '550 5.1.1 User unknown', 'bounce', 4102444974.0, 4417804974.0, 'rule.open.example', 1, '', 1, 1);
INSERT INTO suppressions VALUES ('fbfe9fcb901dc99ffacb8737da540fee', 'example.net', 'n…@example.net', 'complaint', NULL, '', 'complaint', 4102444860.0, NULL, '', 0, 'news', NULL, 0);
CREATE TABLE waves (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    subject  TEXT NOT NULL,
    state    TEXT NOT NULL,
    began_at REAL NOT NULL,  -- Unix seconds
    last_at  REAL NOT NULL
) STRICT;
INSERT INTO waves VALUES (1, 'domain:open.example', 'open', 4102444973.0, 4102444974.0);
INSERT INTO waves VALUES (2, 'domain:accepted.example', 'accepted', 4102449873.0, 4102449874.0);
INSERT INTO waves VALUES (3, 'domain:undone.example', 'undone', 4102454873.0, 4102454874.0);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES ('waves', 3);
CREATE INDEX good_by_domain ON good (domain, at);
CREATE INDEX good_by_time ON good (at);
CREATE INDEX refusals_by_recipient ON refusals (recipient_hash, cause, at);
CREATE INDEX refusals_by_time ON refusals (at);
CREATE INDEX suppressions_by_domain ON suppressions (domain, added_at) WHERE source = 'bounce';
CREATE INDEX suppressions_by_expiry ON suppressions (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX suppressions_by_rule ON suppressions (rule, added_at) WHERE source = 'bounce';
CREATE INDEX suppressions_by_wave ON suppressions (wave) WHERE wave IS NOT NULL;
CREATE INDEX waves_by_subject ON waves (subject, last_at);
