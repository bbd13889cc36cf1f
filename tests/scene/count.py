"""Counts the rows of a table's files with duckdb. Usage: count.py LAKE_TABLE_FOLDER; prints JSON."""

import json
import sys

import duckdb

FILES = f"read_parquet('{sys.argv[1]}/data/**/*.parquet', hive_partitioning = false, union_by_name = true, filename = true)"
REFUSED = f"read_parquet('{sys.argv[1]}/quarantine/**/*.parquet', hive_partitioning = false, union_by_name = true)"
IDENTITY = "(_kafka_topic, _kafka_partition, _kafka_offset)"


def row(sql):
    relation = duckdb.sql(sql)
    return dict(zip(relation.columns, relation.fetchall()[0]))


def main():
    # It would be printed before the counts.
    duckdb.sql("SET enable_progress_bar = false")
    counts = row(
        f"""SELECT count(*) AS rows, count(DISTINCT {IDENTITY}) AS distinct_records, count(DISTINCT (device_id, seq)) AS distinct_rows,
                   sum(seq)::BIGINT AS seq_sum, sum(counter)::BIGINT AS counter_sum, count(temperature) AS temperature_rows,
                   count(*) FILTER (filename LIKE '%/late/%') AS in_late
            FROM {FILES}"""
    )
    counts |= row(f"SELECT count(*) AS refused, count(DISTINCT {IDENTITY}) AS distinct_refused FROM {REFUSED}")
    counts["reasons"] = dict(duckdb.sql(f"SELECT reason, count(*) FROM {REFUSED} GROUP BY reason").fetchall())
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
