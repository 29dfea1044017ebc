"""`--method auto` of `jepa-jax score`: the fastest estimator that reaches a target."""

from typing import Any

from jepa_jax.commands.candidates import print_candidates
from jepa_jax.commands.terminal import Progressing, say
from jepa_jax.object_stores import Place


def automatic(encoder, source: Any, out: Place, **s):
    """The fastest estimator that reaches the target on calibration images; says which."""
    from jepa_jax.calibration import load_calibration
    from jepa_jax.calibration.calibration import FACTS
    from jepa_jax.calibration.choosing import check_target
    from jepa_jax.calibration.measuring import calibrate_for_run
    from jepa_jax.data.sources.source import count_within
    from jepa_jax.estimators import Exact
    from jepa_jax.store.folder import CALIBRATION

    if s["rank"] != "structural":
        raise ValueError(f"--method auto needs --rank structural, got {s['rank']}")
    check_target(s["target_spearman"])
    total = count_within(source, s["limit"])
    own = (out / CALIBRATION / FACTS).exists()
    if s["calibration"] is not None:
        calibration = load_calibration(s["calibration"])
    elif s["is_exact"] and not own:
        say(f"auto: exact, as the rows in {out} are")
        return Exact()
    elif not own and total is not None and total < 2 * s["calibration_images"]:
        say(
            f"auto: {total} images are too few to calibrate on {s['calibration_images']} "
            "of them: exact"
        )
        return Exact()
    else:
        with Progressing("calibrating", s["stop"]) as progress:
            calibration = calibrate_for_run(
                out,
                encoder,
                source,
                images=s["calibration_images"],
                precision=s["precision"],
                batch_size=s["batch_size"],
                seed=s["seed"],
                devices=s["devices"],
                engine=s["engine"],
                limit=s["limit"],
                at_any_cost=s["at_any_cost"],
                on_start=progress.start,
                on_image=progress.advance,
            )
    calibration.check(encoder, s["precision"])
    print_candidates(calibration, total)
    chosen = calibration.choose(s["target_spearman"], refinable=s["refinable"])
    only = " of those that can be refined" if s["refinable"] else ""
    say(f"auto: {chosen.name} (the fastest of {s['target_spearman']} and above{only})")
    return chosen.estimator()
