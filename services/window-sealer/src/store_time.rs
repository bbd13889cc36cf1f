//! Ages by the store's own time: never this machine's clock against another's.
use crate::error::SealerError;
use crate::retry;
use lake_store::TableLog;
use service_runtime::clock::Clock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use table_log::Seq;
use table_log::key::{Key, log_path};
use tokio::time::Instant;

/// Records whose times are kept: an object's time never changes, so this only bounds memory.
const KEPT: usize = 10_000;

/// How long an answer of the store on its clock is good.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

/// The store's times of a table's records.
#[derive(Debug)]
pub struct StoreTimes {
    log: TableLog,
    clock: Arc<dyn Clock>,
    known: BTreeMap<Seq, SystemTime>,
    ahead_seconds: f64,
    compared: Option<Instant>,
}

impl StoreTimes {
    /// Knows nothing yet.
    pub fn new(log: TableLog, clock: Arc<dyn Clock>) -> Self {
        Self { log, clock, known: BTreeMap::new(), ahead_seconds: 0.0, compared: None }
    }

    /// Asks the store how its clock stands to this machine's, if the last answer is not fresh.
    ///
    /// # Errors
    /// Trouble of the store that lasts.
    pub async fn compare(&mut self) -> Result<(), SealerError> {
        if self.compared.is_some_and(|compared| compared.elapsed() < COMPARE_EVERY) {
            return Ok(());
        }
        let store = Arc::clone(self.log.store());
        let (ahead_seconds, uncertainty) = retry::repeat("compare clocks", || store.clock_offset()).await?;
        // The lower bound: nothing is taken for older than it is.
        self.ahead_seconds = ahead_seconds - uncertainty.as_secs_f64();
        self.compared = Some(Instant::now());
        Ok(())
    }

    /// Now, by the store.
    pub fn now(&self) -> SystemTime {
        let micros = self.clock.now().0.saturating_add((self.ahead_seconds * 1e6) as i64);
        UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// When the store got a record.
    ///
    /// # Errors
    /// Trouble of the store that lasts.
    pub async fn of(&mut self, seq: Seq) -> Result<SystemTime, SealerError> {
        if let Some(known) = self.known.get(&seq) {
            return Ok(*known);
        }
        let store = Arc::clone(self.log.store());
        let key = log_path(self.log.table(), &Key::Record(seq));
        let found = retry::repeat("look at record", || store.head(&key)).await?;
        let found = found.ok_or_else(|| SealerError::bug("look at record", format!("`{key}` is gone")))?;
        if self.known.len() >= KEPT {
            self.known.pop_first();
        }
        self.known.insert(seq, found.modified);
        Ok(found.modified)
    }

    /// How long the store has had a record.
    ///
    /// # Errors
    /// As [`StoreTimes::of`].
    pub async fn age(&mut self, seq: Seq) -> Result<Duration, SealerError> {
        let since = self.of(seq).await?;
        Ok(self.now().duration_since(since).unwrap_or_default())
    }

    /// The greatest seq below `end` whose record is older than `age`; `None`: none is. Times of records grow with their seqs, so it is searched
    /// by halving.
    ///
    /// # Errors
    /// As [`StoreTimes::of`].
    pub async fn newest_older_than(&mut self, end: Seq, age: Duration) -> Result<Option<Seq>, SealerError> {
        let (mut old_end, mut young) = (0, end.0);
        while old_end < young {
            let middle = old_end + (young - old_end) / 2;
            if self.age(Seq(middle)).await? > age {
                old_end = middle + 1;
            } else {
                young = middle;
            }
        }
        Ok(old_end.checked_sub(1).map(Seq))
    }
}
