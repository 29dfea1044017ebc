"""`make demo`: scores the bundled sample images by the embedded encoder, and shows the ranking."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq

from jepa_jax.commands.score import score
from jepa_jax.commands.show import show
from jepa_jax.store.folder import check_scores_folder

SAMPLES = Path(__file__).parent / "assets" / "samples"
OUT = Path("scores-demo")


def main() -> None:
    """Runs the main job on the samples, and says where to look."""
    check_scores_folder(OUT)  # Nothing else of that name is removed.
    shutil.rmtree(OUT, ignore_errors=True)
    print(f"$ jepa-jax score {SAMPLES} --encoder embedded --out {OUT} --store image\n", flush=True)
    score(str(SAMPLES), "embedded", OUT, store="image")
    print(f"\n$ jepa-jax show {OUT}\n", flush=True)
    show(OUT)
    rows = pq.read_table(OUT, columns=["id", "jepa_score"]).to_pylist()
    rows = [row for row in rows if row["jepa_score"] is not None]
    rows.sort(key=lambda row: row["jepa_score"])
    print("\nall, from the least to the most typical of the encoder's training data (MNIST digits)")
    for row in rows:
        print(f"{row['jepa_score']:10.2f}  {row['id']}")
    print(READING)


READING = """
How to read it: the score is a log-density, so what is odd to the encoder stands first. This small
encoder finds blank, inverted and noisy images, and is wrong about smooth ones: a blurred digit or a
photograph scores higher than the sharp digits that it was trained on. What it gets right and wrong,
measured: jepa_jax/assets/README.md.

Where to look: the rows are in scores-demo/ (any Parquet reader, e.g. pandas.read_parquet).
Next, your own images and a real encoder:
  .venv/bin/jepa-jax encoders
  .venv/bin/jepa-jax score FOLDER --encoder facebook/dinov2-small --out scores"""

if __name__ == "__main__":
    main()
