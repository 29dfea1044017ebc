"""The methods on a pretrained encoder and real images: accuracy against wall clock."""
