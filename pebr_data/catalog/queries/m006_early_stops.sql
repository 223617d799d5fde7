-- Probes that were told to stop a sample once the band of a group of so many rollouts is certain. Of those, and for groups of
-- that size or smaller, an incomplete group with both outcomes counts as `medium`; of all others no incomplete group does.
CREATE TABLE early_stops (
    probe_id VARCHAR PRIMARY KEY,
    rollouts SMALLINT NOT NULL CHECK (rollouts > 0),
    created  TIMESTAMP NOT NULL
);
