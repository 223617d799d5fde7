-- Only an engine's failure is graded anew under the same grader: its rollout has been replaced.
INSERT INTO grades
SELECT * FROM batch
ON CONFLICT (probe_id, sample_id, idx, grader_version) DO UPDATE SET
    outcome = excluded.outcome,
    answer = excluded.answer,
    reason = excluded.reason
WHERE grades.outcome = 'error' AND excluded.outcome <> 'error'
