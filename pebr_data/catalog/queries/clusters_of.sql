SELECT catalog, kept_id, list(sample_id ORDER BY sample_id), list(reason ORDER BY sample_id), settings, finished
FROM duplicates
JOIN searches USING (catalog)
WHERE benchmark = '' AND (catalog, kept_id) IN (
    SELECT (catalog, kept_id) FROM duplicates WHERE $sample_id IN (sample_id, kept_id)
)
GROUP BY catalog, kept_id, settings, finished
ORDER BY catalog
