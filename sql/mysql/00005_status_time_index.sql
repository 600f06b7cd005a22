-- Status pages show the newest rows first.

-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE ServerCallStatus ADD KEY /*M!100100 IF NOT EXISTS */ status_time (ts);
