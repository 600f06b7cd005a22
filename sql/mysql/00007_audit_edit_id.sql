-- The id of the edit, so that one whose outcome was lost is not made twice.

-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE RouteAudit
ADD COLUMN /*M!100002 IF NOT EXISTS */ edit_id varchar(64) NOT NULL DEFAULT '';
