SELECT catalog, sample_id, benchmark, benchmark_sample_id, reason, settings, finished
FROM benchmark_overlaps
JOIN searches USING (catalog, benchmark)
WHERE $sample_id IN (sample_id, benchmark_sample_id)
ORDER BY catalog, benchmark, sample_id
