"""What an accelerator makes of the scores: times, memory, precisions, the best sizes."""
