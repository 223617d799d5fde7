"""Training: recipes, rewards, stages, evaluation and the report, built on the public functions of `pebr_data`."""
