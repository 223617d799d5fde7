-- A person's word comes first, then being in a benchmark: that sample is out whichever of its duplicates is kept.
SELECT sample_id, min_by(reason, place) AS reason
FROM (
    SELECT sample_id, 'dropped-in-review' AS reason, 0 AS place
    FROM gold_reviews
    WHERE verdict = 'drop' AND sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog)
    UNION ALL
    SELECT sample_id, 'in-benchmark', 1 FROM benchmark_overlaps WHERE catalog = $catalog
    UNION ALL
    SELECT sample_id, 'duplicate', 2 FROM duplicates WHERE catalog = $catalog
)
GROUP BY sample_id
ORDER BY sample_id
