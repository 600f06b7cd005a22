-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE RouteAudit ADD KEY /*M!100100 IF NOT EXISTS */ audit_edit_id (edit_id);
