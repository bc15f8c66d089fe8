PRAGMA user_version = 4;
CREATE TABLE attempt (
        token      TEXT PRIMARY KEY,
        delivery   INTEGER NOT NULL REFERENCES delivery (id) ON DELETE CASCADE,
        started_at REAL NOT NULL     -- before the session was opened that it was made in
    ) WITHOUT ROWID;
INSERT INTO attempt VALUES ('praaaaaaaaaaaadol2nofncmtdwq', 1, 4102444801.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaafol2iupn3v2uti', 2, 4102444802.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaahol2ebhg6eq2wa', 3, 4102444802.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaajol2edfl2nd65y', 5, 4102444802.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaapol22y7cr2sgpa', 10, 4102444807.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaarol24qkrolfaoi', 11, 4102444808.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaatol25geq7t6tga', 12, 4102444809.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaavol2jfvhjb46ni', 13, 4102444810.0);
INSERT INTO attempt VALUES ('praaaaaaaaaaaazol26daxcad2du', 15, 4102444812.0);
CREATE TABLE body (
        message TEXT PRIMARY KEY REFERENCES message (id) ON DELETE CASCADE,
        octets  BLOB NOT NULL
    );
INSERT INTO body VALUES ('03bb2cc3-eb88-7000-8000-000000000005', X'5375626A6563743A206D65737361676520350D0A0D0A48656C6C6F2E0D0A');
INSERT INTO body VALUES ('03bb2cc3-ef70-7000-8000-000000000006', X'5375626A6563743A206D65737361676520360D0A0D0A48656C6C6F2E0D0A');
INSERT INTO body VALUES ('03bb2cc3-f358-7000-8000-000000000007', X'5375626A6563743A206D65737361676520370D0A0D0A48656C6C6F2E0D0A');
INSERT INTO body VALUES ('03bb2cc4-02f8-7000-8000-00000000000b', X'5375626A6563743A206D6573736167652031310D0A0D0A48656C6C6F2E0D0A');
INSERT INTO body VALUES ('03bb2cc4-06e0-7000-8000-00000000000c', X'5375626A6563743A206D6573736167652031320D0A0D0A48656C6C6F2E0D0A');
INSERT INTO body VALUES ('03bb2cc4-0ac8-7000-8000-00000000000d', X'5375626A6563743A206D6573736167652031330D0A0D0A48656C6C6F2E0D0A');
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
    , recipient_hash TEXT NOT NULL DEFAULT '', hint TEXT NOT NULL DEFAULT '');
