//! The commit loop.
use super::{TableLog, TableLogError, lock, object};
use crate::{CreateOutcome, StoreError};
use bytes::Bytes;
use rand::RngCore;
use std::sync::Arc;
use table_log::key::Key;
use table_log::planted::{Bug, is_planted};
use table_log::record::{Body, FileListRef};
use table_log::{Fenced, Plan, Proposal, PutId, Record, Seq, Stale, TableState, plan};

/// How a commit ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CommitOutcome {
    /// The record exists; its files are published next by [`TableLog::publish`].
    Committed(Arc<Record>),
    /// See [`Fenced`]. The proposal's files were not committed and never will be: discard them.
    Fenced(Fenced),
    /// See [`Stale`]. Files: as for `Fenced`.
    Stale(Stale),
    /// Somebody did the same. Files: as for `Fenced`.
    AlreadyDone,
    /// Walked away (`give_up` fired) before the outcome was known: leave the staged files, they may still be committed.
    Abandoned,
}

/// Who has the slot.
enum Slot {
    Ours,
    Others,
}

impl TableLog {
    /// Commits by the protocol in the module's text. `give_up` resolves when the caller wants to walk away (revocation, shutdown); until
    /// then a create with an unknown outcome is tried again without end.
    ///
    /// Errors: `ReadOnly`; store trouble that outlasts the retries while nothing is under way, or a refusal; a broken or unreadable log.
    pub async fn commit(&self, body: Body, give_up: impl Future<Output = ()> + Send) -> Result<CommitOutcome, TableLogError> {
        if self.shared.options.read_only {
            return Err(TableLogError::ReadOnly { table: self.table().0.clone() });
        }
        let bugged = is_planted(Bug::DiscardOnUnknownOutcome).then(|| body.clone());
        let outcome = tokio::select! {
            biased;
            outcome = self.commit_in_turn(body) => outcome,
            () = give_up => Ok(CommitOutcome::Abandoned),
        };
        if let (Ok(CommitOutcome::Abandoned), Some(body)) = (&outcome, bugged) {
            let files: Vec<_> = self.as_record(Seq(0), body).files().cloned().collect();
            self.discard(&files).await;
        }
        outcome
    }

    async fn commit_in_turn(&self, body: Body) -> Result<CommitOutcome, TableLogError> {
        let _turn = self.shared.committing.lock().await;
        let mut proposal = self.propose(body);
        let mut state = self.fold_to_tail().await?;
        self.put_lists_apart(&mut proposal, &state).await?;
        loop {
            proposal.published = lock(&self.shared.watch).published().intersection(state.unpublished()).copied().collect();
            let record = match plan(&state, &proposal) {
                Plan::Commit(record) => Arc::new(record),
                Plan::Fenced(why) => return Ok(CommitOutcome::Fenced(why)),
                Plan::Stale(why) => return Ok(CommitOutcome::Stale(why)),
                Plan::AlreadyDone => return Ok(CommitOutcome::AlreadyDone),
            };
            if is_planted(Bug::PublishBeforeCommit) {
                self.publish(&record).await?;
            }
            match self.settle(&record).await? {
                Some(Slot::Ours) => {
                    self.fold_own(&record).await?;
                    return Ok(CommitOutcome::Committed(record));
                }
                Some(Slot::Others) => state = self.fold_to_tail().await?,
                None => return Ok(CommitOutcome::Fenced(Fenced::Invalid("lost reply taken for a failure".to_owned()))),
            }
        }
    }

    fn propose(&self, body: Body) -> Proposal {
        let Record { put_id, writer, at, published, body, .. } = self.as_record(Seq(0), body);
        Proposal { put_id, writer, at, published, body }
    }

    fn as_record(&self, seq: Seq, body: Body) -> Record {
        let at = (self.shared.options.wall_clock)();
        let writer = self.shared.options.writer.clone();
        Record { format: table_log::FORMAT, seq, put_id: self.new_put_id(at.0), writer, at, published: Vec::new(), body }
    }

    fn new_put_id(&self, now_us: i64) -> PutId {
        let mut random = [0; 10];
        lock(&self.shared.ids).fill_bytes(&mut random);
        let now_ms = u64::try_from(now_us / 1000).unwrap_or(0);
        PutId(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid().to_string())
    }

    /// Writes long file lists before the record that will name them.
    async fn put_lists_apart(&self, proposal: &mut Proposal, state: &TableState) -> Result<(), TableLogError> {
        let Body::Append(append) = &mut proposal.body else { return Ok(()) };
        append.file_list = None;
        let Some(object) = object::encode_file_lists(append, self.shared.options.inline_files_bytes) else { return Ok(()) };
        let base = Seq(state.next_seq.0.saturating_sub(1));
        let key = self.path(&Key::FileList { base, put_id: proposal.put_id.clone() });
        self.fail_point("before-file-list");
        // The key holds the put_id, so an object that exists is an earlier try's.
        self.shared.retry.repeat("create", &key, || self.shared.store.create(&key, object.clone())).await?;
        self.fail_point("after-file-list");
        append.file_list = Some(FileListRef { sha256: object::sha256_hex(&object), key });
        Ok(())
    }

    /// Tries to create the record until its slot is seen occupied. `None` only with a planted bug.
    async fn settle(&self, record: &Arc<Record>) -> Result<Option<Slot>, TableLogError> {
        let key = self.record_key(record.seq);
        let object = object::encode_record(record);
        let mut backoff = self.shared.retry.backoff();
        let mut unknown = false;
        loop {
            match self.create_once(&key, &object).await {
                Ok(CreateOutcome::Created) => {
                    lock(&self.shared.records).insert(Arc::clone(record), object.len());
                    return Ok(Some(Slot::Ours));
                }
                Ok(CreateOutcome::Exists) => return self.who_has(record).await.map(Some),
                Err(StoreError::UnknownOutcome { .. }) if is_planted(Bug::LostReplyIsFailure) => return Ok(None),
                Err(error) => {
                    unknown |= matches!(error, StoreError::UnknownOutcome { .. });
                    let over = !error.is_transient() || backoff.elapsed() > self.shared.options.retry_for;
                    if over && !unknown {
                        return Err(error.into());
                    }
                    tracing::warn!(key, %error, unknown, "creating a record is tried again");
                }
            }
            self.shared.retry.pause(&mut backoff).await;
        }
    }

    async fn create_once(&self, key: &str, object: &Bytes) -> Result<CreateOutcome, StoreError> {
        self.fail_point("before-create");
        let outcome = self.shared.retry.once("create", key, self.shared.store.create(key, object.clone())).await;
        match &outcome {
            Ok(CreateOutcome::Created) => self.fail_point("after-create"),
            Err(StoreError::UnknownOutcome { .. }) => self.fail_point("lost-reply"),
            _ => {}
        }
        outcome
    }

    /// Compares the record in the slot with ours. Asks until it is known: the record may be ours.
    async fn who_has(&self, record: &Arc<Record>) -> Result<Slot, TableLogError> {
        let mut backoff = self.shared.retry.backoff();
        loop {
            match self.read_record(record.seq).await {
                Ok(Some(found)) if found.put_id == record.put_id => return Ok(Slot::Ours),
                Ok(Some(_)) => return Ok(Slot::Others),
                Ok(None) => tracing::error!(seq = record.seq.0, "a record exists for create but not for get: the store is not consistent"),
                Err(TableLogError::Store(error)) => tracing::warn!(seq = record.seq.0, %error, "reading a taken slot is tried again"),
                Err(error) => return Err(error),
            }
            self.shared.retry.pause(&mut backoff).await;
        }
    }
}
