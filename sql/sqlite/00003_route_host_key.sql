-- A host is in a service once. Of duplicates the oldest row stays.

-- +goose Up
DELETE FROM RouteData WHERE id NOT IN (
    SELECT MIN(id) FROM RouteData GROUP BY modid, cmdid, serverip, serverport
);

CREATE UNIQUE INDEX IF NOT EXISTS route_host
ON RouteData (modid, cmdid, serverip, serverport);
