-- The tables of the C++ stack. A database that it made is adopted as it is.

-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE IF NOT EXISTS RouteData (
    id int unsigned NOT NULL AUTO_INCREMENT,
    modid int unsigned NOT NULL,
    cmdid int unsigned NOT NULL,
    serverip int unsigned NOT NULL,
    serverport int unsigned NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS RouteVersion (
    id int unsigned NOT NULL AUTO_INCREMENT,
    version int unsigned NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS RouteChange (
    id int unsigned NOT NULL AUTO_INCREMENT,
    modid int unsigned NOT NULL,
    cmdid int unsigned NOT NULL,
    version bigint unsigned NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS ServerCallStatus (
    modid int NOT NULL,
    cmdid int NOT NULL,
    ip int unsigned NOT NULL,
    port int unsigned NOT NULL,
    caller int unsigned NOT NULL,
    succ_cnt int NOT NULL,
    err_cnt int NOT NULL,
    ts bigint NOT NULL,
    overload char(1) NOT NULL,
    PRIMARY KEY (modid, cmdid, ip, port, caller)
) ENGINE=InnoDB;

CREATE TABLE IF NOT EXISTS ModIDConfig (
    id int unsigned NOT NULL AUTO_INCREMENT,
    modid int unsigned NOT NULL,
    content char(255) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

CREATE TABLE IF NOT EXISTS CmdIDConfig (
    id int unsigned NOT NULL AUTO_INCREMENT,
    cmdid int unsigned NOT NULL,
    content char(255) NOT NULL,
    PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

-- Readers and writers use the row with id 1 alone.
INSERT IGNORE INTO RouteVersion (id, version)
SELECT 1, COALESCE(MAX(version), 0) FROM RouteVersion;
