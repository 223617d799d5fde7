-- An image of one colour looks like every other one: it is compared by its bytes alone.
SELECT DISTINCT image_hash, phash, thumbnail
FROM catalog_samples
JOIN sample_images USING (sample_id)
JOIN images USING (image_hash)
WHERE catalog = $catalog AND NOT list_contains(flags, 'one-colour')
ORDER BY image_hash
