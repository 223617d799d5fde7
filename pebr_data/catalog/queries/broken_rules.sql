-- What foreign keys would hold, were they not paid for with every row that is merged.
WITH broken(rule, example) AS (
    SELECT 'rollouts belong to a probe that is not there', probe_id || '/' || sample_id
    FROM rollouts ANTI JOIN probes USING (probe_id)
    UNION ALL
    SELECT 'rollouts are of a sample that is not there', sample_id
    FROM rollouts ANTI JOIN samples USING (sample_id)
    UNION ALL
    SELECT 'rollouts have no grade', probe_id || '/' || sample_id || '/' || idx
    FROM rollouts ANTI JOIN grades USING (probe_id, sample_id, idx)
    UNION ALL
    SELECT 'grades have no rollout', probe_id || '/' || sample_id || '/' || idx
    FROM grades ANTI JOIN rollouts USING (probe_id, sample_id, idx)
    UNION ALL
    SELECT 'graders are not on record', probe_id || '/' || grader_version
    FROM (SELECT DISTINCT probe_id, grader_version FROM grades) ANTI JOIN gradings USING (probe_id, grader_version)
    UNION ALL
    SELECT 'the grading in force is not on record', probe_id || '/' || grader_version
    FROM gradings_in_force ANTI JOIN gradings USING (probe_id, grader_version)
    UNION ALL
    SELECT 'images belong to a sample that is not there', sample_id
    FROM sample_images ANTI JOIN samples USING (sample_id)
    UNION ALL
    SELECT 'entries of a catalog are of a sample that is not there', catalog || '/' || sample_id
    FROM catalog_samples ANTI JOIN samples USING (sample_id)
    UNION ALL
    SELECT 'entries belong to a catalog that is not there', catalog || '/' || sample_id
    FROM catalog_samples ANTI JOIN (SELECT name AS catalog FROM catalogs) USING (catalog)
    UNION ALL
    SELECT 'decisions belong to a mixture that is not there', mixture_id
    FROM (SELECT mixture_id FROM mixture_samples UNION ALL SELECT mixture_id FROM packed_drops)
    ANTI JOIN mixtures USING (mixture_id)
    UNION ALL
    SELECT 'decisions are about a sample that is not there', mixture_id || '/' || sample_id
    FROM (SELECT mixture_id, sample_id FROM mixture_samples UNION ALL SELECT mixture_id, sample_id FROM mixture_drops)
    ANTI JOIN samples USING (sample_id)
)
SELECT rule, count(*) AS num_broken, min(example)
FROM broken
GROUP BY rule
ORDER BY rule
