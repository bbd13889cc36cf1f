"""Counts what a lake has of the simulated devices. Usage: count.py LAKE_TABLE_FOLDER; prints JSON: rows, rows of a message that is there already,
refused records by reason."""

import collections
import json
import pathlib
import sys

import pyarrow.parquet as pq


def rows(folder, kind):
    for file in sorted(pathlib.Path(folder, kind).rglob("*.parquet")):
        # One file at a time, without the partition columns of its path.
        yield from pq.ParquetFile(file).read().to_pylist()


def main():
    messages = collections.Counter((row["device_id"], row["seq"]) for row in rows(sys.argv[1], "data"))
    refused = collections.Counter(row["reason"] for row in rows(sys.argv[1], "quarantine"))
    for row in rows(sys.argv[1], "data"):
        assert -40 < row["temperature_c"] < 60, f"no weather: {row}"
        assert row["device_id"].startswith("sensor-"), f"no device: {row}"
    total = sum(messages.values())
    print(json.dumps({"rows": total, "repeated": total - len(messages), "refused": refused}))


if __name__ == "__main__":
    main()
