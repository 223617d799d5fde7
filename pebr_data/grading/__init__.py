"""Grading: is this completion right, and how much of the scene does its description get right."""

from __future__ import annotations

from pebr_data.grading.answers import EXTRACTORS, find_answer
from pebr_data.grading.grade import (
    GRADER_VERSION,
    PROFILES,
    Attempt,
    Gold,
    Grader,
    gold_of,
    grade,
    grade_batch,
    grade_samples,
)
from pebr_data.grading.infer import ANSWER_TYPES, infer_answer_type
from pebr_data.grading.perception import PerceptionScore, parse_description, score_description
from pebr_data.grading.reward import accuracy_reward, format_reward, keyword_reward, length_reward, similarity_reward
from pebr_data.grading.rules import GradingRules, read_rules
from pebr_data.grading.sections import Sections, split_sections

__all__ = [
    "ANSWER_TYPES",
    "EXTRACTORS",
    "GRADER_VERSION",
    "PROFILES",
    "Attempt",
    "Gold",
    "Grader",
    "GradingRules",
    "PerceptionScore",
    "Sections",
    "accuracy_reward",
    "find_answer",
    "format_reward",
    "gold_of",
    "grade",
    "grade_batch",
    "grade_samples",
    "infer_answer_type",
    "keyword_reward",
    "length_reward",
    "parse_description",
    "read_rules",
    "score_description",
    "similarity_reward",
    "split_sections",
]
