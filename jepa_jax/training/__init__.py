"""Training joint-embedding encoders: objectives, views, a small trainer, the embedded encoder."""
