"""Detectors of outliers, one a file: fitted on reference images, they score others."""
