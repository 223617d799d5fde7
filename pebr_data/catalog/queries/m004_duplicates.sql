-- A sample that another one of its catalog makes superfluous. The one that is kept has no row.
CREATE TABLE duplicates (
    catalog   VARCHAR NOT NULL,
    sample_id VARCHAR NOT NULL,
    kept_id   VARCHAR NOT NULL CHECK (kept_id <> sample_id),
    reason    VARCHAR NOT NULL CHECK (reason IN ('exact', 'image', 'question')),
    PRIMARY KEY (catalog, sample_id)
);

-- A sample that a benchmark, which is another catalog of this store, has too.
CREATE TABLE benchmark_overlaps (
    catalog             VARCHAR NOT NULL,
    sample_id           VARCHAR NOT NULL,
    benchmark           VARCHAR NOT NULL,
    benchmark_sample_id VARCHAR NOT NULL,
    reason              VARCHAR NOT NULL CHECK (reason IN ('image', 'near-image', 'question')),
    PRIMARY KEY (catalog, sample_id, benchmark)
);

-- Which searches the rows of the two come from; `benchmark` is empty for duplicates.
CREATE TABLE searches (
    catalog   VARCHAR NOT NULL,
    benchmark VARCHAR NOT NULL,
    settings  JSON NOT NULL,
    finished  TIMESTAMP NOT NULL,
    PRIMARY KEY (catalog, benchmark)
);
