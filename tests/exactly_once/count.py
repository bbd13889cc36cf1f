"""Counts the rows of a table's files with duckdb. Usage: count.py LAKE_TABLE_FOLDER; prints JSON."""

import json
import sys

import duckdb

FILES = f"read_parquet('{sys.argv[1]}/data/**/*.parquet', hive_partitioning = false, union_by_name = true)"
REFUSED = f"read_parquet('{sys.argv[1]}/quarantine/**/*.parquet', hive_partitioning = false, union_by_name = true)"


def main():
    rows, distinct, seqs, temperatures, late = duckdb.sql(
        f"""SELECT count(*), count(DISTINCT (_kafka_topic, _kafka_partition, _kafka_offset)), sum(seq)::BIGINT, sum(temperature_milli)::BIGINT,
                   count(*) FILTER (filename LIKE '%/late/%')
            FROM {FILES.replace('hive_partitioning', 'filename = true, hive_partitioning')}"""
    ).fetchone()
    refused, refused_distinct = duckdb.sql(
        f"SELECT count(*), count(DISTINCT (_kafka_topic, _kafka_partition, _kafka_offset)) FROM {REFUSED}"
    ).fetchone()
    reasons = dict(duckdb.sql(f"SELECT reason, count(*) FROM {REFUSED} GROUP BY reason").fetchall())
    print(
        json.dumps(
            {
                "rows": rows,
                "distinct": distinct,
                "seq_sum": seqs,
                "temperature_milli_sum": temperatures,
                "late": late,
                "refused": refused,
                "refused_distinct": refused_distinct,
                "reasons": reasons,
            }
        )
    )


if __name__ == "__main__":
    main()
