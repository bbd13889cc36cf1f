//! Sends the observations, paced, and never further ahead of the table than the mock cluster keeps.
use super::weather::{Observation, STATIONS};
use anyhow::Context as _;
use kafka_io::{KafkaConfig, NewRecord, Producer};
use std::{sync::Arc, time::Duration};
use table_log::{KafkaPartition, SourcePartition, TableState};
use tokio::{
    sync::watch,
    time::{Instant, interval},
};

/// The whole replay takes about this long, so that a person sees it happen.
const REPLAY: Duration = Duration::from_secs(12);
/// The mock cluster keeps 5 MiB a kafka_partition; what is not yet committed stays well below.
const AHEAD_BYTES_MAX: u64 = 3 << 20;
/// Framing of a record in a batch, on the safe side.
const OVERHEAD_BYTES: u64 = 100;
/// How long a broker may take to acknowledge everything.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// Per kafka_partition: bytes sent up to the end of each record.
type Ends = [Vec<u64>; STATIONS.len()];

/// What was sent so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    /// Records per kafka_partition.
    pub records: [u64; STATIONS.len()],
    /// Time of the newest observation, ms.
    pub time_ms: i64,
}

impl Sent {
    /// Records in all kafka_partitions.
    pub(super) fn total(&self) -> u64 {
        self.records.iter().sum()
    }
}

/// Where the observations go.
#[derive(Debug)]
pub(super) struct Feed {
    /// Cluster.
    pub kafka: KafkaConfig,
    /// Topic with one kafka_partition a station.
    pub topic: String,
    /// Stop sending after this.
    pub limit: Option<Duration>,
}

impl Feed {
    /// Sends until all are sent or the limit is reached; returns when Kafka has acknowledged all of them.
    /// `state` is the table's newest fold; `report` is told what was sent.
    pub(super) async fn run(
        self,
        observations: &[Observation],
        state: watch::Receiver<Arc<TableState>>,
        report: &watch::Sender<Sent>,
    ) -> anyhow::Result<Sent> {
        let mut producer = Producer::new(&self.kafka, &[]).context("start the producer")?;
        let started = Instant::now();
        let mut sent = Sent::default();
        let mut ends: Ends = Default::default();
        let mut tick = interval(Duration::from_millis(20));
        let mut next = 0;
        while next < observations.len() {
            tick.tick().await;
            let elapsed = started.elapsed();
            if self.limit.is_some_and(|limit| elapsed >= limit) {
                break;
            }
            let due = due(observations.len(), elapsed);
            while next < due && self.may_send(&observations[next], &ends, &state.borrow()) {
                let observation = &observations[next];
                producer.send(self.record(observation)).context("send an observation")?;
                let before = ends[observation.station].last().copied().unwrap_or(0);
                ends[observation.station].push(before + observation.value.len() as u64 + OVERHEAD_BYTES);
                sent.records[observation.station] += 1;
                sent.time_ms = observation.time_ms;
                next += 1;
            }
            report.send_replace(sent.clone());
        }
        tokio::task::spawn_blocking(move || producer.flush(FLUSH_TIMEOUT)).await?.context("wait for the broker's acknowledgements")?;
        Ok(sent)
    }

    fn record(&self, observation: &Observation) -> NewRecord {
        NewRecord {
            topic: self.topic.clone(),
            kafka_partition: i32::try_from(observation.station).ok(),
            key: Some(STATIONS[observation.station].as_bytes().to_vec()),
            value: Some(observation.value.clone()),
            timestamp_ms: Some(observation.time_ms),
            headers: Vec::new(),
        }
    }

    /// Whether what the table has not taken yet leaves room in the station's kafka_partition.
    fn may_send(&self, observation: &Observation, ends: &Ends, state: &TableState) -> bool {
        let ends = &ends[observation.station];
        let taken = taken(state, &self.topic, observation.station) as usize;
        let taken_bytes = taken.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        ends.last().copied().unwrap_or(0) - taken_bytes < AHEAD_BYTES_MAX
    }
}

/// Observations that are due after `elapsed`.
fn due(observations: usize, elapsed: Duration) -> usize {
    let share = (elapsed.as_secs_f64() / REPLAY.as_secs_f64()).min(1.0);
    (observations as f64 * share).ceil() as usize
}

/// Records of a station that the table's log has taken. The topic is new, so its offsets start at 0.
pub(super) fn taken(state: &TableState, topic: &str, station: usize) -> u64 {
    let kafka_partition = KafkaPartition(i32::try_from(station).expect("there are three stations"));
    let source = SourcePartition { topic: topic.to_owned(), generation: 1, kafka_partition };
    state.next_offset(&source).map_or(0, |offset| u64::try_from(offset.0).unwrap_or(0))
}
