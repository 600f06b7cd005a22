-- Status pages show the newest rows first.

-- +goose Up
CREATE INDEX IF NOT EXISTS status_time ON ServerCallStatus (ts);
