INSERT INTO rollouts BY NAME
SELECT * FROM batch
ON CONFLICT (probe_id, sample_id, idx) DO UPDATE SET
    completion = excluded.completion,
    num_tokens = excluded.num_tokens,
    finish_reason = excluded.finish_reason,
    num_prompt_tokens = excluded.num_prompt_tokens,
    num_image_tokens = excluded.num_image_tokens,
    error = excluded.error
WHERE rollouts.finish_reason = 'error' AND excluded.finish_reason <> 'error'
