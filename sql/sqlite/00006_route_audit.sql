-- One row per service that an edit touched. previous is the version that the
-- edit replaced: so the rows form a chain that shows where one is missing.

-- +goose Up
CREATE TABLE IF NOT EXISTS RouteAudit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time INTEGER NOT NULL,
    version INTEGER NOT NULL,
    previous INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    modid INTEGER NOT NULL,
    cmdid INTEGER NOT NULL,
    details TEXT NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS audit_version ON RouteAudit (version);
CREATE INDEX IF NOT EXISTS audit_service ON RouteAudit (modid, cmdid);
