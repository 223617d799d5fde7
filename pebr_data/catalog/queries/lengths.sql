-- Of each of these samples the completion lengths, in tokens, of the rollouts that count: how many, sum and sum of
-- squares, of the correct ones and of the others. Each table is cut down to the samples before they are joined.
WITH wanted AS (
    SELECT unnest($sample_ids::VARCHAR[]) AS sample_id
),
-- Where a probe stops by its posterior all rollouts count that it may make.
widened AS (
    SELECT sample_id, max_rollouts
    FROM posterior_stops
    JOIN gradings_in_force USING (probe_id, grader_version)
    JOIN samples USING (split)
    SEMI JOIN wanted USING (sample_id)
    WHERE probe_id = $probe_id AND rollouts = $group_size
),
said AS (
    SELECT sample_id, idx, outcome = 'correct' AS is_correct
    FROM grades
    JOIN gradings_in_force USING (probe_id, grader_version)
    LEFT JOIN widened USING (sample_id)
    SEMI JOIN wanted USING (sample_id)
    WHERE probe_id = $probe_id AND idx < coalesce(max_rollouts, $group_size) AND outcome NOT IN ('ungradable', 'error')
),
made AS (
    SELECT sample_id, idx, num_tokens
    FROM rollouts
    SEMI JOIN wanted USING (sample_id)
    WHERE probe_id = $probe_id
)
SELECT sample_id, is_correct, count(*) AS num_rollouts,
       sum(num_tokens)::DOUBLE AS sum_tokens, sum(num_tokens::DOUBLE * num_tokens) AS sum_squares
FROM made
JOIN said USING (sample_id, idx)
GROUP BY sample_id, is_correct
ORDER BY sample_id, is_correct
