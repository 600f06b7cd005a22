-- One row per service that an edit touched. previous is the version that the
-- edit replaced: so the rows form a chain that shows where one is missing.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS RouteAudit (
    id bigint unsigned NOT NULL AUTO_INCREMENT,
    time bigint NOT NULL,
    version bigint unsigned NOT NULL,
    previous bigint unsigned NOT NULL,
    who varchar(255) NOT NULL,
    action varchar(16) NOT NULL,
    modid int unsigned NOT NULL,
    cmdid int unsigned NOT NULL,
    details text NOT NULL,
    PRIMARY KEY (id),
    KEY audit_version (version),
    KEY audit_service (modid, cmdid)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
