"""Scores compared with label-free baselines, without leakage.

`evaluate` scores sets of images and compares; `compare` does so with features that are there.
"""

from jepa_jax.evaluation.bootstrap import Assessment, Interval, Resamples, assess
from jepa_jax.evaluation.comparison import (
    Comparison,
    MethodResult,
    compare,
    default_detectors,
)
from jepa_jax.evaluation.detectors.column import Column
from jepa_jax.evaluation.detectors.conditional_score import ConditionalScore
from jepa_jax.evaluation.detectors.corrected_score import CorrectedScore
from jepa_jax.evaluation.detectors.detector import Detector, Fitted, cross_scores
from jepa_jax.evaluation.detectors.embedding_norm import EmbeddingNorm
from jepa_jax.evaluation.detectors.flow import Flow
from jepa_jax.evaluation.detectors.gaussian_mixture import GaussianMixture
from jepa_jax.evaluation.detectors.isolation_forest import IsolationForest
from jepa_jax.evaluation.detectors.knn import KNN
from jepa_jax.evaluation.detectors.mahalanobis import Mahalanobis
from jepa_jax.evaluation.detectors.pca import PCAResidual
from jepa_jax.evaluation.evaluation import Evaluation, evaluate
from jepa_jax.evaluation.features import Features
from jepa_jax.evaluation.metrics import DetectionMetrics, detection_metrics, matched_auroc
from jepa_jax.evaluation.shared_images import Leakage, check_disjoint, fingerprints

__all__ = [
    "KNN",
    "Assessment",
    "Column",
    "Comparison",
    "ConditionalScore",
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
    "matched_auroc",
]
