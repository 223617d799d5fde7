-- Where the rollouts lie that this grading has not judged. An error without an answer is a failed generation, so a rollout
-- that has taken a failed one's place since is among them.
SELECT rollouts.rowid AS place
FROM rollouts
LEFT JOIN grades
    ON grades.probe_id = rollouts.probe_id
    AND grades.sample_id = rollouts.sample_id
    AND grades.idx = rollouts.idx
    AND grades.grader_version = $grader_version
WHERE rollouts.probe_id = $probe_id
  AND (grades.outcome IS NULL
       OR (grades.outcome = 'error' AND grades.answer IS NULL AND rollouts.finish_reason <> 'error'))
ORDER BY place
