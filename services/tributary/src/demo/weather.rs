//! The observations that the demo replays, in order of time.
use anyhow::{Context as _, anyhow};
use event_schema::encode::AvroEncoder;
use jiff::Timestamp;

const OBSERVATIONS: &str = include_str!("../../../../examples/weather/weather.csv");
const SCHEMA: &str = include_str!("../../../../schemas/weather/v1.avsc");
/// The `schema_id` in that file.
const SCHEMA_ID: u32 = 1;
/// One kafka_partition a station.
pub(super) const STATIONS: [&str; 3] = ["EWR", "JFK", "LGA"];

/// One observation, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observation {
    /// Index in [`STATIONS`]: its kafka_partition.
    pub station: usize,
    /// When it was observed, ms since 1970: its Kafka timestamp.
    pub time_ms: i64,
    /// Framed Avro.
    pub value: Vec<u8>,
}

/// All observations by time, then station.
pub(super) fn observations() -> anyhow::Result<Vec<Observation>> {
    let encoder = AvroEncoder::new(SCHEMA, SCHEMA_ID).map_err(|error| anyhow!("schema of the demo: {error}"))?;
    let mut reader = csv::Reader::from_reader(OBSERVATIONS.as_bytes());
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut observations = Vec::new();
    for (index, row) in reader.records().enumerate() {
        let row = row?;
        let at = || format!("line {} of the observations", index + 2);
        let values: Vec<&str> = row.iter().collect();
        let origin = values.first().copied().unwrap_or_default();
        let station = STATIONS.iter().position(|station| *station == origin).with_context(at)?;
        let time: Timestamp = values.last().copied().unwrap_or_default().parse().with_context(at)?;
        let value = encoder.encode_text_row(&columns, &values).map_err(|error| anyhow!("{}: {error}", at()))?;
        observations.push(Observation { station, time_ms: time.as_millisecond(), value });
    }
    observations.sort_by_key(|observation| (observation.time_ms, observation.station));
    Ok(observations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_observation_and_they_are_in_order() {
        let observations = observations().unwrap();
        assert_eq!(observations.len(), OBSERVATIONS.lines().count() - 1);
        assert!(observations.is_sorted_by_key(|observation| observation.time_ms));
    }
}
