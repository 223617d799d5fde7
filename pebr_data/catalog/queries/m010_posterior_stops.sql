-- The rule in force of probes that stop a sample once its own band is sure, a split each, with the priors by which that is
-- judged: fitted once, so that whoever goes on with the probe, or reads its bands, decides alike.
CREATE TABLE posterior_stops (
    probe_id       VARCHAR NOT NULL,
    split          VARCHAR NOT NULL,
    rollouts       SMALLINT NOT NULL CHECK (rollouts > 0),             -- G, of whose groups the bands are
    max_rollouts   SMALLINT NOT NULL CHECK (max_rollouts >= rollouts),
    confidence     DOUBLE NOT NULL,
    grader_version VARCHAR NOT NULL,                                   -- whose grades the priors were fitted to
    num_samples    BIGINT NOT NULL,                                    -- samples that the probe was to cover then
    priors         JSON NOT NULL,
    created        TIMESTAMP NOT NULL,
    PRIMARY KEY (probe_id, split)
);
