-- Of each of these samples the completion lengths, in tokens, of the rollouts that count: how many, sum and sum of
-- squares, of the correct ones and of the others.
SELECT sample_id, outcome = 'correct' AS is_correct, count(*) AS num_rollouts,
       sum(num_tokens)::DOUBLE AS sum_tokens, sum(num_tokens::DOUBLE * num_tokens) AS sum_squares
FROM rollouts
JOIN grades USING (probe_id, sample_id, idx)
JOIN gradings_in_force USING (probe_id, grader_version)
LEFT JOIN (
    SELECT sample_id, max_rollouts
    FROM posterior_stops
    JOIN samples USING (split)
    JOIN gradings_in_force USING (probe_id, grader_version)
    WHERE probe_id = $probe_id AND rollouts = $group_size
) USING (sample_id)
WHERE probe_id = $probe_id
  AND idx < coalesce(max_rollouts, $group_size)
  AND outcome NOT IN ('ungradable', 'error')
  AND sample_id IN (SELECT unnest($sample_ids::VARCHAR[]))
GROUP BY sample_id, is_correct
ORDER BY sample_id, is_correct
