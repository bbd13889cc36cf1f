//! The records of one request, encoded one behind the other while its body arrives. Pure: nothing is sent before all are here.
use super::{
    answer::{ErrorCode, Fault},
    message_id::MessageIds,
};
use event_schema::{
    Refusal, RefusalCode,
    encode::{AvroEncoder, EncodeError, Room},
};
use std::ops::Range;

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Records.
    pub records: usize,
    /// Bytes of a document; longer ones are refused.
    pub record_bytes: usize,
    /// Bytes of all records as they are kept: encoded, or as they came where they are refused.
    pub bytes: usize,
}

/// A record of the request.
#[derive(Debug)]
pub enum Entry {
    /// Fits the schema. The ranges are in [`Batch::bytes`].
    Encoded {
        /// Header and Avro.
        value: Range<usize>,
        /// The key field's text.
        key: Option<Range<usize>>,
    },
    /// Does not. Boxed, as there are few.
    Refused(Box<RefusedDocument>),
}

/// A document that cannot be accepted.
#[derive(Debug)]
pub struct RefusedDocument {
    /// As it came, in [`Batch::bytes`].
    pub raw: Range<usize>,
    /// Path to the field, where there is one.
    pub field: String,
    /// Why.
    pub refusal: Refusal,
}

/// The records of one request.
#[derive(Debug)]
pub struct Batch<'a> {
    encoder: &'a AvroEncoder,
    /// Whether the encoder takes a `message_id`.
    supplies_id: bool,
    ids: Option<MessageIds>,
    limits: BatchLimits,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    room: Room,
}

impl<'a> Batch<'a> {
    /// An empty one. `expected_bytes` is about how long the body will be.
    pub fn new(
        encoder: &'a AvroEncoder,
        (supplies_id, ids): (bool, Option<MessageIds>),
        limits: BatchLimits,
        expected_bytes: usize,
    ) -> Self {
        let bytes = Vec::with_capacity(expected_bytes.min(limits.bytes));
        Self { encoder, supplies_id, ids, limits, bytes, entries: Vec::new(), room: Room::default() }
    }

    /// Encodes one document, or notes why it is refused.
    ///
    /// # Errors
    /// The request as a whole is too large.
    pub fn push(&mut self, document: &[u8]) -> Result<(), Fault> {
        let index = self.entries.len();
        if index >= self.limits.records {
            return Err(Fault::new(ErrorCode::TooLarge, format!("the request has more than {} records", self.limits.records)));
        }
        let entry = if document.len() > self.limits.record_bytes {
            let detail = format!("the record has `{}` bytes, more than `{}`", document.len(), self.limits.record_bytes);
            let refusal = Refusal { code: RefusalCode::TooLarge, detail, schema_id: None };
            self.refused(document, String::new(), refusal)
        } else {
            let id = if self.supplies_id { self.ids.as_mut().map(|ids| ids.of(index)) } else { None };
            let supplied: &[Option<&str>] = if self.supplies_id { &[id] } else { &[] };
            match self.encoder.encode(document, supplied, &mut self.room, &mut self.bytes) {
                Ok(encoded) => Entry::Encoded { value: encoded.value, key: encoded.key },
                Err(error) => {
                    let (field, refusal) = told(error);
                    self.refused(document, field, refusal)
                }
            }
        };
        self.entries.push(entry);
        if self.bytes.len() > self.limits.bytes {
            return Err(Fault::new(ErrorCode::TooLarge, format!("the encoded records have more than {} bytes", self.limits.bytes)));
        }
        Ok(())
    }

    fn refused(&mut self, document: &[u8], field: String, refusal: Refusal) -> Entry {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(document);
        Entry::Refused(Box::new(RefusedDocument { raw: start..self.bytes.len(), field, refusal }))
    }

    /// How many more records it takes.
    pub fn free_records(&self) -> usize {
        self.limits.records - self.entries.len().min(self.limits.records)
    }

    /// The records in the request's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes that an entry's range names.
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Ids of the records, if the request has an `Idempotency-Key`.
    pub fn ids(&self) -> Option<&MessageIds> {
        self.ids.as_ref()
    }
}

/// Path of the field, and the refusal that goes with the record.
fn told(error: EncodeError) -> (String, Refusal) {
    let refusal = error.refusal();
    (error.path, refusal)
}
