-- One row per sample of the catalog (of any catalog, if it has rollouts), probed or not.
WITH counted AS (
    -- Where a probe stops by its posterior all rollouts count that it may make.
    SELECT sample_id,
           count(*) FILTER (outcome = 'correct')    AS num_correct,
           count(*) FILTER (outcome = 'wrong')      AS num_wrong,
           count(*) FILTER (outcome = 'unparsed')   AS num_unparsed,
           count(*) FILTER (outcome = 'truncated')  AS num_truncated,
           count(*) FILTER (outcome = 'ungradable') AS num_ungradable,
           count(*) FILTER (outcome = 'error')      AS num_error
    FROM grades
    LEFT JOIN (
        SELECT sample_id, max_rollouts
        FROM posterior_stops
        JOIN samples USING (split)
        WHERE probe_id = $probe_id AND rollouts = $rule_size AND grader_version = $grader_version
    ) USING (sample_id)
    WHERE probe_id = $probe_id AND grader_version = $grader_version AND idx < coalesce(max_rollouts, $group_size)
    GROUP BY sample_id
),
-- As in samples.sql: the type of a corrected gold stands in for the source's.
fixes AS (
    SELECT sample_id, answer_type FROM gold_fixes WHERE golds = (SELECT golds FROM golds_in_force)
)
SELECT samples.sample_id, source, position, split, skill,
       coalesce(fixes.answer_type, samples.answer_type) AS answer_type, len(options) AS num_options,
       coalesce(num_correct, 0)    AS num_correct,
       coalesce(num_wrong, 0)      AS num_wrong,
       coalesce(num_unparsed, 0)   AS num_unparsed,
       coalesce(num_truncated, 0)  AS num_truncated,
       coalesce(num_ungradable, 0) AS num_ungradable,
       coalesce(num_error, 0)      AS num_error
FROM samples
LEFT JOIN counted USING (sample_id)
LEFT JOIN fixes USING (sample_id)
WHERE ($split::VARCHAR IS NULL OR split = $split)
  AND CASE WHEN $catalog::VARCHAR IS NULL
           THEN counted.sample_id IS NOT NULL
           ELSE samples.sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog)
      END
