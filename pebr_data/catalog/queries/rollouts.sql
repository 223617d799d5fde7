-- Each rollout with its grade by the grading in force.
SELECT sample_id, idx, completion, num_tokens, finish_reason, num_prompt_tokens, num_image_tokens, error,
       outcome, answer, reason, grader_version, option_order
FROM rollouts
JOIN grades USING (probe_id, sample_id, idx)
JOIN gradings_in_force USING (probe_id, grader_version)
WHERE probe_id = $probe_id
  AND ($sample_ids::VARCHAR[] IS NULL OR sample_id IN (SELECT unnest($sample_ids::VARCHAR[])))
ORDER BY sample_id, idx
