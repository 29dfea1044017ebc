"""What people look at: reads result tables, never models."""

from jepa_jax.report.summary import ScoreSummary, summarize

__all__ = ["ScoreSummary", "summarize"]
