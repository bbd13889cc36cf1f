//! Records that keep coming while things are done to the writers.
use crate::scene::Scene;
use kafka_io::Producer;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use test_kit::{KafkaServer, telemetry::Totals, wait_until};

const TICK: Duration = Duration::from_millis(50);
/// What a step takes, about. If one takes longer the flow becomes thinner, and never ends before the last one.
const STEP: Duration = Duration::from_secs(6);
const FLUSH: Duration = Duration::from_secs(60);

/// A producer that spreads its records over the steps of a test.
#[derive(Debug)]
pub struct Flow {
    steps_left: Arc<AtomicU64>,
    thread: JoinHandle<Totals>,
}

impl Flow {
    /// Starts to produce.
    pub fn start(scene: &Scene, records: u64, seed: u64, steps: u64) -> Self {
        let steps_left = Arc::new(AtomicU64::new(steps.max(1)));
        let (left, topics, mix) = (Arc::clone(&steps_left), scene.topics().to_vec(), Scene::mix(records, seed));
        let config = KafkaServer::shared().config();
        let thread = std::thread::spawn(move || {
            let mut producer = Producer::new(&config, &[]).expect("start a producer");
            let mut stream = mix.stream();
            let mut sent = 0;
            while sent < records {
                let tick = Instant::now();
                for record in stream.by_ref().take(due(records - sent, left.load(Ordering::Relaxed)) as usize) {
                    producer.send(record.to_new(&topics[(sent / 20) as usize % topics.len()])).expect("send a record");
                    sent += 1;
                }
                wait_until(TICK * 100, "the next records are due", || tick.elapsed() >= TICK);
            }
            producer.flush(FLUSH).expect("the broker acknowledges everything");
            stream.totals().clone()
        });
        Self { steps_left, thread }
    }

    /// A step is done.
    pub fn step_done(&self) {
        let one_less = |steps: u64| Some(steps.saturating_sub(1).max(1));
        // The function never refuses.
        let _ = self.steps_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }

    /// Sends the rest at once; returns what must come out.
    pub fn end(self) -> Totals {
        self.steps_left.store(0, Ordering::Relaxed);
        self.thread.join().expect("the producer sends everything")
    }
}

/// Records due in a tick.
fn due(records_left: u64, steps_left: u64) -> u64 {
    if steps_left == 0 {
        return records_left.min(100_000);
    }
    let ticks_left = STEP.as_secs_f64() * steps_left as f64 / TICK.as_secs_f64();
    ((records_left as f64 / ticks_left) as u64).clamp(1, records_left)
}
