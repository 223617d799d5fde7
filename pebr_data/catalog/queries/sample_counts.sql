SELECT catalog, source, split, skill, count(*) AS num_samples
FROM catalog_samples
JOIN samples USING (sample_id)
WHERE $catalog::VARCHAR IS NULL OR catalog = $catalog
GROUP BY ALL
ORDER BY ALL