INSERT INTO delivery VALUES (1, '03bb2cc3-dbe8-7000-8000-000000000001', '', 'queued', NULL, 0, 0, 1, 'praaaaaaaaaaaadol2nofncmtdwq', '4Delivered1', NULL, NULL, 4102444802.0, 'f204447407cf9098e2b85020e65ed687', 'j…@example.net');
INSERT INTO delivery VALUES (10, '03bb2cc3-f358-7000-8000-000000000007', 'doubt@example.net', 'in_doubt', NULL, 0, 0, 1, 'praaaaaaaaaaaapol22y7cr2sgpa', NULL, NULL, 'Postfix closed the connection after the body was sent', 4102444808.0, '8fb1c145bc7f7365ffa341e0127ca3e7', 'd…@example.net');
INSERT INTO delivery VALUES (11, '03bb2cc3-f740-7000-8000-000000000008', '', 'queued', NULL, 0, 0, 1, 'praaaaaaaaaaaarol24qkrolfaoi', '4Untracked8', NULL, NULL, 4102444809.0, '07d4398d96fde91a2e221e68b821404a', 'g…@example.net');
INSERT INTO delivery VALUES (12, '03bb2cc3-fb28-7000-8000-000000000009', '', 'queued', NULL, 0, 0, 1, 'praaaaaaaaaaaatol25geq7t6tga', '4Discarded9', NULL, NULL, 4102444810.0, 'b2372fb2fce22d2dfe2b2a60126fb28f', 'o…@example.net');
INSERT INTO delivery VALUES (13, '03bb2cc3-ff10-7000-8000-00000000000a', '', 'queued', NULL, 0, 0, 1, 'praaaaaaaaaaaavol2jfvhjb46ni', '4Expired010', NULL, NULL, 4102444811.0, 'b066e7fd05e22e68b29aca6a35ac4df2', 'e…@example.net');
INSERT INTO delivery VALUES (14, '03bb2cc4-02f8-7000-8000-00000000000b', 'leased@example.net', 'accepted', 4102444811.0, 1, 0, 0, NULL, NULL, NULL, NULL, 4102444811.0, '60533da050b6bf18a91be06c46f28223', 'l…@example.net');
INSERT INTO delivery VALUES (15, '03bb2cc4-06e0-7000-8000-00000000000c', 'handed@example.net', 'accepted', 4102444812.0, 1, 1, 0, 'praaaaaaaaaaaazol26daxcad2du', NULL, NULL, NULL, 4102444812.0, 'b02afd5ef90389041177ac3a5fda3ae5', 'h…@example.net');
INSERT INTO delivery VALUES (16, '03bb2cc4-0ac8-7000-8000-00000000000d', 'waits@example.net', 'accepted', 4102444813.0, 0, 0, 0, NULL, NULL, NULL, NULL, 4102444813.0, '38fe4c50fc2524e687d5a971346582ae', 'w…@example.net');
INSERT INTO delivery VALUES (17, '03bb2cc4-0ac8-7000-8000-00000000000d', 'waits-too@example.net', 'accepted', 4102444813.0, 0, 0, 0, NULL, NULL, NULL, NULL, 4102444813.0, 'f764949c898519423c96c2cb33df33d5', 'w…@example.net');
INSERT INTO delivery VALUES (2, '03bb2cc3-dfd0-7000-8000-000000000002', '', 'queued', NULL, 0, 0, 1, 'praaaaaaaaaaaafol2iupn3v2uti', '4Bounced002', NULL, NULL, 4102444803.0, '4917975beaa303922237129ba86d523b', 'g…@example.net');
INSERT INTO delivery VALUES (3, '03bb2cc3-dfd0-7000-8000-000000000002', '', 'queued', NULL, 0, 0, 1, 'praaaaaaaaaaaahol2ebhg6eq2wa', '4Deferred03', NULL, NULL, 4102444803.0, 'b2222c10defcca4c3a5ac260735231b3', 'f…@example.net');
INSERT INTO delivery VALUES (4, '03bb2cc3-dfd0-7000-8000-000000000002', '', 'suppressed', NULL, 0, 0, 0, NULL, NULL, '5.7.1', 'suppressed: manual', 4102444802.0, '9135f9ece7b9cf78b3f648933f5937e8', 'o…@example.net');
INSERT INTO delivery VALUES (5, '03bb2cc3-dfd0-7000-8000-000000000002', '', 'queued', NULL, 0, 0, 1, 'praaaaaaaaaaaajol2edfl2nd65y', '4BouncedLate', NULL, NULL, 4102444803.0, 'bbd14db972e8cff84300d33e8dd027ba', 'l…@example.net');
INSERT INTO delivery VALUES (6, '03bb2cc3-e3b8-7000-8000-000000000003', '', 'failed', NULL, 0, 0, 1, NULL, NULL, '5.1.1', 'Postfix: 550 5.1.1 User unknown', 4102444804.0, 'c548e08428082edaa65e7c5a2972ded4', 'r…@example.net');
INSERT INTO delivery VALUES (7, '03bb2cc3-e7a0-7000-8000-000000000004', '', 'suppressed', NULL, 0, 0, 0, NULL, NULL, '5.7.1', 'suppressed: manual', 4102444805.0, '9135f9ece7b9cf78b3f648933f5937e8', 'o…@example.net');
INSERT INTO delivery VALUES (8, '03bb2cc3-eb88-7000-8000-000000000005', 'later@example.net', 'deferred', 4102445400.0, 1, 0, 1, NULL, NULL, '4.3.2', 'Postfix: 451 4.3.2 Try again later', 4102444806.0, 'be78bb7891d9649b3940ea9adab122fa', 'l…@example.net');
INSERT INTO delivery VALUES (9, '03bb2cc3-ef70-7000-8000-000000000006', 'limited@example.net', 'deferred', 4102445700.0, 1, 0, 0, NULL, NULL, '4.7.1', 'Over the limit per-client', 4102444807.0, '2a2e20ae01d2d1c413c5548737a28101', 'l…@example.net');
CREATE TABLE idem (
        client      TEXT NOT NULL,
        key         TEXT NOT NULL,
        fingerprint BLOB NOT NULL,
        answer      TEXT NOT NULL,
        accepted_at REAL NOT NULL,
        PRIMARY KEY (client, key)
    ) WITHOUT ROWID;
