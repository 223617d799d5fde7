SELECT before.outcome, after.outcome, count(*)
FROM grades AS before
JOIN grades AS after USING (probe_id, sample_id, idx)
WHERE probe_id = $probe_id AND before.grader_version = $before AND after.grader_version = $after
GROUP BY ALL
ORDER BY ALL
