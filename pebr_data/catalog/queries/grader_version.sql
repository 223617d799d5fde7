-- The running code's own grader when it has graded the probe; else the one that came to it last.
SELECT grader_version
FROM gradings
WHERE probe_id = $probe_id
ORDER BY grader_version = $running DESC, created DESC, grader_version DESC
LIMIT 1
