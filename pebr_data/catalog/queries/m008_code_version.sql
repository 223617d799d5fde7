-- The pebr that chose a mixture; unknown of those that were chosen before.
ALTER TABLE mixtures ADD COLUMN code_version VARCHAR;
