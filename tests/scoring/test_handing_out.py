"""Shards are handed out, taken back and blamed: without a cluster, by workers that do as told."""

import pytest
from streams import records

from jepa_jax.scoring.handing_out import AHEAD, ONE_AT_A_TIME, HandingOut
from jepa_jax.scoring.work import RowSettings, Shard, ShardWriter, Task
from jepa_jax.scoring.workers import WorkerDied
from jepa_jax.store.folder import shard_paths
from jepa_jax.store.shards import read_rows

# Workers that score nothing have no scorer.
pytestmark = pytest.mark.usefixtures("annotations_unchecked")


def row(record) -> dict:
    return {
        "id": record.id,
        "source": record.source,
        "status": "ok",
        "error": None,
        "jepa_score": 1.0,
        "std_error": 0.0,
        "rank": 62,
        "method": "exact",
    }


class Fixture:
    """A task over `count` records in shards of four, and what was reported of it."""

    def __init__(self, out, count, on_lost="end"):
        self.task = Task(None, out, RowSettings("exact", shard_size=4), work=None)  # pyright: ignore
        everything = list(enumerate(records(count)))
        self.drawn = 0
        self.seen = []
        self.hand = HandingOut(self.task, self.shards(everything), self.seen_row, on_lost)

    def shards(self, everything):
        for start in range(0, len(everything), 4):
            self.drawn += 1
            yield Shard(start // 4, [(i - start, r) for i, r in everything[start : start + 4]])

    def seen_row(self, row):
        self.seen.append(row["id"])

    def written(self):
        return [row["id"] for path in shard_paths(self.task.out) for row in read_rows(path)]


class Does:
    """A worker that makes rows of what it is given, and has written and told so much of them."""

    def __init__(self, fixture, name, kills=None):
        self.fixture, self.name, self.kills = fixture, name, kills
        self.writer, self.made, self.lots = ShardWriter(fixture.task), 0, []

    def takes(self):
        order = self.fixture.hand.order(self.name)
        if order is None:
            return None
        self.lots += order[0]
        return order

    def does(self, most=100, tells=True) -> bool:
        """Up to so many rows of its first shard; False where it dies of a record."""
        lot = self.lots[0]
        rows = []
        for place, record in lot.items[:most]:
            if record.id == self.kills:
                if lot.care:  # What came before is in the file, as is asked of a careful shard.
                    self.writer.flush()
                return False
            self.writer.put(lot.index, place, row(record))
            rows.append(row(record))
        self.writer.flush()
        self.made += len(rows)
        if tells:
            self.fixture.hand.report(self.name, rows, self.made)
        if most >= len(lot.items):
            self.lots.pop(0)
        return True


def test_every_row_is_reported_once_and_little_is_drawn_ahead(tmp_path):
    all_of_it = Fixture(tmp_path, 50)
    one, two = Does(all_of_it, 1), Does(all_of_it, 2)
    while not all_of_it.hand.finished:
        for worker in (one, two):
            worker.takes()
            assert all_of_it.drawn <= all_of_it.seen.__len__() // 4 + 2 * AHEAD
            if worker.lots:
                worker.does()
    assert sorted(all_of_it.seen) == [r.id for r in records(50)] == all_of_it.written()


def test_a_worker_that_waits_is_given_more_until_it_has_enough(tmp_path):
    """Its stream reads 30 records ahead before it makes a row of one: more than two shards have."""
    all_of_it = Fixture(tmp_path, 100)
    worker = Does(all_of_it, 1)
    rounds = 0
    while sum(len(lot.items) for lot in worker.lots) < 30:
        order = all_of_it.hand.order(1, waits=bool(worker.lots))
        assert order is not None
        assert order[0]
        assert not order[1]
        worker.lots += order[0]
        rounds += 1
    assert rounds <= 4
    while not all_of_it.hand.finished:
        worker.does()
        had = len(worker.lots)
        order = worker.takes()
        assert order is None or len(order[0]) <= 1 or not had
    assert sorted(all_of_it.seen) == [r.id for r in records(100)] == all_of_it.written()


def test_what_a_lost_worker_had_is_done_by_others_and_told_once(tmp_path):
    all_of_it = Fixture(tmp_path, 16)
    lost, other = Does(all_of_it, 1), Does(all_of_it, 2)
    lost.takes()
    lost.does(most=4)
    lost.takes()
    lost.does(most=3, tells=False)  # They are in the file, and nobody knows.
    all_of_it.hand.lost(1, "killed")
    assert all_of_it.seen == [r.id for r in records(7)]
    while not all_of_it.hand.finished:
        order = other.takes()
        if other.lots and other.lots[0].care:
            assert len(other.lots) == 1  # Nothing beside it.
            assert order[1] or not order[0]
        if other.lots:
            other.does()
    assert sorted(all_of_it.seen) == [r.id for r in records(16)] == all_of_it.written()


def kill_until(all_of_it, culprit):
    """New workers, each of which dies of one record, until the run is over; how many."""
    for number in range(1, 20):
        worker = Does(all_of_it, number, kills=culprit)
        while worker.takes() is not None:
            if worker.lots and not worker.does():
                all_of_it.hand.lost(number, "killed by SIGKILL")
                break
        if all_of_it.hand.finished:
            return number
    raise AssertionError("it never ends")


def test_a_record_that_kills_its_workers_ends_the_run_with_its_name(tmp_path):
    all_of_it = Fixture(tmp_path, 12)
    with pytest.raises(WorkerDied, match=r"3 workers died at .image-006. .*SIGKILL"):
        kill_until(all_of_it, "image-006")
    assert set(all_of_it.written()) >= {"image-004", "image-005"}


def test_or_it_is_left_out_alone(tmp_path):
    all_of_it = Fixture(tmp_path, 12, on_lost="skip")
    assert kill_until(all_of_it, "image-006") <= 5
    assert sorted(all_of_it.seen) == [r.id for r in records(12)] == all_of_it.written()
    rows = [row for path in shard_paths(tmp_path) for row in read_rows(path)]
    (left_out,) = [row for row in rows if row["status"] != "ok"]
    assert (left_out["id"], left_out["status"]) == ("image-006", "unavailable")
    assert left_out["error"].startswith("WorkerDied: 3 workers died at 'image-006'")


def test_accidents_are_no_record_s_fault(tmp_path):
    """Twenty workers die, each after a row was written: nobody is blamed."""
    all_of_it = Fixture(tmp_path, 24)
    for number in range(20):
        worker = Does(all_of_it, number)
        worker.takes()
        worker.does(most=1, tells=False)
        all_of_it.hand.lost(number, "killed")
    last = Does(all_of_it, "last")
    while not all_of_it.hand.finished:
        last.takes()
        if last.lots:
            assert last.lots[0].care < 2
            last.does()
    assert sorted(all_of_it.seen) == [r.id for r in records(24)] == all_of_it.written()


def test_rows_of_other_records_are_refused(tmp_path):
    all_of_it = Fixture(tmp_path, 8)
    worker = Does(all_of_it, 1)
    worker.takes()
    wrong = row(records(9)[5])
    with pytest.raises(ValueError, match="a row of 'image-005', expected 'image-000'"):
        all_of_it.hand.report(1, [wrong], 1)
    assert ONE_AT_A_TIME > 1
