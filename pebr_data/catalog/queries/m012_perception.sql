-- What the parts of the perception reward come to for a sample's rollouts, as one scorer has it: the reward's settings and, for
-- `similarity`, the dual encoder.
CREATE TABLE perception (
    probe_id     VARCHAR NOT NULL,
    sample_id    VARCHAR NOT NULL,
    part         VARCHAR NOT NULL CHECK (part IN ('keyword', 'format', 'length', 'similarity')),
    scorer       VARCHAR NOT NULL,
    num_rollouts SMALLINT NOT NULL,
    mean         DOUBLE NOT NULL,
    variance     DOUBLE,                -- between rollouts, noise taken out (so it may be negative); null for one rollout
    noise        DOUBLE NOT NULL,       -- variance of the scorer on one completion
    PRIMARY KEY (probe_id, sample_id, part)
);