INSERT INTO idem VALUES ('shop', 'order-1', X'40CD4A88BA1005FECC429D1FC8A2AE4666C377EA422B736F7EBC884514CD7FB9', '{"id": "03bb2cc3-dbe8-7000-8000-000000000001"}', 4102444801.0);
INSERT INTO idem VALUES ('shop', 'order-13', X'40CD4A88BA1005FECC429D1FC8A2AE4666C377EA422B736F7EBC884514CD7FB9', '{"id": "03bb2cc4-0ac8-7000-8000-00000000000d"}', 4102444813.0);
INSERT INTO idem VALUES ('shop', 'order-5', X'40CD4A88BA1005FECC429D1FC8A2AE4666C377EA422B736F7EBC884514CD7FB9', '{"id": "03bb2cc3-eb88-7000-8000-000000000005"}', 4102444805.0);
CREATE TABLE message (
        id               TEXT PRIMARY KEY,   -- UUIDv7: sorts by the time of acceptance
        client           TEXT NOT NULL,
        message_id       TEXT NOT NULL,
        return_path      TEXT NOT NULL,      -- envelope sender, '*' where the attempt token goes
        accepted_at      REAL NOT NULL,      -- Unix seconds, as all times here
        size             INTEGER NOT NULL,   -- octets of the body
        template         TEXT,
        template_version TEXT
    , sender TEXT NOT NULL DEFAULT '', stream TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
INSERT INTO message VALUES ('03bb2cc3-dbe8-7000-8000-000000000001', 'shop', '03bb2cc3-dbe8-7000-8000-000000000001@example.org', '*@bounces.example.org', 4102444801.0, 30, 'welcome', 'v1', '#704f51ee9ca63f403cb801b937996696', 'news');
INSERT INTO message VALUES ('03bb2cc3-dfd0-7000-8000-000000000002', 'shop', '03bb2cc3-dfd0-7000-8000-000000000002@example.org', '*@bounces.example.org', 4102444802.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-e3b8-7000-8000-000000000003', 'shop', '03bb2cc3-e3b8-7000-8000-000000000003@example.org', '*@bounces.example.org', 4102444803.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-e7a0-7000-8000-000000000004', 'shop', '03bb2cc3-e7a0-7000-8000-000000000004@example.org', '*@bounces.example.org', 4102444804.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-eb88-7000-8000-000000000005', 'shop', '03bb2cc3-eb88-7000-8000-000000000005@example.org', '*@bounces.example.org', 4102444805.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-ef70-7000-8000-000000000006', 'shop', '03bb2cc3-ef70-7000-8000-000000000006@example.org', '*@bounces.example.org', 4102444806.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-f358-7000-8000-000000000007', 'shop', '03bb2cc3-f358-7000-8000-000000000007@example.org', '*@bounces.example.org', 4102444807.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-f740-7000-8000-000000000008', 'shop', '03bb2cc3-f740-7000-8000-000000000008@example.org', '*@bounces.example.org', 4102444808.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-fb28-7000-8000-000000000009', 'shop', '03bb2cc3-fb28-7000-8000-000000000009@example.org', '*@bounces.example.org', 4102444809.0, 30, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc3-ff10-7000-8000-00000000000a', 'shop', '03bb2cc3-ff10-7000-8000-00000000000a@example.org', '*@bounces.example.org', 4102444810.0, 31, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc4-02f8-7000-8000-00000000000b', 'shop', '03bb2cc4-02f8-7000-8000-00000000000b@example.org', '*@bounces.example.org', 4102444811.0, 31, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc4-06e0-7000-8000-00000000000c', 'shop', '03bb2cc4-06e0-7000-8000-00000000000c@example.org', '*@bounces.example.org', 4102444812.0, 31, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
INSERT INTO message VALUES ('03bb2cc4-0ac8-7000-8000-00000000000d', 'shop', '03bb2cc4-0ac8-7000-8000-00000000000d@example.org', '*@bounces.example.org', 4102444813.0, 31, NULL, NULL, '#704f51ee9ca63f403cb801b937996696', '');
CREATE TABLE meta (
        name  TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) WITHOUT ROWID;
INSERT INTO meta VALUES ('confirmed', '3');
INSERT INTO meta VALUES ('fingerprint_key', X'9334589E48FFDC31079CE66490749CC60FDC7E186C1D6F48706DE951AC2E1B03');
CREATE TABLE tally (
        state      TEXT PRIMARY KEY,
        deliveries INTEGER NOT NULL
    ) WITHOUT ROWID;
INSERT INTO tally VALUES ('accepted', 4);
INSERT INTO tally VALUES ('deferred', 2);
INSERT INTO tally VALUES ('failed', 1);
INSERT INTO tally VALUES ('in_doubt', 1);
INSERT INTO tally VALUES ('queued', 7);
INSERT INTO tally VALUES ('suppressed', 2);
CREATE INDEX attempt_delivery ON attempt (delivery);
CREATE INDEX delivery_due ON delivery (due_at) WHERE due_at IS NOT NULL AND leased = 0;
CREATE TRIGGER delivery_ended AFTER UPDATE OF state ON delivery
    WHEN new.state NOT IN ('accepted', 'deferred', 'in_doubt') AND new.recipient <> '' BEGIN
        UPDATE delivery SET recipient = '' WHERE id = new.id;
    END;
CREATE INDEX delivery_handing ON delivery (id) WHERE handing = 1;
CREATE INDEX delivery_in_doubt ON delivery (id) WHERE state = 'in_doubt';
CREATE INDEX delivery_leased ON delivery (id) WHERE leased = 1;
CREATE INDEX delivery_message ON delivery (message);
CREATE INDEX delivery_unhashed ON delivery (id) WHERE recipient_hash = '';
CREATE INDEX delivery_waiting ON delivery (message) WHERE due_at IS NOT NULL;
CREATE INDEX idem_accepted_at ON idem (accepted_at);
CREATE INDEX message_accepted_at ON message (accepted_at);
CREATE TRIGGER tally_delete AFTER DELETE ON delivery BEGIN
        UPDATE tally SET deliveries = deliveries - 1 WHERE state = old.state;
    END;
CREATE TRIGGER tally_insert AFTER INSERT ON delivery BEGIN
        INSERT INTO tally VALUES (new.state, 1) ON CONFLICT DO UPDATE SET deliveries = deliveries + 1;
    END;
CREATE TRIGGER tally_update AFTER UPDATE OF state ON delivery WHEN old.state <> new.state BEGIN
        UPDATE tally SET deliveries = deliveries - 1 WHERE state = old.state;
        INSERT INTO tally VALUES (new.state, 1) ON CONFLICT DO UPDATE SET deliveries = deliveries + 1;
    END;
