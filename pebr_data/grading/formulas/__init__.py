"""Formulas and answers with structure, decided by reading and by value, without a computer algebra system."""
