"""Regrading: stored rollouts judged anew, by another grader or against corrected golds. No model is asked."""
