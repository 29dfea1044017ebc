"""The process that starts a run, to be killed: FOLDER/photos into OUT by a cluster at ADDRESS.

python -m benchmarks.cluster.driver FOLDER OUT ADDRESS
"""

import sys

SHARD_SIZE, BATCH = 32, 8
# Random ones of every image: so long does a run last that faults meet it.
VIEWS = 16
ENCODER = "embedded"


def main() -> None:
    """Begins the run, or continues it."""
    from jepa_jax import Exact, Scorer, load_encoder
    from jepa_jax.scoring import Ray

    folder, out, address = sys.argv[1:]
    scorer = Scorer(load_encoder(ENCODER), Exact(), batch_size=BATCH, devices=0)
    with Ray(address, devices_per_worker=0) as engine:
        scorer.run(f"{folder}/photos", out, engine=engine, shard_size=SHARD_SIZE, views=VIEWS)


if __name__ == "__main__":
    main()
