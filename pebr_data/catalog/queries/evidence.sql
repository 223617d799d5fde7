-- After outcome_counts.sql: what a diagnosis is made of, a row each sample; see pebr_data/difficulty/diagnosis.py.
, golds AS (
    SELECT sample_id, coalesce(fixes.answer, samples.answer) AS answer
    FROM outcome_counts
    JOIN samples USING (sample_id)
    LEFT JOIN (SELECT * FROM gold_fixes WHERE golds = (SELECT golds FROM golds_in_force)) AS fixes USING (sample_id)
),
-- Wrong answers, and golds without an index, in one spelling: numbers by their value, options by their letter.
said AS (
    SELECT sample_id, idx, answer
    FROM grades
    WHERE probe_id = $probe_id AND grader_version = $grader_version AND idx < $most AND outcome = 'wrong'
      AND answer IS NOT NULL
    UNION ALL
    SELECT sample_id, NULL, answer FROM golds
),
plain AS (
    SELECT *, trim(lower(regexp_replace(answer, '\s+', ' ', 'g')), ' .*$"''`') AS text FROM said
),
spelled AS (
    SELECT sample_id, idx, answer,
           coalesce(try_cast(text AS DOUBLE)::VARCHAR,
                    nullif(regexp_extract(text, '^\(?([a-z])(?:[).:].*)?$', 1), ''),
                    text) AS spelling
    FROM plain
),
votes AS (
    SELECT sample_id, spelling, count(*) AS num, arg_min(answer, idx) AS answer
    FROM spelled
    WHERE idx IS NOT NULL
    GROUP BY sample_id, spelling
    QUALIFY row_number() OVER (PARTITION BY sample_id ORDER BY num DESC, spelling) = 1
),
lengths AS (
    SELECT sample_id, avg(num_tokens) AS mean_tokens
    FROM rollouts
    WHERE probe_id = $probe_id AND idx < $most AND finish_reason <> 'error'
    GROUP BY sample_id
),
disputes AS (
    SELECT sample_id, count(*) FILTER (one.outcome <> 'correct' AND other.outcome = 'correct') AS num_disputed
    FROM grades AS one
    JOIN grades AS other USING (probe_id, sample_id, idx)
    WHERE probe_id = $probe_id AND one.grader_version = $grader_version AND other.grader_version = $other_version
      AND idx < $most AND one.outcome NOT IN ('ungradable', 'error')
    GROUP BY sample_id
),
-- All there are: how many were made may depend on what they said, and a posterior holds all the same.
conditions AS (
    SELECT sample_id,
           count(*) FILTER (probe_id = $blind_id AND outcome = 'correct')     AS blind_correct,
           count(*) FILTER (probe_id = $blind_id)                             AS blind_rollouts,
           count(*) FILTER (probe_id = $described_id AND outcome = 'correct') AS described_correct,
           count(*) FILTER (probe_id = $described_id)                         AS described_rollouts
    FROM grades
    JOIN gradings_in_force USING (probe_id, grader_version)
    WHERE probe_id IN ($blind_id, $described_id) AND outcome NOT IN ('ungradable', 'error')
    GROUP BY sample_id
)
SELECT outcome_counts.sample_id, source, split, skill, answer_type, num_options,
       num_correct, num_wrong, num_unparsed, num_truncated, num_ungradable, num_error,
       num_correct + num_wrong + num_unparsed + num_truncated AS num_rollouts,
       coalesce(verdict = 'right' AND gold_reviews.gold = golds.answer, false) AS gold_vouched,
       golds.answer AS gold_answer, gold_spelled.spelling AS gold, votes.spelling AS majority, votes.answer AS majority_answer,
       coalesce(votes.num, 0) AS num_majority, mean_tokens, num_disputed,
       coalesce(blind_correct, 0) AS blind_correct, coalesce(blind_rollouts, 0) AS blind_rollouts,
       coalesce(described_correct, 0) AS described_correct, coalesce(described_rollouts, 0) AS described_rollouts
FROM outcome_counts
JOIN golds ON golds.sample_id = outcome_counts.sample_id
JOIN spelled AS gold_spelled ON gold_spelled.sample_id = outcome_counts.sample_id AND gold_spelled.idx IS NULL
LEFT JOIN gold_reviews ON gold_reviews.sample_id = outcome_counts.sample_id
LEFT JOIN votes ON votes.sample_id = outcome_counts.sample_id
LEFT JOIN lengths ON lengths.sample_id = outcome_counts.sample_id
LEFT JOIN disputes ON disputes.sample_id = outcome_counts.sample_id
LEFT JOIN conditions ON conditions.sample_id = outcome_counts.sample_id
ORDER BY outcome_counts.sample_id
