-- Of one catalog, or of all ($catalog is null).
SELECT DISTINCT image_hash
FROM catalog_samples
JOIN sample_images USING (sample_id)
WHERE ($catalog IS NULL OR catalog = $catalog) AND image_hash NOT IN (SELECT image_hash FROM images)
ORDER BY image_hash
