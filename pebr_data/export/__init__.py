"""Writing a frozen mixture for training: Parquet shards with the images in them, and a checksummed manifest."""
