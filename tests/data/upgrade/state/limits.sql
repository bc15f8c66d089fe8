PRAGMA user_version = 3;
CREATE TABLE clock (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id   TEXT NOT NULL,
    offset_ms INTEGER NOT NULL  -- Unix time minus CLOCK_BOOTTIME, fixed for this boot
) STRICT;
INSERT INTO clock VALUES (1, '00000000-0000-4000-8000-000000000001', 4102444795000);
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
INSERT INTO counters VALUES ('client:shop', 'per-client', 2678400, 4102444809000, 107136000000, X'FC660100000000002800000000000000', 4105139400);
INSERT INTO counters VALUES ('login:#d81539a8e8772ef906538923411cfdf7', 'per-login', 3600, 4102444806000, 0, X'404E1304000000001500000000000000', 4102449000);
INSERT INTO counters VALUES ('uid:33', 'per-user', 3600, 4102444804000, 0, X'404E1304000000000500000000000000', 4102449000);
CREATE TABLE notes (
    instance       TEXT NOT NULL,
    door           TEXT NOT NULL,
    recipient_hash TEXT NOT NULL,
    domain         TEXT NOT NULL,
    at_ms          INTEGER NOT NULL,
    PRIMARY KEY (instance, door, recipient_hash)
) STRICT, WITHOUT ROWID;
INSERT INTO notes VALUES ('smtp-9', 'smtp', 'f204447407cf9098e2b85020e65ed687', 'example.net', 4102444809000);
CREATE TABLE takes (
    id       INTEGER PRIMARY KEY,  -- in order of time
    instance TEXT NOT NULL,
    door     TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    queue_id TEXT,
    usages   TEXT NOT NULL,        -- of the verdict, as JSON
    UNIQUE (instance, door)
) STRICT;
INSERT INTO takes VALUES (1, 'smtp-0', 'smtp', 4102444800000, '4Smtp0', '[["per-login","login:#d81539a8e8772ef906538923411cfdf7",3,500,3600,497,3660.0]]');
INSERT INTO takes VALUES (10, 'sendmail-2', 'sendmail', 4102444802000, '4Pickup2', '[["per-user","uid:33",3,1000,3600,997,3658.0]]');
INSERT INTO takes VALUES (11, 'sendmail-3', 'sendmail', 4102444803000, '4Pickup3', '[["per-user","uid:33",4,1000,3600,996,3657.0]]');
INSERT INTO takes VALUES (12, 'sendmail-4', 'sendmail', 4102444804000, '4Pickup4', '[["per-user","uid:33",5,1000,3600,995,3656.0]]');
INSERT INTO takes VALUES (13, '03bb2cc3-dbe8-7000-8000-000000000001', 'socket', 4102444809000, NULL, '[["per-client","client:shop",40,100,2678400,20,2694231.0]]');
INSERT INTO takes VALUES (2, 'smtp-1', 'smtp', 4102444801000, '4Smtp1', '[["per-login","login:#d81539a8e8772ef906538923411cfdf7",6,500,3600,494,3659.0]]');
INSERT INTO takes VALUES (3, 'smtp-2', 'smtp', 4102444802000, '4Smtp2', '[["per-login","login:#d81539a8e8772ef906538923411cfdf7",9,500,3600,491,3658.0]]');
INSERT INTO takes VALUES (4, 'smtp-3', 'smtp', 4102444803000, '4Smtp3', '[["per-login","login:#d81539a8e8772ef906538923411cfdf7",12,500,3600,488,3657.0]]');
INSERT INTO takes VALUES (5, 'smtp-4', 'smtp', 4102444804000, '4Smtp4', '[["per-login","login:#d81539a8e8772ef906538923411cfdf7",15,500,3600,485,3656.0]]');
INSERT INTO takes VALUES (6, 'smtp-5', 'smtp', 4102444805000, '4Smtp5', '[["per-login","login:#d81539a8e8772ef906538923411cfdf7",18,500,3600,482,3655.0]]');
INSERT INTO takes VALUES (7, 'smtp-6', 'smtp', 4102444806000, '4Smtp6', '[["per-login","login:#d81539a8e8772ef906538923411cfdf7",21,500,3600,479,3654.0]]');
INSERT INTO takes VALUES (8, 'sendmail-0', 'sendmail', 4102444800000, '4Pickup0', '[["per-user","uid:33",1,1000,3600,999,3660.0]]');
INSERT INTO takes VALUES (9, 'sendmail-1', 'sendmail', 4102444801000, '4Pickup1', '[["per-user","uid:33",2,1000,3600,998,3659.0]]');
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
INSERT INTO waiting VALUES ('over-0', 'sendmail', 'uid:33', 'per-user', 'uid:33', 4102444810000, 4102444810000, NULL);
INSERT INTO waiting VALUES ('over-1', 'sendmail', 'uid:33', 'per-user', 'uid:33', 4102444811000, 4102444811000, NULL);
INSERT INTO waiting VALUES ('over-2', 'sendmail', 'uid:33', 'per-user', 'uid:33', 4102444812000, 4102444814000, '4Held000002');
CREATE INDEX counters_by_expiry ON counters (expires_s);
CREATE INDEX notes_by_time ON notes (at_ms);
CREATE INDEX takes_by_queue_id ON takes (queue_id) WHERE queue_id IS NOT NULL;
CREATE INDEX waiting_by_key ON waiting (key, at_ms) WHERE held_as IS NULL;
CREATE INDEX waiting_by_queue_id ON waiting (held_as) WHERE held_as IS NOT NULL;
CREATE INDEX waiting_by_time ON waiting (at_ms);
