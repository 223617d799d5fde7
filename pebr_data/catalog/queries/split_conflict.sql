-- A sample of the batch that another catalog has in another split.
SELECT sample_id, batch.source, batch.split, samples.split, catalog
FROM batch
JOIN samples USING (sample_id)
JOIN catalog_samples USING (sample_id)
WHERE catalog <> $catalog AND batch.split <> samples.split
ORDER BY batch.position, catalog
LIMIT 1
