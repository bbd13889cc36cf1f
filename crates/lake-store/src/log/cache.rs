//! Records that were read lately, bounded by the size of their objects.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use table_log::{Record, Seq};

/// Least recently used records go first.
#[derive(Debug)]
pub(super) struct RecordCache {
    limit_bytes: usize,
    bytes: usize,
    tick: u64,
    entries: HashMap<Seq, Entry>,
    by_tick: BTreeMap<u64, Seq>,
}

#[derive(Debug)]
struct Entry {
    record: Arc<Record>,
    bytes: usize,
    tick: u64,
}

impl RecordCache {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, bytes: 0, tick: 0, entries: HashMap::new(), by_tick: BTreeMap::new() }
    }

    pub(super) fn get(&mut self, seq: Seq) -> Option<Arc<Record>> {
        self.tick += 1;
        let entry = self.entries.get_mut(&seq)?;
        self.by_tick.remove(&entry.tick);
        entry.tick = self.tick;
        self.by_tick.insert(self.tick, seq);
        Some(Arc::clone(&entry.record))
    }

    /// Keeps a record; `bytes` is the size of its object and file list.
    pub(super) fn insert(&mut self, record: Arc<Record>, bytes: usize) {
        self.remove(record.seq);
        self.tick += 1;
        let seq = record.seq;
        self.entries.insert(seq, Entry { record, bytes, tick: self.tick });
        self.by_tick.insert(self.tick, seq);
        self.bytes += bytes;
        while self.bytes > self.limit_bytes {
            let Some((_, oldest)) = self.by_tick.pop_first() else { break };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, seq: Seq) {
        if let Some(entry) = self.entries.remove(&seq) {
            self.by_tick.remove(&entry.tick);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use table_log::record::{Body, FlushBody};
    use table_log::{FORMAT, PutId};
    use windowing::Time;

    fn record(seq: u64) -> Arc<Record> {
        let body = Body::Flush(FlushBody { actor: String::new() });
        let put_id = PutId(String::new());
        Arc::new(Record { format: FORMAT, seq: Seq(seq), put_id, writer: String::new(), at: Time(0), published: Vec::new(), body })
    }

    #[test]
    fn least_recently_used_goes_first() {
        let mut cache = RecordCache::new(30);
        (0..3).for_each(|seq| cache.insert(record(seq), 10));
        assert!(cache.get(Seq(0)).is_some());
        cache.insert(record(3), 10);
        assert!(cache.get(Seq(1)).is_none());
        assert!([0, 2, 3].iter().all(|seq| cache.get(Seq(*seq)).is_some()));
        cache.insert(record(4), 31);
        assert_eq!((cache.bytes, cache.entries.len(), cache.by_tick.len()), (0, 0, 0), "larger than the cache");
    }

    #[test]
    fn the_same_record_counts_once() {
        let mut cache = RecordCache::new(30);
        (0..9).for_each(|_| cache.insert(record(1), 10));
        assert_eq!((cache.bytes, cache.entries.len(), cache.by_tick.len()), (10, 1, 1));
    }
}
