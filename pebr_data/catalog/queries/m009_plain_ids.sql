-- The ids of samples are hashes, which nothing compresses: looking for a way takes longer than writing them as they are.
CREATE TABLE frozen_samples (
    mixture_id VARCHAR NOT NULL,
    sample_id  VARCHAR NOT NULL USING COMPRESSION uncompressed,
    position   BIGINT NOT NULL CHECK (position >= 0)
);
INSERT INTO frozen_samples SELECT mixture_id, sample_id, position FROM mixture_samples ORDER BY ALL;
DROP TABLE mixture_samples;
ALTER TABLE frozen_samples RENAME TO mixture_samples;

CREATE TABLE frozen_drops (
    mixture_id VARCHAR NOT NULL,
    sample_id  VARCHAR NOT NULL USING COMPRESSION uncompressed,
    reason     VARCHAR NOT NULL CHECK (reason <> '')
);
INSERT INTO frozen_drops SELECT mixture_id, sample_id, reason FROM mixture_drops ORDER BY ALL;
DROP TABLE mixture_drops;
ALTER TABLE frozen_drops RENAME TO mixture_drops;
