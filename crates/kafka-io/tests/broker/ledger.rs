//! What a lake-writer does with a consumer, in small: a log decides what was taken.
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use kafka_io::{BatchConsumer, ConsumerOptions, GroupEvent, KafkaConfig, PartitionError, StartAt, TopicPartition};

use crate::number_of;

/// The log: what was committed, and everything that must not happen.
#[derive(Debug, Default)]
pub struct Ledger {
    next: HashMap<TopicPartition, i64>,
    epochs: HashMap<TopicPartition, i32>,
    /// Records committed, to compare with those produced.
    pub records: HashMap<TopicPartition, i64>,
    /// Offsets that no record was delivered for, in a topic where every offset has one.
    pub holes: Vec<(TopicPartition, i64, i64)>,
    /// Commits that did not start where the log stood.
    pub fenced: Vec<(TopicPartition, i64, i64)>,
    /// Errors about kafka_partitions.
    pub errors: Vec<PartitionError>,
    /// Assignments and revocations, over all members.
    pub rebalances: u32,
}

impl Ledger {
    pub fn next(&self, partition: &TopicPartition) -> i64 {
        self.next.get(partition).copied().unwrap_or(0)
    }

    fn commit(&mut self, partition: &TopicPartition, buffer: &Buffer) {
        let next = self.next(partition);
        if buffer.start != next {
            self.fenced.push((partition.clone(), next, buffer.start));
            return;
        }
        self.next.insert(partition.clone(), buffer.next);
        self.epochs.extend(buffer.leader_epoch.map(|epoch| (partition.clone(), epoch)));
        *self.records.entry(partition.clone()).or_default() += buffer.records;
    }
}

/// What one member took of one kafka_partition and has not committed.
#[derive(Debug)]
struct Buffer {
    start: i64,
    next: i64,
    records: i64,
    leader_epoch: Option<i32>,
}

/// A member with its own thread.
pub struct Member {
    stop: Arc<AtomicBool>,
    owned: Arc<Mutex<Vec<TopicPartition>>>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    pub fn start(config: &KafkaConfig, options: ConsumerOptions, ledger: &Arc<Mutex<Ledger>>) -> Self {
        let (consumer, events) = BatchConsumer::start(config, options).expect("a consumer");
        let (stop, owned) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let run = Run { consumer, events, ledger: ledger.clone(), buffers: HashMap::new(), stop: stop.clone(), owned: owned.clone() };
        Self { stop, owned, thread: Some(std::thread::spawn(move || run.run())) }
    }

    /// How many kafka_partitions it owns.
    pub fn owned(&self) -> usize {
        self.owned.lock().expect("no panic").len()
    }

    /// Commits what is buffered and closes.
    pub fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("stopped once").join().expect("the member does not panic");
    }
}

struct Run {
    consumer: BatchConsumer,
    events: mpsc::Receiver<GroupEvent>,
    ledger: Arc<Mutex<Ledger>>,
    buffers: HashMap<TopicPartition, Buffer>,
    stop: Arc<AtomicBool>,
    owned: Arc<Mutex<Vec<TopicPartition>>>,
}

impl Run {
    fn run(mut self) {
        let mut rounds = 0_u32;
        while !self.stop.load(Ordering::SeqCst) {
            while let Ok(event) = self.events.try_recv() {
                self.handle(event);
            }
            self.take();
            rounds += 1;
            if rounds.is_multiple_of(8) {
                self.commit(None);
            }
        }
        self.commit(None);
        self.consumer.close();
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic")
    }

    fn handle(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Assigned { partitions, starts } => {
                let mut answer = Vec::new();
                for partition in partitions {
                    let start = self.ledger().next(&partition);
                    let leader_epoch = self.ledger().epochs.get(&partition).copied();
                    answer.push((partition.clone(), StartAt { offset: start, leader_epoch }));
                    self.buffers.insert(partition, Buffer { start, next: start, records: 0, leader_epoch });
                }
                self.ledger().rebalances += 1;
                starts.send(answer).expect("the poll thread waits");
            }
            GroupEvent::Revoked { partitions, lost, done } => {
                if !lost {
                    self.commit(Some(&partitions));
                }
                self.buffers.retain(|partition, _| !partitions.contains(partition));
                self.ledger().rebalances += 1;
                done.send(()).expect("the poll thread waits");
            }
            GroupEvent::Error { detail, fatal } => assert!(!fatal, "{detail}"),
        }
        *self.owned.lock().expect("no panic") = self.buffers.keys().cloned().collect();
    }

    fn take(&mut self) {
        let batch = self.consumer.take(500, Duration::from_millis(20));
        let mut ledger = self.ledger.lock().expect("no panic");
        ledger.errors.extend_from_slice(batch.errors());
        for record in batch.records() {
            assert_eq!(number_of(record.value), record.offset, "the value of a numbered record is its offset");
            let partition = TopicPartition { topic: record.topic.to_owned(), kafka_partition: record.kafka_partition };
            let Some(buffer) = self.buffers.get_mut(&partition) else { continue };
            if record.offset < buffer.next {
                continue;
            }
            if record.offset > buffer.next {
                ledger.holes.push((partition, buffer.next, record.offset));
            }
            buffer.next = record.offset + 1;
            buffer.records += 1;
            buffer.leader_epoch = record.leader_epoch;
        }
    }

    fn commit(&mut self, only: Option<&[TopicPartition]>) {
        let mut ledger = self.ledger.lock().expect("no panic");
        let mut offsets = Vec::new();
        for (partition, buffer) in &mut self.buffers {
            if only.is_some_and(|only| !only.contains(partition)) || buffer.start == buffer.next {
                continue;
            }
            ledger.commit(partition, buffer);
            offsets.push((partition.clone(), buffer.next));
            *buffer = Buffer { start: buffer.next, records: 0, ..*buffer };
        }
        drop(ledger);
        self.consumer.commit_offsets(&offsets);
    }
}
