-- What is known of a host of a service beyond its address. A host that may be
-- called is in RouteData too; one that is here alone is drained, or was left
-- behind by a writer that does not know this table.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS RouteHost (
    modid int unsigned NOT NULL,
    cmdid int unsigned NOT NULL,
    serverip int unsigned NOT NULL,
    serverport int unsigned NOT NULL,
    weight int unsigned NOT NULL DEFAULT 100,
    zone varchar(32) NOT NULL DEFAULT '',
    note varchar(255) NOT NULL DEFAULT '',
    drained tinyint NOT NULL DEFAULT 0,
    PRIMARY KEY (modid, cmdid, serverip, serverport),
    KEY host_address (serverip, serverport)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
