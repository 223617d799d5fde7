-- Two hashes that differ in at most R bits differ in at most R // 4 bits in one of their four bands of 16 bits: only those
-- are compared. $flips holds every way to differ so much.
WITH bands AS (
    SELECT unnest([0, 16, 32, 48]::UBIGINT[]) AS first_bit
),
probes AS (
    SELECT phash, first_bit, xor((phash >> first_bit) % 65536, flip) AS bits
    FROM left_hashes, bands, (SELECT unnest($flips::UBIGINT[]) AS flip)
),
right_bands AS (
    SELECT phash, first_bit, (phash >> first_bit) % 65536 AS bits FROM right_hashes, bands
)
SELECT DISTINCT probes.phash AS left_phash, right_bands.phash AS right_phash
FROM probes
JOIN right_bands USING (first_bit, bits)
WHERE bit_count(xor(probes.phash, right_bands.phash)) <= $radius
ORDER BY ALL
