//! The records of one request on their way to Kafka, until all have their outcome.
use crate::outbox::{Outcome, Receipts};
use event_schema::Refusal;
use kafka_io::Delivered;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering},
};
use tokio::sync::Notify;

/// Outcomes of the records of one request; the token of a record is its index.
#[derive(Debug)]
pub struct Pending {
    open: AtomicUsize,
    places: Box<[Place]>,
    /// What Kafka itself would not take.
    refusals: Mutex<Vec<(usize, Refusal)>>,
    settled: Notify,
}

/// Where a record is, once that is known.
#[derive(Debug)]
struct Place {
    kafka_partition: AtomicI32,
    offset: AtomicI64,
}

impl Pending {
    /// Waits for so many records.
    pub fn new(records: usize) -> Self {
        let place = || Place { kafka_partition: AtomicI32::new(-1), offset: AtomicI64::new(-1) };
        Self {
            open: AtomicUsize::new(records),
            places: std::iter::repeat_with(place).take(records).collect(),
            refusals: Mutex::default(),
            settled: Notify::new(),
        }
    }

    /// Resolves when every record has its outcome. For one waiter.
    pub async fn all(&self) {
        // A notification that came before is kept by `Notify`.
        while self.open.load(Ordering::Acquire) > 0 {
            self.settled.notified().await;
        }
    }

    /// Where the record is; `None` if Kafka would not take it, or that is not known.
    pub fn place(&self, index: usize) -> Option<Delivered> {
        let place = self.places.get(index)?;
        let offset = place.offset.load(Ordering::Acquire);
        (offset >= 0).then(|| Delivered { kafka_partition: place.kafka_partition.load(Ordering::Acquire), offset })
    }

    /// What Kafka would not take, by index.
    pub fn refusals(&self) -> Vec<(usize, Refusal)> {
        std::mem::take(&mut self.refusals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Receipts for Pending {
    fn settled(&self, token: u64, outcome: Outcome) {
        let index = usize::try_from(token).unwrap_or(usize::MAX);
        match (outcome, self.places.get(index)) {
            (Outcome::Stored(at), Some(place)) => {
                place.kafka_partition.store(at.kafka_partition, Ordering::Release);
                place.offset.store(at.offset, Ordering::Release);
            }
            (Outcome::Refused(refusal), _) => self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push((index, refusal)),
            (Outcome::Stored(_), None) => {}
        }
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settled.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_schema::RefusalCode;
    use std::sync::Arc;

    #[tokio::test]
    async fn the_last_outcome_ends_the_wait() {
        let pending = Arc::new(Pending::new(2));
        let waiting = tokio::spawn({
            let pending = Arc::clone(&pending);
            async move { pending.all().await }
        });
        pending.settled(1, Outcome::Stored(Delivered { kafka_partition: 3, offset: 42 }));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "one is open");
        let refusal = Refusal { code: RefusalCode::TooLarge, detail: "x".to_owned(), schema_id: None };
        pending.settled(0, Outcome::Refused(refusal.clone()));
        waiting.await.expect("it ends");
        assert_eq!(pending.place(1).map(|at| (at.kafka_partition, at.offset)), Some((3, 42)));
        assert!(pending.place(0).is_none());
        assert_eq!(pending.refusals(), [(0, refusal)]);
        Pending::new(0).all().await;
    }
}
