-- When a catalog got a sample first; null for those from before that was noted.
ALTER TABLE catalog_samples ADD COLUMN added TIMESTAMP;
