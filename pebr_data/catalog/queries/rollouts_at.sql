SELECT sample_id, idx, completion, finish_reason, option_order
FROM rollouts
WHERE probe_id = $probe_id
  AND rowid BETWEEN $first AND $last
  AND rowid IN (SELECT unnest($places::BIGINT[]))
