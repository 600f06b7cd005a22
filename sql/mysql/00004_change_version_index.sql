-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE RouteChange ADD KEY /*M!100100 IF NOT EXISTS */ change_version (version);
