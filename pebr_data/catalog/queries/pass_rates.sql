-- After outcome_counts.sql.
SELECT *, num_correct + num_wrong + num_unparsed + num_truncated AS num_rollouts
FROM outcome_counts
ORDER BY source, position, sample_id
