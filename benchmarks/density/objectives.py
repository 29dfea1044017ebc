"""What carries the density: which part of the objective, on the 2-D mixture.

    python benchmarks/density/objectives.py

trains the encoder of plane.py (K = 2 without normalisation, K = 3 on the sphere) with other
objectives, and an untrained one, and writes objectives.json and objectives.md. RESULT
"""

from common import assess, markdown, trained, write

from jepa_jax.training.config import Training

_NONE = {"objective.sigreg.weight": 0.0}
# VICReg in the paper's proportions: 25 invariance + 25 variance + covariance, the squared distance
# of two views being 4 K times `invariance`.
_VICREG = {
    "objective": {"invariance": {"weight": 200.0}, "vicreg": {"weight": 1.0}},
}
# Name: configuration, changes; None: not trained.
CASES = {
    "untrained, K = 2": ("plane-gaussian", None),
    "SIGReg, its weight growing": ("plane-gaussian", {}),
    "SIGReg, constant weight": ("plane-gaussian", {"objective.sigreg.weight": 8e-3}),
    "SIGReg of bandwidth 1 (LeJEPA's), weight growing": (
        "plane-gaussian",
        {
            "objective.sigreg.bandwidth": 1.0,
            "objective.sigreg.limit": 5.0,
            "objective.sigreg.points": 17,
        },
    ),
    "SIGReg alone, no invariance": ("plane-gaussian", {"objective.invariance.weight": 0.0}),
    "VICReg": ("plane-gaussian", _VICREG),
    "invariance alone": ("plane-gaussian", _NONE),
    "invariance, weight decay 0.1": (
        "plane-gaussian",
        {**_NONE, "optimizer.weight_decay": 0.1},
    ),
    "invariance, spectral norm ≤ 1.5": ("plane-gaussian", {**_NONE, "encoder.spectral": 1.5}),
    "untrained, sphere": ("plane-sphere", None),
    "uniformity, its weight growing": ("plane-sphere", {}),
    "uniformity, constant weight": ("plane-sphere", {"objective.uniformity.weight": 1.0}),
    "uniformity alone, no invariance": ("plane-sphere", {"objective.invariance.weight": 0.0}),
    "invariance alone, sphere": ("plane-sphere", {"objective.uniformity.weight": 0.0}),
}


def main() -> None:
    rows, record = [], {}
    for name, (config, changes) in CASES.items():
        if changes is None:
            training = Training.read(config)
            model = training.model()
        else:
            training, model = trained(config, {**changes, "seed": 0})
        found = record[name] = assess(training, model)
        rows.append(
            [
                name,
                f"{found['score']['spearman']:.3f}",
                f"{found['corrected']['spearman']:.3f}" if "plane-g" in config else "",
                f"{found['dirichlet']:.3g}",
                f"{found['sigreg']:.3g}" if "plane-g" in config else "",
                f"{found['uniformity_gap']:.3g}" if "plane-s" in config else "",
                f"{found['neighbours_kept']:.2f}",
            ]
        )
    header = ["objective", "Spearman, score", "Spearman, corrected", "invariance / noise²"]
    header += ["SIGReg", "uniformity over its floor", "neighbours kept"]
    write("objectives", {"points": 5000, "cases": record}, markdown(header, rows))


if __name__ == "__main__":
    main()
