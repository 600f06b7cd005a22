-- The C++ script leaves the engine of some tables to the server's default,
-- which may be one without transactions.

-- +goose NO TRANSACTION
-- +goose Up
ALTER TABLE RouteData ENGINE=InnoDB;
ALTER TABLE RouteVersion ENGINE=InnoDB;
ALTER TABLE RouteChange ENGINE=InnoDB;
ALTER TABLE ServerCallStatus ENGINE=InnoDB;
