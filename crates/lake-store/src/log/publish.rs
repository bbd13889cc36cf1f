//! Making the files of committed records visible, our own and those that others left.
use super::{PARALLEL_REQUESTS, TableLog, TableLogError, lock};
use crate::PublishOutcome;
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use table_log::record::FileEntry;
use table_log::{FileRef, Record, Seq};
use tokio::time::Instant;

/// What this client has seen of records whose files no `published` names yet.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When it first saw each of them, by its own monotonic clock.
    first_seen: BTreeMap<Seq, Instant>,
    /// Those whose files it has seen in place.
    published: BTreeSet<Seq>,
    /// Since when a file has had neither object nor upload.
    missing_since: BTreeMap<FileRef, Instant>,
}

impl Watch {
    pub(super) fn follow(&mut self, unpublished: &BTreeSet<Seq>) {
        let now = Instant::now();
        self.first_seen.retain(|seq, _| unpublished.contains(seq));
        for seq in unpublished {
            self.first_seen.entry(*seq).or_insert(now);
        }
        self.published.retain(|seq| unpublished.contains(seq));
        self.missing_since.retain(|file, _| unpublished.contains(&file.seq));
    }

    fn is_in_place(&mut self, seq: Seq) {
        self.missing_since.retain(|file, _| file.seq != seq);
        self.published.insert(seq);
    }

    pub(super) fn published(&self) -> &BTreeSet<Seq> {
        &self.published
    }
}

impl TableLog {
    /// Publishes the files of a committed record (repeatable) and remembers it for the next record's `published`.
    ///
    /// `Ok` with a file missing is possible: a live file without object and upload is looked for again by [`TableLog::help`], and only the
    /// record whose files are all in place is remembered. Errors: store trouble that outlasts the retries; `LakeFileLost` after ten
    /// minutes; `ReadOnly`.
    pub async fn publish(&self, record: &Record) -> Result<(), TableLogError> {
        if self.shared.options.read_only {
            return Err(TableLogError::ReadOnly { table: self.table().0.clone() });
        }
        let files: Vec<FileEntry> = record.files().cloned().collect();
        self.fail_point("before-publish");
        let publishing: Vec<_> = files.iter().enumerate().map(|(index, file)| self.publish_file(index, file)).collect();
        let publishing = futures::stream::iter(publishing).buffer_unordered(PARALLEL_REQUESTS);
        let missing: Vec<Option<usize>> = publishing.try_collect().await?;
        self.fail_point("after-publish");
        let missing: BTreeSet<usize> = missing.into_iter().flatten().collect();
        let in_place = missing.is_empty() || self.none_is_lost(record, &files, &missing).await?;
        if in_place {
            lock(&self.shared.watch).is_in_place(record.seq);
        }
        Ok(())
    }

    /// Returns the index of the file if it is missing.
    async fn publish_file(&self, index: usize, file: &FileEntry) -> Result<Option<usize>, TableLogError> {
        let publish = || self.shared.store.publish(&file.key, &file.upload, file.bytes);
        let outcome = self.shared.retry.repeat("publish", &file.key, publish).await?;
        Ok((outcome == PublishOutcome::Missing).then_some(index))
    }

    /// Whether all missing files are vacuumed by now, or the record was published by another. Errors: `LakeFileLost`.
    async fn none_is_lost(&self, record: &Record, files: &[FileEntry], missing: &BTreeSet<usize>) -> Result<bool, TableLogError> {
        let state = self.fold_to_tail().await?;
        if !state.unpublished().contains(&record.seq) {
            return Ok(true);
        }
        let mut watch = lock(&self.shared.watch);
        let mut all_vacuumed = true;
        for &index in missing {
            let file = FileRef { seq: record.seq, index: index as u32 };
            if !state.names_file(file) {
                continue;
            }
            all_vacuumed = false;
            let key = files[index].key.clone();
            let since = *watch.missing_since.entry(file).or_insert_with(|| {
                tracing::error!(key, seq = record.seq.0, "a committed file has neither object nor upload");
                Instant::now()
            });
            if since.elapsed() >= self.shared.options.lost_after {
                return Err(TableLogError::LakeFileLost { table: self.table().0.clone(), seq: record.seq, key });
            }
        }
        Ok(all_vacuumed)
    }

    /// Publishes what others left unpublished for `help_after`; call it every second or so. Writes caches that are due.
    ///
    /// Errors: as [`TableLog::publish`], the first one after all records had their turn. Does nothing on a read-only client.
    pub async fn help(&self) -> Result<(), TableLogError> {
        if self.shared.options.read_only {
            return Ok(());
        }
        let mut outcome = Ok(());
        for seq in self.left_unpublished() {
            outcome = outcome.and(self.help_with(seq).await);
        }
        self.maintain(&self.state()).await;
        outcome
    }

    async fn help_with(&self, seq: Seq) -> Result<(), TableLogError> {
        let record = self.record(seq).await?;
        self.fail_point("before-help");
        self.publish(&record).await?;
        self.fail_point("after-help");
        Ok(())
    }

    fn left_unpublished(&self) -> Vec<Seq> {
        let watch = lock(&self.shared.watch);
        let due = watch
            .first_seen
            .iter()
            .filter(|(seq, since)| !watch.published.contains(seq) && since.elapsed() >= self.shared.options.help_after);
        due.map(|(seq, _)| *seq).collect()
    }

    /// Discards staged files of a proposal that was fenced, stale or already done. What cannot be discarded is left to the sweeper.
    pub async fn discard(&self, files: &[FileEntry]) {
        let discarding: Vec<_> = files.iter().map(|file| self.discard_file(file)).collect();
        futures::stream::iter(discarding).buffer_unordered(PARALLEL_REQUESTS).collect::<()>().await;
    }

    async fn discard_file(&self, file: &FileEntry) {
        let discard = || self.shared.store.discard(&file.key, &file.upload);
        if let Err(error) = self.shared.retry.repeat("discard", &file.key, discard).await {
            tracing::warn!(key = file.key, %error, "staged file is left to the sweeper");
        }
    }
}
