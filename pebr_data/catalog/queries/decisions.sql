SELECT mixture_id, catalog, name, probe_id, config, created, decision, position, code_version
FROM (
    SELECT mixture_id, 'kept' AS decision, position FROM mixture_samples WHERE sample_id = $sample_id
    UNION ALL
    SELECT mixture_id, reason, NULL FROM mixture_drops WHERE sample_id = $sample_id
)
JOIN mixtures USING (mixture_id)
ORDER BY created, mixture_id
