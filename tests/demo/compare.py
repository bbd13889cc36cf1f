"""Compares the weather in a lake with the CSV that it came from, value by value. Usage: compare.py CSV LAKE_TABLE_FOLDER; prints JSON."""

import collections
import csv
import json
import pathlib
import sys
from datetime import datetime, timezone

import pyarrow.parquet as pq

INTS = ["year", "month", "day", "hour"]
DOUBLES = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]


def expected(path):
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = {name: int(row[name]) for name in INTS}
            values |= {name: float(row[name]) if row[name] else None for name in DOUBLES}
            time = datetime.strptime(row["time_hour"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
            yield (row["origin"], time), values


def live(folder):
    """Files that a reader of the table sees: of each lake partition those of its newest revision, else the open ones."""
    of = collections.defaultdict(dict)
    for file in sorted(pathlib.Path(folder, "data").rglob("*.parquet")):
        of[file.parent.parent].setdefault(file.parent.name, []).append(file)
    for stages in of.values():
        yield from stages[max((name for name in stages if name.startswith("r")), default="open")]


def found(folder):
    for file in live(folder):
        day = next(part[3:] for part in file.parts if part.startswith("dt="))
        # One file at a time, without the partition columns of its path: this is what the file itself says.
        for row in pq.ParquetFile(file).read().to_pylist():
            assert row["time_hour"].strftime("%Y-%m-%d") == day, f"{file}: {row['time_hour']} is not of its lake partition"
            assert row["_kafka_timestamp"] == row["time_hour"], f"{file}: Kafka timestamp of {row}"
            yield (row["origin"], row["time_hour"]), {name: row[name] for name in INTS + DOUBLES}


def main():
    rows = list(found(sys.argv[2]))
    lake = dict(rows)
    wanted = dict(expected(sys.argv[1]))
    different = [str(key) for key in wanted.keys() | lake.keys() if wanted.get(key) != lake.get(key)]
    print(json.dumps({"rows": len(rows), "expected": len(wanted), "different": sorted(different)[:10]}))


if __name__ == "__main__":
    main()
