-- One row per sample of the catalog (of any catalog, if it has rollouts), probed or not. `every`: the catalog has all
-- samples of the store, and none has to be looked up.
-- Six counts in two sums, 16 bits each: an index is a SMALLINT, and comparing each outcome six times takes twice as long.
WITH packed AS (
    -- Where a probe stops by its posterior all rollouts count that it may make.
    SELECT sample_id,
           sum(CASE outcome WHEN 'correct' THEN 1 WHEN 'wrong' THEN 65536 WHEN 'unparsed' THEN 4294967296
                    ELSE 0 END)::BIGINT AS said,
           sum(CASE outcome WHEN 'truncated' THEN 1 WHEN 'ungradable' THEN 65536 WHEN 'error' THEN 4294967296
                    ELSE 0 END)::BIGINT AS other
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
       coalesce(said & 65535, 0)          AS num_correct,
       coalesce(said >> 16 & 65535, 0)    AS num_wrong,
       coalesce(said >> 32, 0)            AS num_unparsed,
       coalesce(other & 65535, 0)         AS num_truncated,
       coalesce(other >> 16 & 65535, 0)   AS num_ungradable,
       coalesce(other >> 32, 0)           AS num_error
FROM samples
LEFT JOIN packed USING (sample_id)
LEFT JOIN fixes USING (sample_id)
WHERE ($split::VARCHAR IS NULL OR split = $split)
  AND CASE WHEN $catalog::VARCHAR IS NULL
           THEN packed.sample_id IS NOT NULL
           ELSE $every OR samples.sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog)
      END
