SELECT mixture_id, decision
FROM (
    SELECT mixture_id, 'kept' AS decision FROM mixture_samples WHERE sample_id = $sample_id
    UNION ALL
    SELECT mixture_id, reason FROM mixture_drops WHERE sample_id = $sample_id
)
JOIN mixtures USING (mixture_id)
ORDER BY created, mixture_id
