//! Places for heavy work, so that the memory budget holds for the process.
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory with which a piece of work goes at full speed; a budget is not divided further.
const COMFORTABLE_BYTES: u64 = 256 << 20;

/// As many pieces of work go on at once as there are cores and memory for. Clones share the places.
#[derive(Clone, Debug)]
pub struct WorkSlots {
    places: Arc<Semaphore>,
    memory_bytes: u64,
}

/// The right to work, with a share of the memory budget. It ends when dropped.
#[derive(Debug)]
pub struct WorkPermit {
    /// Memory for the rows of this work.
    pub memory_bytes: u64,
    _place: OwnedSemaphorePermit,
}

impl WorkSlots {
    /// Divides the budget.
    pub fn new(memory_budget_bytes: u64) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get) as u64;
        let places = (memory_budget_bytes / COMFORTABLE_BYTES).clamp(1, cores);
        let semaphore = Semaphore::new(usize::try_from(places).unwrap_or(1));
        Self { places: Arc::new(semaphore), memory_bytes: memory_budget_bytes / places }
    }

    /// Waits for a place; those who wait get them in turn.
    pub async fn acquire(&self) -> WorkPermit {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        WorkPermit { memory_bytes: self.memory_bytes, _place: place }
    }
}
