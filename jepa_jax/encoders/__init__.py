"""Pretrained vision encoders in Flax NNX: one ViT, one small file a family."""

from jepa_jax.encoders.embedding import EmbeddingRule
from jepa_jax.encoders.encoder import Encoder, load_encoder

__all__ = ["EmbeddingRule", "Encoder", "load_encoder"]
