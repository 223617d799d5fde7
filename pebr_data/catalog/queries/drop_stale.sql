DELETE FROM catalog_samples
WHERE catalog = $catalog
  AND sample_id IN (SELECT sample_id FROM samples WHERE source = $source)
  AND sample_id NOT IN (SELECT sample_id FROM seen)
