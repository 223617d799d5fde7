SELECT mixture_id, catalog, name, probe_id, config, created, decision, position, code_version
FROM (
    SELECT mixture_id, 'kept' AS decision, position FROM mixture_samples WHERE sample_id = $sample_id
    UNION ALL
    SELECT mixture_id, reason, NULL FROM packed_drops
    WHERE list_contains(numbers, TRY_CAST('0x' || $sample_id AS UBIGINT))
)
JOIN mixtures USING (mixture_id)
ORDER BY created, mixture_id
