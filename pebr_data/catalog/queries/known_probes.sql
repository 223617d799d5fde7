SELECT probe_id, fingerprint, probes.created, grader_version
FROM probes
LEFT JOIN gradings_in_force USING (probe_id)
ORDER BY probes.created, probe_id
