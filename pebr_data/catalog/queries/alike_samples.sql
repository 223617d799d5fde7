-- After outcome_counts.sql: how many samples of a split, skill and stratum have exactly these counts.
SELECT split, skill, source, answer_type, num_options,
       num_correct, num_wrong, num_unparsed, num_truncated, num_ungradable, num_error,
       num_correct + num_wrong + num_unparsed + num_truncated AS num_rollouts, count(*) AS num_samples
FROM outcome_counts
GROUP BY ALL
