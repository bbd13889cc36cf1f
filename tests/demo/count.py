"""Counts what a lake has of the simulated devices. Usage: count.py LAKE_TABLE_FOLDER; prints JSON: rows, rows of a message that is there already,
refused records by reason."""

import collections
import json
import pathlib
import sys

import pyarrow.parquet as pq


def live(folder):
    """Files that a reader of the table sees: of each lake partition those of its newest revision, else the open ones."""
    of = collections.defaultdict(dict)
    for file in sorted(pathlib.Path(folder, "data").rglob("*.parquet")):
        of[file.parent.parent].setdefault(file.parent.name, []).append(file)
    for stages in of.values():
        yield from stages[max((name for name in stages if name.startswith("r")), default="open")]


def rows(files):
    for file in files:
        # One file at a time, without the partition columns of its path.
        yield from pq.ParquetFile(file).read().to_pylist()


def main():
    folder = pathlib.Path(sys.argv[1])
    messages = collections.Counter((row["device_id"], row["seq"]) for row in rows(live(folder)))
    refused = collections.Counter(row["reason"] for row in rows((folder / "quarantine").rglob("*.parquet")))
    for row in rows(live(folder)):
        assert -40 < row["temperature_c"] < 60, f"no weather: {row}"
        assert row["device_id"].startswith("sensor-"), f"no device: {row}"
    total = sum(messages.values())
    print(json.dumps({"rows": total, "repeated": total - len(messages), "refused": refused}))


if __name__ == "__main__":
    main()
