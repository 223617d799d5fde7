"""Probing: one policy samples completions for many samples. What is owed (`plan`), kept (`spool`), and done (`run`)."""
