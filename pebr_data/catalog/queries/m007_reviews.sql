-- What a person said of a sample's gold: that this one is `right`, so that it is not suspected again, or that the sample is to
-- be left out of every mixture (`drop`).
CREATE TABLE gold_reviews (
    sample_id VARCHAR PRIMARY KEY,
    verdict   VARCHAR NOT NULL CHECK (verdict IN ('right', 'drop')),
    gold      VARCHAR NOT NULL,
    reason    VARCHAR NOT NULL,
    created   TIMESTAMP NOT NULL
);
