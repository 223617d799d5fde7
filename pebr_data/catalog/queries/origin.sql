SELECT position, (
    SELECT list(catalog ORDER BY catalog) FROM catalog_samples WHERE catalog_samples.sample_id = samples.sample_id
)
FROM samples
WHERE sample_id = $sample_id
