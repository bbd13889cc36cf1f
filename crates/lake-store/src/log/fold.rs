//! Reading records and folding them to the tail.
use super::segment::segment_end;
use super::{PARALLEL_REQUESTS, TableLog, TableLogError, lock, object};
use futures::{StreamExt, TryStreamExt};
use std::ops::Range;
use std::sync::Arc;
use table_log::record::{AppendBody, Body};
use table_log::{ApplyError, Record, Seq, TableState};

impl TableLog {
    /// One record (cached; from its segment if there is one), with out-of-line file lists filled in.
    ///
    /// Errors: `Unreadable` also if there is no such record.
    pub async fn record(&self, seq: Seq) -> Result<Arc<Record>, TableLogError> {
        if let Some(record) = lock(&self.shared.records).get(seq) {
            return Ok(record);
        }
        if let Some(record) = self.record_of_segment(seq).await? {
            return Ok(record);
        }
        let found = self.read_record(seq).await?;
        found.ok_or_else(|| TableLogError::Unreadable { key: self.record_key(seq), detail: "there is no such object".to_owned() })
    }

    /// Folds to the tail. One at a time, so that clones don't fold the same records side by side.
    pub(super) async fn fold_to_tail(&self) -> Result<Arc<TableState>, TableLogError> {
        let _turn = self.shared.folding.lock().await;
        // The tail is usually here or one record on; a client far behind reads more and more at once.
        let mut ahead = 1;
        loop {
            let next = self.state().next_seq;
            let far_behind = ahead > 1 || next == Seq(0);
            if far_behind && self.fold_segment(next).await? {
                continue;
            }
            let end = (next.0 + ahead).min(segment_end(next));
            let records = self.read_run(next.0..end).await?;
            let at_tail = (records.len() as u64) < end - next.0;
            self.apply(&records)?;
            if at_tail {
                return Ok(self.state());
            }
            ahead = (ahead * 2).min(PARALLEL_REQUESTS as u64);
        }
    }

    /// A record beyond the tail means that somebody removed one: a client that took the hole for the tail would write the log anew.
    pub(super) async fn check_for_hole(&self) -> Result<(), TableLogError> {
        let tail = self.state().next_seq;
        let folder = self.record_key(tail).trim_end_matches(|c| c != '/').to_owned();
        let after = self.record_key(tail);
        let listed = self.shared.retry.repeat("list", &folder, || self.shared.store.list(&folder, Some(&after), 1)).await?;
        let beyond = listed.first().and_then(|object| object.key.strip_prefix(&folder)?.strip_suffix(".json")?.parse().ok());
        let Some(beyond) = beyond else { return Ok(()) };
        // Others may have appended since the fold.
        if self.fold_to_tail().await?.next_seq.0 > beyond {
            return Ok(());
        }
        let error = ApplyError { seq: self.state().next_seq, reason: format!("it does not exist, but record {beyond} does") };
        Err(TableLogError::Broken { table: self.table().0.clone(), error })
    }

    /// Folds a record that this client has just committed, unless a clone already has.
    pub(super) async fn fold_own(&self, record: &Arc<Record>) -> Result<(), TableLogError> {
        let _turn = self.shared.folding.lock().await;
        if self.state().next_seq == record.seq { self.apply(std::slice::from_ref(record)) } else { Ok(()) }
    }

    /// Folds the segment that begins at `next`, if it exists.
    async fn fold_segment(&self, next: Seq) -> Result<bool, TableLogError> {
        match self.read_segment(next).await? {
            Some(records) => self.apply(&records).map(|()| true),
            None => Ok(false),
        }
    }

    /// The records from the start of the range to its end or the first missing one.
    async fn read_run(&self, seqs: Range<u64>) -> Result<Vec<Arc<Record>>, TableLogError> {
        let mut reads = futures::stream::iter(seqs).map(|seq| self.read_record(Seq(seq))).buffered(PARALLEL_REQUESTS);
        let mut run = Vec::new();
        while let Some(Some(record)) = reads.try_next().await? {
            run.push(record);
        }
        Ok(run)
    }

    /// Applies records that follow each other and shows the result at once. Call with the folding turn.
    fn apply(&self, records: &[Arc<Record>]) -> Result<(), TableLogError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut state = TableState::clone(&self.state());
        for record in records {
            state.apply(record).map_err(|error| TableLogError::Broken { table: self.table().0.clone(), error })?;
        }
        lock(&self.shared.watch).follow(state.unpublished());
        *lock(&self.shared.state) = Arc::new(state);
        Ok(())
    }

    /// One record from its object; `None`: there is none yet.
    pub(super) async fn read_record(&self, seq: Seq) -> Result<Option<Arc<Record>>, TableLogError> {
        let key = self.record_key(seq);
        let Some(body) = self.get(&key).await? else { return Ok(None) };
        let record = object::decode_record(&key, seq, &body)?;
        self.keep(record, body.len()).await.map(Some)
    }

    /// Fills in lists that are elsewhere and caches the record.
    pub(super) async fn keep(&self, mut record: Record, bytes: usize) -> Result<Arc<Record>, TableLogError> {
        let mut list_bytes = 0;
        if let Body::Append(append) = &mut record.body {
            list_bytes = self.fill_lists(append).await?;
        }
        let record = Arc::new(record);
        lock(&self.shared.records).insert(Arc::clone(&record), bytes + list_bytes);
        Ok(record)
    }

    async fn fill_lists(&self, append: &mut AppendBody) -> Result<usize, TableLogError> {
        let Some(list) = append.file_list.clone() else { return Ok(0) };
        let body = self.get(&list.key).await?.ok_or_else(|| object::missing_list(&list))?;
        object::fill_file_lists(append, &list, &body)?;
        // The lists in memory are several times the compressed object.
        Ok(body.len() * 8)
    }
}
