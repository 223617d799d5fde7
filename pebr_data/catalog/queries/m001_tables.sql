CREATE TABLE catalogs (
    name    VARCHAR PRIMARY KEY,
    created TIMESTAMP NOT NULL          -- UTC, as every time in the catalog
);

-- One row says that a source was ingested to its end; a build with the same digest has nothing to do for it.
CREATE TABLE builds (
    catalog       VARCHAR NOT NULL,
    source        VARCHAR NOT NULL,
    config_digest VARCHAR NOT NULL,
    counts        JSON NOT NULL,
    finished      TIMESTAMP NOT NULL,
    PRIMARY KEY (catalog, source)
);

CREATE TABLE samples (
    sample_id   VARCHAR PRIMARY KEY,
    source      VARCHAR NOT NULL,
    split       VARCHAR NOT NULL,
    position    BIGINT NOT NULL,        -- where its source yields it
    question    VARCHAR NOT NULL,
    answer      VARCHAR NOT NULL,
    answer_type VARCHAR,
    options     VARCHAR[] NOT NULL,
    keywords    VARCHAR[] NOT NULL,
    description VARCHAR,
    response    VARCHAR,
    skill       VARCHAR,
    metadata    JSON NOT NULL
);

CREATE TABLE sample_images (
    sample_id  VARCHAR NOT NULL,
    position   SMALLINT NOT NULL,
    image_hash VARCHAR NOT NULL,
    PRIMARY KEY (sample_id, position)
);

CREATE TABLE catalog_samples (
    catalog   VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    PRIMARY KEY (catalog, sample_id)
);

CREATE TABLE rejects (
    catalog  VARCHAR NOT NULL,
    source   VARCHAR NOT NULL,
    position BIGINT NOT NULL,           -- which of the source's candidates
    location VARCHAR NOT NULL,
    reason   VARCHAR NOT NULL,
    PRIMARY KEY (catalog, source, position)
);

CREATE TABLE probes (
    probe_id    VARCHAR PRIMARY KEY,
    fingerprint JSON NOT NULL,
    created     TIMESTAMP NOT NULL
);

CREATE TABLE rollouts (
    probe_id          VARCHAR NOT NULL,
    sample_id         VARCHAR NOT NULL,
    idx               SMALLINT NOT NULL CHECK (idx >= 0),
    seed              BIGINT NOT NULL,
    completion        VARCHAR NOT NULL,
    num_tokens        INTEGER NOT NULL,
    finish_reason     VARCHAR NOT NULL CHECK (finish_reason IN ('stop', 'length', 'error')),
    num_prompt_tokens INTEGER NOT NULL,
    num_image_tokens  INTEGER NOT NULL,
    error             VARCHAR,
    PRIMARY KEY (probe_id, sample_id, idx)
);

-- The graders a probe's rollouts have been graded by; grader_version.sql says whose grades count.
CREATE TABLE gradings (
    probe_id       VARCHAR NOT NULL,
    grader_version VARCHAR NOT NULL,
    created        TIMESTAMP NOT NULL,
    PRIMARY KEY (probe_id, grader_version)
);

CREATE TABLE grades (
    probe_id       VARCHAR NOT NULL,
    sample_id      VARCHAR NOT NULL,
    idx            SMALLINT NOT NULL,
    grader_version VARCHAR NOT NULL,
    outcome        VARCHAR NOT NULL
        CHECK (outcome IN ('correct', 'wrong', 'unparsed', 'truncated', 'ungradable', 'error')),
    answer         VARCHAR,
    reason         VARCHAR NOT NULL,
    PRIMARY KEY (probe_id, sample_id, idx, grader_version)
);

CREATE TABLE mixtures (
    mixture_id    VARCHAR PRIMARY KEY,
    catalog       VARCHAR NOT NULL,
    name          VARCHAR NOT NULL,
    probe_id      VARCHAR,
    config        JSON NOT NULL,
    config_digest VARCHAR NOT NULL,
    digest        VARCHAR NOT NULL,
    created       TIMESTAMP NOT NULL
);

CREATE TABLE mixture_samples (
    mixture_id VARCHAR NOT NULL,
    sample_id  VARCHAR NOT NULL,
    position   BIGINT NOT NULL,
    PRIMARY KEY (mixture_id, sample_id)
);

CREATE TABLE mixture_drops (
    mixture_id VARCHAR NOT NULL,
    sample_id  VARCHAR NOT NULL,
    reason     VARCHAR NOT NULL,
    PRIMARY KEY (mixture_id, sample_id)
);
