-- What a probe's rollouts of a catalog's samples were graded, and what they cost in tokens.
SELECT outcome, count(*), sum(num_tokens), sum(num_prompt_tokens)
FROM rollouts
JOIN gradings_in_force USING (probe_id)
JOIN grades USING (probe_id, sample_id, idx, grader_version)
WHERE probe_id = $probe_id
  AND sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog)
GROUP BY outcome
ORDER BY outcome
