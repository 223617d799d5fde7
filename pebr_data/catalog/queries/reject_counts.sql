SELECT catalog, source, reason, count(*) AS num_rejects
FROM rejects
WHERE $catalog::VARCHAR IS NULL OR catalog = $catalog
GROUP BY ALL
ORDER BY catalog, source, num_rejects DESC, reason
