-- Whether one of the probe's first `most` rollouts is of the catalog's split: asked of a few, it reads no whole table.
SELECT 1
FROM catalog_samples
WHERE catalog = $catalog
  AND sample_id IN (SELECT sample_id FROM rollouts WHERE probe_id = $probe_id AND finish_reason <> 'error' LIMIT $most)
  AND ($split::VARCHAR IS NULL OR sample_id IN (SELECT sample_id FROM samples WHERE split = $split))
LIMIT 1
