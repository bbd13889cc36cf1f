//! Checkpoints: folded states, so that opening does not read the whole log. A cache.
use super::{TableLog, TableLogError, lock, object};
use crate::StoreError;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use table_log::key::{Key, log_path};
use table_log::state::FOLD_VERSION;
use table_log::{PutId, Seq, TableState};

/// Checkpoints that are kept.
const KEPT: usize = 10;
/// Checkpoints that are looked at in one go.
const LISTED: usize = 1000;

#[derive(Deserialize)]
struct Checkpoint {
    seq: Seq,
    /// Of the record `seq`: a checkpoint of another log does not fit.
    put_id: PutId,
    state: TableState,
}

#[derive(Serialize)]
struct CheckpointView<'a> {
    seq: Seq,
    put_id: &'a PutId,
    state: &'a TableState,
}

impl TableLog {
    /// Begins the fold from the newest checkpoint that fits. Anything wrong with one only means that more records are read.
    pub(super) async fn load_checkpoint(&self) -> Result<(), TableLogError> {
        let mut tried = None;
        if let Some(hinted) = self.hinted_checkpoint().await? {
            if self.adopt_checkpoint(hinted).await? {
                return Ok(());
            }
            tried = Some(hinted);
        }
        let mut found = self.list_checkpoints().await?;
        found.retain(|seq| Some(*seq) != tried);
        for seq in found.into_iter().rev() {
            if self.adopt_checkpoint(seq).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn hinted_checkpoint(&self) -> Result<Option<Seq>, TableLogError> {
        let hint = self.get(&self.path(&Key::LatestCheckpoint { fold_version: FOLD_VERSION })).await?;
        Ok(hint.and_then(|hint| std::str::from_utf8(&hint).ok()?.trim().parse().ok()).map(Seq))
    }

    /// Seqs of the checkpoints of this fold version, ascending.
    async fn list_checkpoints(&self) -> Result<Vec<Seq>, StoreError> {
        let latest = self.path(&Key::LatestCheckpoint { fold_version: FOLD_VERSION });
        let folder = latest.strip_suffix("latest").unwrap_or(&latest);
        let listed = self.shared.retry.repeat("list", folder, || self.shared.store.list(folder, None, LISTED)).await?;
        let seqs = listed.iter().filter_map(|object| {
            let number = object.key.strip_prefix(folder)?.strip_suffix(".json.zst")?;
            number.parse().ok().map(Seq)
        });
        Ok(seqs.collect())
    }

    async fn adopt_checkpoint(&self, seq: Seq) -> Result<bool, TableLogError> {
        let key = self.path(&Key::Checkpoint { fold_version: FOLD_VERSION, seq });
        let Some(body) = self.get(&key).await? else { return Ok(false) };
        let checkpoint: Checkpoint = match object::decompress(&body).and_then(|json| Ok(serde_json::from_slice(&json)?)) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                tracing::warn!(key, %error, "checkpoint is not readable and is ignored");
                return Ok(false);
            }
        };
        let record_put_id = self.read_record(seq).await?.map(|record| record.put_id.clone());
        let fits =
            checkpoint.seq == seq && checkpoint.state.next_seq == Seq(seq.0 + 1) && record_put_id.as_ref() == Some(&checkpoint.put_id);
        if !fits {
            tracing::warn!(key, "checkpoint does not fit the log and is ignored");
            return Ok(false);
        }
        lock(&self.shared.watch).follow(checkpoint.state.unpublished());
        *lock(&self.shared.state) = Arc::new(checkpoint.state);
        self.shared.maintaining.lock().await.checkpoint = Some(seq);
        Ok(true)
    }

    /// Writes the caches that are due. They are worth one try: the next call has another.
    pub(super) async fn maintain(&self, state: &TableState) {
        if self.shared.options.read_only {
            return;
        }
        let Ok(mut caches) = self.shared.maintaining.try_lock() else { return };
        // A clone may have folded more meanwhile and written a newer one.
        let folded = state.next_seq.0.saturating_sub(caches.checkpoint.map_or(0, |seq| seq.0 + 1));
        if folded <= self.shared.options.checkpoint_every {
            return;
        }
        // Also after a failure: the next one is due as many records later.
        caches.checkpoint = Some(Seq(state.next_seq.0 - 1));
        if let Err(error) = self.write_checkpoint(state).await {
            tracing::warn!(%error, "checkpoint was not written");
        }
        if let Err(error) = self.write_segments(state, &mut caches).await {
            tracing::warn!(%error, "segment was not written");
        }
    }

    async fn write_checkpoint(&self, state: &TableState) -> Result<(), TableLogError> {
        let seq = Seq(state.next_seq.0 - 1);
        let record = self.record(seq).await?;
        let view = CheckpointView { seq, put_id: &record.put_id, state };
        let json = serde_json::to_vec(&view).expect("the state has only string keys");
        let key = self.path(&Key::Checkpoint { fold_version: FOLD_VERSION, seq });
        self.fail_point("before-checkpoint");
        self.shared.retry.once("create", &key, self.shared.store.create(&key, object::compress(&json))).await?;
        self.fail_point("after-checkpoint");
        let latest = log_path(self.table(), &Key::LatestCheckpoint { fold_version: FOLD_VERSION });
        let hint = Bytes::from(seq.to_string());
        self.shared.retry.once("put_hint", &latest, self.shared.store.put_hint(&latest, hint)).await?;
        self.fail_point("after-latest");
        self.drop_old_checkpoints().await
    }

    async fn drop_old_checkpoints(&self) -> Result<(), TableLogError> {
        let found = self.list_checkpoints().await?;
        for &seq in &found[..found.len().saturating_sub(KEPT)] {
            let key = self.path(&Key::Checkpoint { fold_version: FOLD_VERSION, seq });
            self.shared.retry.once("delete", &key, self.shared.store.delete(&key)).await?;
        }
        Ok(())
    }
}
