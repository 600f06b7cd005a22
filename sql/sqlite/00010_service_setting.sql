-- Settings of a service that its agents balance by.

-- +goose Up
CREATE TABLE IF NOT EXISTS ServiceSetting (
    modid INTEGER NOT NULL,
    cmdid INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (modid, cmdid, name)
) STRICT, WITHOUT ROWID;
