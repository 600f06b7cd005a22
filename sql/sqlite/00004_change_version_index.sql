-- +goose Up
CREATE INDEX IF NOT EXISTS change_version ON RouteChange (version);
