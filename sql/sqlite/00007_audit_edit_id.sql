-- The id of the edit, so that one whose outcome was lost is not made twice.

-- +goose Up
ALTER TABLE RouteAudit ADD COLUMN edit_id TEXT NOT NULL DEFAULT '';
