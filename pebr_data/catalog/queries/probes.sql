WITH counted AS (
    SELECT probe_id, count(DISTINCT sample_id) AS num_samples, count(*) AS num_rollouts
    FROM rollouts
    WHERE finish_reason <> 'error'
      AND ($catalog::VARCHAR IS NULL OR sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog))
    GROUP BY probe_id
)
SELECT probe_id, fingerprint, probes.created, coalesce(num_samples, 0), coalesce(num_rollouts, 0), grader_version
FROM probes
LEFT JOIN counted USING (probe_id)
LEFT JOIN gradings_in_force USING (probe_id)
WHERE $catalog::VARCHAR IS NULL OR num_rollouts > 0
ORDER BY probes.created, probe_id
