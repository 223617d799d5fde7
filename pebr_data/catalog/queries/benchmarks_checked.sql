SELECT searches.benchmark, count(overlap.sample_id), count(kept.sample_id)
FROM searches
LEFT JOIN benchmark_overlaps AS overlap
       ON overlap.catalog = searches.catalog AND overlap.benchmark = searches.benchmark
LEFT JOIN mixture_samples AS kept
       ON kept.sample_id = overlap.sample_id AND kept.mixture_id = $mixture_id
WHERE searches.catalog = $catalog AND searches.benchmark <> ''
GROUP BY searches.benchmark
ORDER BY searches.benchmark
