"""The catalog: every candidate sample, probe, rollout, grade and mixture, in one DuckDB file.

Only this package touches DuckDB. Everybody else says `with Catalog.open(store) as catalog:` (see `store`).
"""
