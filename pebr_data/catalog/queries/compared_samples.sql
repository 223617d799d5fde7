WITH shown AS (
    SELECT sample_id, list(image_hash ORDER BY position) AS image_hashes
    FROM sample_images
    GROUP BY sample_id
)
SELECT sample_id, source, split, position, question, answer, answer_type, options,
       coalesce(image_hashes, []) AS image_hashes
FROM catalog_samples
JOIN samples USING (sample_id)
LEFT JOIN shown USING (sample_id)
WHERE catalog = $catalog
ORDER BY source, position, sample_id
