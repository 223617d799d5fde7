WITH chosen AS (
    SELECT *
    FROM samples
    WHERE ($split::VARCHAR IS NULL OR split = $split)
      AND ($catalog::VARCHAR IS NULL OR sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog))
      AND ($since::TIMESTAMP IS NULL
           OR sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog AND added >= $since))
      AND ($sample_ids::VARCHAR[] IS NULL OR sample_id IN (SELECT unnest($sample_ids::VARCHAR[])))
),
images AS (
    SELECT sample_id, list(image_hash ORDER BY position) AS image_hashes
    FROM sample_images
    WHERE sample_id IN (SELECT sample_id FROM chosen)
    GROUP BY sample_id
),
-- A corrected gold stands in for the source's, and its type for the one that was told from the source's.
fixes AS (
    SELECT sample_id, answer, answer_type, answer_type_reason
    FROM gold_fixes
    WHERE golds = coalesce($golds, (SELECT golds FROM golds_in_force))
)
SELECT chosen.sample_id, source, split, question, coalesce(fixes.answer, chosen.answer) AS answer,
       coalesce(image_hashes, []) AS image_hashes, coalesce(fixes.answer_type, chosen.answer_type) AS answer_type,
       options, keywords, description, response, skill, metadata,
       coalesce(fixes.answer_type_reason, chosen.answer_type_reason) AS answer_type_reason, grading
FROM chosen
LEFT JOIN images USING (sample_id)
LEFT JOIN fixes USING (sample_id)
ORDER BY source, position, chosen.sample_id
