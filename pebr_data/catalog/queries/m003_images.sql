-- An image without a row was stored by a pebr that did not look; nothing is known of it, rather than something wrong.
CREATE TABLE images (
    image_hash VARCHAR PRIMARY KEY,
    format     VARCHAR NOT NULL,
    width      INTEGER NOT NULL CHECK (width > 0),       -- pixels, upright
    height     INTEGER NOT NULL CHECK (height > 0),
    num_bytes  BIGINT NOT NULL,
    num_frames INTEGER NOT NULL CHECK (num_frames > 0),
    flags      VARCHAR[] NOT NULL,
    phash      UBIGINT NOT NULL,                         -- see pebr_data/images/facts.py
    thumbnail  BLOB NOT NULL
);
