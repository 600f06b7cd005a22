-- Settings of a service that its agents balance by.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS ServiceSetting (
    modid int unsigned NOT NULL,
    cmdid int unsigned NOT NULL,
    name varchar(128) NOT NULL,
    value varchar(128) NOT NULL,
    PRIMARY KEY (modid, cmdid, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
