-- Each rollout with the one of its grades that counts, chosen as in grader_version.sql.
WITH counting AS (
    SELECT grades.*
    FROM grades
    JOIN gradings USING (probe_id, grader_version)
    WHERE probe_id = $probe_id
      AND ($sample_ids::VARCHAR[] IS NULL OR sample_id IN (SELECT unnest($sample_ids::VARCHAR[])))
    QUALIFY row_number() OVER (PARTITION BY sample_id, idx ORDER BY grader_version = $running DESC, created DESC, grader_version DESC) = 1
)
SELECT sample_id, idx, completion, num_tokens, finish_reason, num_prompt_tokens, num_image_tokens, error,
       outcome, answer, reason, grader_version
FROM rollouts
JOIN counting USING (probe_id, sample_id, idx)
ORDER BY sample_id, idx
