-- Samples of which two graders hold a different share for correct, or for saying anything at all; the first such rollout of
-- each as its example.
WITH pairs AS (
    SELECT sample_id, idx,
           one.outcome AS outcome_one, one.answer AS answer_one, one.reason AS reason_one,
           other.outcome AS outcome_other, other.answer AS answer_other, other.reason AS reason_other
    FROM grades AS one
    JOIN grades AS other USING (probe_id, sample_id, idx)
    WHERE probe_id = $probe_id AND one.grader_version = $one AND other.grader_version = $other
      AND ($catalog::VARCHAR IS NULL OR sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog))
),
judged AS (
    SELECT *,
           (outcome_one = 'correct') <> (outcome_other = 'correct')
               OR (outcome_one IN ('ungradable', 'error')) <> (outcome_other IN ('ungradable', 'error')) AS disputed
    FROM pairs
)
SELECT sample_id,
       count(*) FILTER (disputed)                    AS num_disputed,
       count(*)                                      AS num_rollouts,
       count(*) FILTER (outcome_one = 'correct')     AS num_correct_one,
       count(*) FILTER (outcome_other = 'correct')   AS num_correct_other,
       min(idx) FILTER (disputed)                    AS example,
       arg_min(outcome_one, idx) FILTER (disputed)   AS outcome_one,
       arg_min(outcome_other, idx) FILTER (disputed) AS outcome_other,
       arg_min_null(answer_one, idx) FILTER (disputed)   AS answer_one,
       arg_min_null(answer_other, idx) FILTER (disputed) AS answer_other,
       arg_min(reason_one, idx) FILTER (disputed)    AS reason_one,
       arg_min(reason_other, idx) FILTER (disputed)  AS reason_other
FROM judged
GROUP BY sample_id
HAVING num_disputed > 0
ORDER BY num_disputed DESC, sample_id
