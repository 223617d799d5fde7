SELECT grader_version
FROM gradings
WHERE probe_id = $probe_id
ORDER BY created DESC, grader_version DESC
LIMIT 1
