-- A host is in a service once. Of duplicates the oldest row stays. The inner
-- query names only the duplicates, so the join stays small.

-- +goose NO TRANSACTION
-- +goose Up
DELETE doubled FROM RouteData doubled
JOIN (
    SELECT modid, cmdid, serverip, serverport, MIN(id) AS oldest
    FROM RouteData
    GROUP BY modid, cmdid, serverip, serverport
    HAVING COUNT(*) > 1
) kept
ON doubled.modid = kept.modid AND doubled.cmdid = kept.cmdid
    AND doubled.serverip = kept.serverip AND doubled.serverport = kept.serverport
    AND doubled.id > kept.oldest;

ALTER TABLE RouteData
ADD UNIQUE KEY /*M!100100 IF NOT EXISTS */ route_host (modid, cmdid, serverip, serverport);
