"""Grading: is this completion right, and how much of the scene does its description get right."""

from __future__ import annotations

from pebr_data.grading.answers import EXTRACTORS, extract_answer
from pebr_data.grading.grade import GRADER_VERSION, grade, grade_answer
from pebr_data.grading.perception import PerceptionScore, parse_description, score_description
from pebr_data.grading.sections import Sections, split_sections

__all__ = [
    "EXTRACTORS",
    "GRADER_VERSION",
    "PerceptionScore",
    "Sections",
    "extract_answer",
    "grade",
    "grade_answer",
    "parse_description",
    "score_description",
    "split_sections",
]
