DELETE FROM catalog_samples
WHERE catalog = $catalog
  AND sample_id IN (SELECT sample_id FROM samples WHERE NOT list_contains($keep::VARCHAR[], source))
