"""Scores compared with label-free baselines, without leakage; densities that are known.

`evaluate` scores sets of images and compares; `compare` does so with features that are there.
"""

from jepa_jax.evaluation.bootstrap import Assessment, Interval, Resamples, assess
from jepa_jax.evaluation.columns import Column, CorrectedScore, EmbeddingNorm
from jepa_jax.evaluation.comparison import (
    Comparison,
    MethodResult,
    compare,
    default_detectors,
)
from jepa_jax.evaluation.detector import Detector, Fitted, cross_scores
from jepa_jax.evaluation.disjoint import Leakage, check_disjoint, fingerprints
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.flow import Flow
from jepa_jax.evaluation.gaussian import GaussianMixture, Mahalanobis, PCAResidual
from jepa_jax.evaluation.metrics import DetectionMetrics, detection_metrics
from jepa_jax.evaluation.neighbours import KNN, IsolationForest
from jepa_jax.evaluation.run import Evaluation, evaluate

__all__ = [
    "KNN",
    "Assessment",
    "Column",
    "Comparison",
    "CorrectedScore",
    "DetectionMetrics",
    "Detector",
    "EmbeddingNorm",
    "Evaluation",
    "Features",
    "Fitted",
    "Flow",
    "GaussianMixture",
    "Interval",
    "IsolationForest",
    "Leakage",
    "Mahalanobis",
    "MethodResult",
    "PCAResidual",
    "Resamples",
    "assess",
    "check_disjoint",
    "compare",
    "cross_scores",
    "default_detectors",
    "detection_metrics",
    "evaluate",
    "fingerprints",
]
