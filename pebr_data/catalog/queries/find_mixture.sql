SELECT mixture_id
FROM mixtures
WHERE catalog = $catalog
  AND name = $name
  AND probe_id IS NOT DISTINCT FROM $probe_id
  AND config_digest = $config_digest
ORDER BY created DESC, mixture_id
LIMIT 1
