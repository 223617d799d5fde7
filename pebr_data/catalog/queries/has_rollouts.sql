SELECT 1
FROM rollouts
WHERE probe_id = $probe_id
  AND finish_reason <> 'error'
  AND sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog)
  AND ($split::VARCHAR IS NULL OR sample_id IN (SELECT sample_id FROM samples WHERE split = $split))
LIMIT 1
