WITH chosen AS (
    SELECT *
    FROM samples
    WHERE ($split::VARCHAR IS NULL OR split = $split)
      AND ($catalog::VARCHAR IS NULL OR sample_id IN (SELECT sample_id FROM catalog_samples WHERE catalog = $catalog))
      AND ($sample_ids::VARCHAR[] IS NULL OR sample_id IN (SELECT unnest($sample_ids::VARCHAR[])))
),
images AS (
    SELECT sample_id, list(image_hash ORDER BY position) AS image_hashes
    FROM sample_images
    WHERE sample_id IN (SELECT sample_id FROM chosen)
    GROUP BY sample_id
)
SELECT chosen.sample_id, source, split, question, answer, coalesce(image_hashes, []) AS image_hashes, answer_type,
       options, keywords, description, response, skill, metadata
FROM chosen
LEFT JOIN images USING (sample_id)
ORDER BY source, position, chosen.sample_id
