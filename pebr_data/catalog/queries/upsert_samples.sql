INSERT INTO samples BY NAME
SELECT * REPLACE (metadata::JSON AS metadata, grading::JSON AS grading)
FROM batch
ON CONFLICT (sample_id) DO UPDATE SET
    split = excluded.split,
    position = excluded.position,
    answer_type = excluded.answer_type,
    options = excluded.options,
    keywords = excluded.keywords,
    description = excluded.description,
    response = excluded.response,
    skill = excluded.skill,
    metadata = excluded.metadata,
    answer_type_reason = excluded.answer_type_reason,
    grading = excluded.grading
WHERE row(samples.split, samples.position, samples.answer_type, samples.options, samples.keywords,
          samples.description, samples.response, samples.skill, samples.metadata,
          samples.answer_type_reason, samples.grading)
    IS DISTINCT FROM
      row(excluded.split, excluded.position, excluded.answer_type, excluded.options, excluded.keywords,
          excluded.description, excluded.response, excluded.skill, excluded.metadata,
          excluded.answer_type_reason, excluded.grading)
