WITH kept AS (
    SELECT mixture_id, count(*) AS num_samples FROM mixture_samples GROUP BY mixture_id
),
dropped AS (
    SELECT mixture_id, map_from_entries(list((reason, len(numbers)))) AS drops FROM packed_drops GROUP BY mixture_id
)
SELECT mixture_id, catalog, name, probe_id, coalesce(num_samples, 0), coalesce(drops, MAP {})
FROM mixtures
LEFT JOIN kept USING (mixture_id)
LEFT JOIN dropped USING (mixture_id)
WHERE $catalog::VARCHAR IS NULL OR catalog = $catalog
ORDER BY created, mixture_id
