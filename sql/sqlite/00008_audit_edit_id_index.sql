-- +goose Up
CREATE INDEX IF NOT EXISTS audit_edit_id ON RouteAudit (edit_id);
