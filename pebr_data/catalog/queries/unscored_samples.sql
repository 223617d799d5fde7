-- The samples some of whose rollouts this scorer has not seen.
SELECT sample_id
FROM (
    SELECT sample_id, count(*) AS num_rollouts
    FROM rollouts
    WHERE probe_id = $probe_id AND finish_reason <> 'error'
    GROUP BY sample_id
) AS kept
LEFT JOIN (
    SELECT sample_id, num_rollouts AS num_scored
    FROM perception
    WHERE probe_id = $probe_id AND part = $part AND scorer = $scorer
) USING (sample_id)
WHERE num_rollouts IS DISTINCT FROM num_scored
ORDER BY sample_id
