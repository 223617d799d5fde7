-- A mixture is written once, whole, under the primary key of `mixtures`, so its rows need no index of their own: with one,
-- freezing a million decisions takes ten times as long. That each sample is in it once is checked before it is written,
-- and by `pebr-data doctor`. Foreign keys are left out for the same reason: `doctor` looks for orphans.
CREATE TABLE frozen_samples (
    mixture_id VARCHAR NOT NULL,
    sample_id  VARCHAR NOT NULL,
    position   BIGINT NOT NULL CHECK (position >= 0)
);
INSERT INTO frozen_samples SELECT mixture_id, sample_id, position FROM mixture_samples ORDER BY ALL;
DROP TABLE mixture_samples;
ALTER TABLE frozen_samples RENAME TO mixture_samples;

CREATE TABLE frozen_drops (
    mixture_id VARCHAR NOT NULL,
    sample_id  VARCHAR NOT NULL,
    reason     VARCHAR NOT NULL CHECK (reason <> '')
);
INSERT INTO frozen_drops SELECT mixture_id, sample_id, reason FROM mixture_drops ORDER BY ALL;
DROP TABLE mixture_drops;
ALTER TABLE frozen_drops RENAME TO mixture_drops;
