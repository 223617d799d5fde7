INSERT INTO samples
SELECT sample_id, source, split, position, question, answer, answer_type, options, keywords, description, response, skill,
       metadata::JSON
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
    metadata = excluded.metadata
WHERE row(samples.split, samples.position, samples.answer_type, samples.options, samples.keywords,
          samples.description, samples.response, samples.skill, samples.metadata)
    IS DISTINCT FROM
      row(excluded.split, excluded.position, excluded.answer_type, excluded.options, excluded.keywords,
          excluded.description, excluded.response, excluded.skill, excluded.metadata)
