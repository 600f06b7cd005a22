-- What is known of a host of a service beyond its address. A host that may be
-- called is in RouteData too; one that is here alone is drained, or was left
-- behind by a writer that does not know this table.

-- +goose Up
CREATE TABLE IF NOT EXISTS RouteHost (
    modid INTEGER NOT NULL,
    cmdid INTEGER NOT NULL,
    serverip INTEGER NOT NULL,
    serverport INTEGER NOT NULL,
    weight INTEGER NOT NULL DEFAULT 100,
    zone TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    drained INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (modid, cmdid, serverip, serverport)
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS host_address ON RouteHost (serverip, serverport);
