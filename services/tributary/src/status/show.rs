use super::{PartitionStatus, TableStatus};
use crate::output::{Align, Output};

const UNKNOWN: &str = "unknown";

/// Shows tables, and each kafka_partition if asked, to a person.
pub fn tables(tables: &[TableStatus], with_partitions: bool, output: Output) {
    let header = [
        ("table", Align::Left),
        ("rows", Align::Right),
        ("late", Align::Right),
        ("quarantined", Align::Right),
        ("lag (records)", Align::Right),
        ("delay (seconds)", Align::Right),
        ("watermark", Align::Left),
        ("open windows", Align::Right),
        ("closed windows", Align::Right),
        ("sealed windows", Align::Right),
        ("amendments", Align::Right),
        ("newest record", Align::Left),
    ];
    output.table(&header, tables.iter().map(row));
    if with_partitions {
        output.line("");
        partitions(tables, output);
    }
    for table in tables {
        for drift in &table.drift {
            output.line(&format!("table `{}`: settings differ from the log: {drift}", table.table));
        }
        if table.lost > 0 {
            output.line(&format!("table `{}`: {} records are declared lost", table.table, table.lost));
        }
        for stop in &table.stops {
            output.line(&format!("table `{}` is stopped ({}): {}", table.table, stop.situation, stop.message));
        }
    }
}

fn row(table: &TableStatus) -> Vec<String> {
    let newest = match (table.newest_seq, &table.newest_at) {
        (Some(seq), Some(at)) => format!("{seq} at {at}"),
        _ => "no log yet".to_owned(),
    };
    // A derived table takes nothing from Kafka.
    let derived = table.source.is_some();
    vec![
        table.table.clone(),
        table.rows.to_string(),
        table.late_rows.to_string(),
        table.quarantined.to_string(),
        if derived { String::new() } else { table.lag_records.map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string()) },
        if derived { String::new() } else { seconds(table.delay_seconds) },
        table.watermark.clone().unwrap_or_else(|| "none".to_owned()),
        table.open_windows.to_string(),
        table.closed_windows.to_string(),
        table.sealed_windows.to_string(),
        table.amendments.to_string(),
        newest,
    ]
}

fn partitions(tables: &[TableStatus], output: Output) {
    let header = [
        ("table", Align::Left),
        ("topic", Align::Left),
        ("kafka_partition", Align::Right),
        ("next_offset", Align::Right),
        ("log_end_offset", Align::Right),
        ("lag (records)", Align::Right),
        ("delay (seconds)", Align::Right),
        ("watermark", Align::Left),
    ];
    let rows = tables.iter().flat_map(|table| table.kafka_partitions.iter().map(|p| partition(&table.table, p)));
    output.table(&header, rows);
}

fn partition(table: &str, partition: &PartitionStatus) -> Vec<String> {
    let number = |n: Option<String>| n.unwrap_or_else(|| if partition.ended { "ended" } else { UNKNOWN }.to_owned());
    vec![
        table.to_owned(),
        crate::verify::topic_name(&partition.source.topic, partition.source.generation),
        partition.source.kafka_partition.to_string(),
        partition.next_offset.to_string(),
        number(partition.log_end_offset.map(|n| n.to_string())),
        number(partition.lag_records.map(|n| n.to_string())),
        seconds(partition.delay_seconds),
        partition.watermark.clone().unwrap_or_else(|| "none".to_owned()),
    ]
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| UNKNOWN.to_owned(), |s| format!("{s:.1}"))
}
