-- After outcome_counts.sql.
SELECT sample_id, source, split, skill, answer_type, num_options, num_correct,
       num_correct + num_wrong + num_unparsed + num_truncated AS num_rollouts,
       num_ungradable, num_error
FROM outcome_counts
