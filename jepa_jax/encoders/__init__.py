"""Pretrained vision encoders in Flax NNX: one ViT, one small file a family."""

from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder import Encoder
from jepa_jax.encoders.loading import load_encoder

__all__ = ["EmbeddingRule", "Encoder", "load_encoder"]
