-- Why a sample's answer type is what it is, and what else its grader must know.
ALTER TABLE samples ADD COLUMN answer_type_reason VARCHAR;
ALTER TABLE samples ADD COLUMN grading JSON DEFAULT '{}';

-- Golds that a person has corrected, a set at a time; grader versions name the set that their grades were given with. The
-- sample keeps its id and the gold that its source gives.
CREATE TABLE gold_fixes (
    golds              VARCHAR NOT NULL,
    sample_id          VARCHAR NOT NULL,
    answer             VARCHAR NOT NULL,
    answer_type        VARCHAR,
    answer_type_reason VARCHAR,
    reason             VARCHAR NOT NULL,
    created            TIMESTAMP NOT NULL,
    PRIMARY KEY (golds, sample_id)
);

-- The set that samples are read with; no row where they have their sources' golds.
CREATE TABLE golds_in_force (
    golds VARCHAR PRIMARY KEY
);

-- The grading that counts for a probe: the first, until somebody chooses another.
CREATE TABLE gradings_in_force (
    probe_id       VARCHAR PRIMARY KEY,
    grader_version VARCHAR NOT NULL,
    created        TIMESTAMP NOT NULL
);
INSERT INTO gradings_in_force
SELECT probe_id, last(grader_version ORDER BY created, grader_version), max(created)
FROM gradings
GROUP BY probe_id;
