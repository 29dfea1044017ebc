"""The calibrated method: p fixed cotangents, and a regression fitted on exact scores."""
