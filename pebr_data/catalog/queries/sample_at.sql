SELECT sample_id
FROM samples
LEFT JOIN catalog_samples USING (sample_id)
WHERE source = $source AND position = $position
ORDER BY catalog IS NULL, sample_id
LIMIT 1
