//! Segments: 1,000 records in one object, verbatim, one per line. A cache.
use super::{Caches, PARALLEL_REQUESTS, TableLog, TableLogError, lock, object};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use table_log::key::Key;
use table_log::{Record, Seq, TableState};

/// Records of a segment.
const SEGMENT_RECORDS: u64 = 1000;
/// Segments written in one go: a client that finds an old log without them spreads the work.
const WRITTEN_AT_ONCE: u64 = 4;

impl TableLog {
    fn segment_key(&self, from: Seq) -> String {
        self.path(&Key::Segment { from, to: Seq(from.0 + SEGMENT_RECORDS) })
    }

    /// Reads the whole segment that holds `seq`, as its neighbours are usually wanted next. `None`: there is none, or it is larger than the cache.
    pub(super) async fn record_of_segment(&self, seq: Seq) -> Result<Option<Arc<Record>>, TableLogError> {
        let from = segment_start(seq);
        if segment_end(seq) > self.state().next_seq.0 {
            return Ok(None);
        }
        // One at a time: others that want a neighbour find it in the cache.
        let mut absent = self.shared.absent_segments.lock().await;
        let cached = lock(&self.shared.records).get(seq);
        if cached.is_some() || absent.contains(&from) {
            return Ok(cached);
        }
        if self.read_segment(from).await?.is_none() {
            absent.insert(from);
        }
        Ok(lock(&self.shared.records).get(seq))
    }

    /// The records of the segment that begins at `from`. `None`: there is none, or it is no use.
    pub(super) async fn read_segment(&self, from: Seq) -> Result<Option<Vec<Arc<Record>>>, TableLogError> {
        if !from.0.is_multiple_of(SEGMENT_RECORDS) {
            return Ok(None);
        }
        let key = self.segment_key(from);
        let Some(body) = self.get(&key).await? else { return Ok(None) };
        let records = match decode_segment(&key, from, &body) {
            Ok(records) => records,
            Err(error) => {
                tracing::warn!(key, %error, "segment is not readable and is ignored");
                return Ok(None);
            }
        };
        let last = &records[records.len() - 1].0;
        let fits = self.read_record(last.seq).await?.is_some_and(|record| record.put_id == last.put_id);
        if !fits {
            tracing::warn!(key, "segment does not fit the log and is ignored");
            return Ok(None);
        }
        let keeping = futures::stream::iter(records).map(|(record, bytes)| self.keep(record, bytes));
        keeping.buffered(PARALLEL_REQUESTS).try_collect().await.map(Some)
    }

    /// Writes segments that the folded log is long enough for, the newest missing ones first known by asking backwards.
    pub(super) async fn write_segments(&self, state: &TableState, caches: &mut Caches) -> Result<(), TableLogError> {
        let end = segment_start(state.next_seq).0;
        let mut from = match caches.segments_to {
            Some(done) => done.0,
            None => self.first_missing_segment(end).await?,
        };
        for _ in 0..WRITTEN_AT_ONCE {
            if from < end {
                self.write_segment(Seq(from)).await?;
                from += SEGMENT_RECORDS;
            }
        }
        caches.segments_to = Some(Seq(from));
        Ok(())
    }

    /// Start of the first segment after the newest existing one.
    async fn first_missing_segment(&self, end: u64) -> Result<u64, TableLogError> {
        let mut from = end;
        while from > 0 {
            let key = self.segment_key(Seq(from - SEGMENT_RECORDS));
            if self.shared.retry.repeat("head", &key, || self.shared.store.head(&key)).await?.is_some() {
                break;
            }
            from -= SEGMENT_RECORDS;
        }
        Ok(from)
    }

    async fn write_segment(&self, from: Seq) -> Result<(), TableLogError> {
        let reads = futures::stream::iter(from.0..from.0 + SEGMENT_RECORDS).map(|seq| async move {
            let key = self.record_key(Seq(seq));
            let body = self.get(&key).await?;
            body.ok_or_else(|| TableLogError::Unreadable { key, detail: "there is no such object".to_owned() })
        });
        let bodies: Vec<Bytes> = reads.buffered(PARALLEL_REQUESTS).try_collect().await?;
        let lines = bodies.join(b"\n".as_slice());
        let key = self.segment_key(from);
        self.fail_point("before-segment");
        self.shared.retry.once("create", &key, self.shared.store.create(&key, object::compress(&lines))).await?;
        self.fail_point("after-segment");
        Ok(())
    }
}

fn segment_start(seq: Seq) -> Seq {
    Seq(seq.0 - seq.0 % SEGMENT_RECORDS)
}

/// End of the segment that holds `seq`.
pub(super) fn segment_end(seq: Seq) -> u64 {
    segment_start(seq).0 + SEGMENT_RECORDS
}

/// The records with the size of each; exactly the segment's, in order.
fn decode_segment(key: &str, from: Seq, body: &[u8]) -> Result<Vec<(Record, usize)>, TableLogError> {
    let unreadable = |detail: String| TableLogError::Unreadable { key: key.to_owned(), detail };
    let lines = object::decompress(body).map_err(|e| unreadable(e.to_string()))?;
    let numbered = lines.split(|byte| *byte == b'\n').zip(from.0..);
    let records: Vec<_> =
        numbered.map(|(line, seq)| Ok((object::decode_record(key, Seq(seq), line)?, line.len()))).collect::<Result<_, TableLogError>>()?;
    if records.len() as u64 == SEGMENT_RECORDS { Ok(records) } else { Err(unreadable(format!("it has {} records", records.len()))) }
}
