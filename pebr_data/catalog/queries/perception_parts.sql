-- Of each split and part, over samples with two rollouts or more: what it is worth, how many samples have no spread, and how
-- much of the variance of a single score is real, given the scorer's mean noise.
WITH scored AS (
    SELECT catalog, probe_id, split, part, mean, variance, avg(noise) OVER (PARTITION BY probe_id, part) AS noise
    FROM perception
    JOIN samples USING (sample_id)
    JOIN catalog_samples USING (sample_id)
    WHERE ($catalog::VARCHAR IS NULL OR catalog = $catalog) AND variance IS NOT NULL
)
SELECT catalog, probe_id, split, part, count(*) AS num_samples, avg(mean) AS mean,
       avg(sqrt(greatest(variance, 0))) AS deviation,
       avg((variance <= 1e-12)::INTEGER) AS without_spread,
       avg(CASE WHEN variance > 0 THEN variance / (variance + noise) ELSE 0 END) AS reliability
FROM scored
GROUP BY ALL
ORDER BY ALL
