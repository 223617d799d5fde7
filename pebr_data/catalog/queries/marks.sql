-- Being in a benchmark comes first: that sample is out whichever of its duplicates is kept.
SELECT sample_id, 'in-benchmark' AS reason FROM benchmark_overlaps WHERE catalog = $catalog
UNION
SELECT sample_id, 'duplicate' FROM duplicates
WHERE catalog = $catalog AND sample_id NOT IN (SELECT sample_id FROM benchmark_overlaps WHERE catalog = $catalog)
ORDER BY sample_id
