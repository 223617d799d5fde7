SELECT DISTINCT image_hash
FROM catalog_samples
JOIN samples USING (sample_id)
JOIN sample_images USING (sample_id)
WHERE catalog = $catalog AND source = $source
