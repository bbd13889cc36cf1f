//! Why records are refused. The codes are stable: they stand in quarantine files, in queries on them, and in the answers of the bridge.

/// Declares the codes once: variant, text form and description, so that docs/refusals.md and the code cannot differ.
macro_rules! refusal_codes {
    ($($variant:ident $text:literal $description:literal;)+) => {
        /// Why a record is refused. The text form is stable and listed in docs/refusals.md.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode { $(#[doc = $description] $variant,)+ }
        impl RefusalCode {
            /// Text form, snake_case.
            pub fn as_str(self) -> &'static str { match self { $(Self::$variant => $text,)+ } }
            /// What it means, for people: one or two sentences.
            pub fn description(self) -> &'static str { match self { $(Self::$variant => $description,)+ } }
            /// All codes, in the order of the docs.
            pub fn all() -> &'static [RefusalCode] { &[$(Self::$variant,)+] }
        }
    };
}

refusal_codes! {
    Tombstone "tombstone" "The record has no value (a null value, not an empty one).";
    BadMagic "bad_magic" "The value does not start with the byte 0x00 of the Confluent wire format.";
    ShortHeader "short_header" "The value is shorter than the five bytes of the Confluent wire format's header.";
    UnknownSchema "unknown_schema" "No schema has the id in the header, also after waiting for it.";
    NotAvro "not_avro" "The schema with the id in the header is not an Avro schema.";
    ShortRecord "short_record" "The bytes end before the record does, or a length or count announces more than there is.";
    TrailingBytes "trailing_bytes" "Bytes follow the end of the record.";
    InvalidNumber "invalid_number" "A variable-length integer is longer than ten bytes or outside of its type's range.";
    InvalidLength "invalid_length" "The length of a string or of bytes is negative.";
    InvalidUtf8 "invalid_utf8" "A string or a map key, or a JSON document, is not UTF-8.";
    InvalidEnum "invalid_enum" "The index of an enum symbol is outside of the schema's symbols.";
    InvalidUnion "invalid_union" "The index of a union branch is outside of the union.";
    InvalidBlock "invalid_block" "A block of an array or map has an impossible count, or its byte size is not that of its items.";
    InvalidBoolean "invalid_boolean" "A boolean is neither 0 nor 1.";
    InvalidUuid "invalid_uuid" "A uuid in text form is not 32 hexadecimal digits in groups of 8-4-4-4-12.";
    TooDeep "too_deep" "The value is nested deeper than the limit.";
    TooManyNodes "too_many_nodes" "The value has more nodes (fields, items, map entries, also those under nulls) than the limit.";
    TooLarge "too_large" "The value has more bytes than the limit for a record, or than Kafka takes.";
    DecimalOverflow "decimal_overflow" "A decimal has more digits than its precision.";
    ValueOutOfRange "value_out_of_range" "A value cannot be kept without changing it, such as a timestamp in milliseconds that overflows microseconds.";
    EventTimeNull "event_time_null" "The event-time column is null.";
    EventTimeFuture "event_time_future" "The event time is further ahead of Kafka's timestamp than `max_future`.";
    EventTimePast "event_time_past" "The event time is further behind Kafka's timestamp than `max_past`.";
    EventTimeRange "event_time_range" "The event time is outside of the years that lake partitions can name.";
    PartitionValueTooLong "partition_value_too_long" "The value of a partition column is too long for an object key.";
    InvalidJson "invalid_json" "The bridge got a document that is not JSON.";
    WrongType "wrong_type" "A value of a JSON document is not one of its field's type, or not without loss.";
    MissingField "missing_field" "A field that has no default and cannot be null has no value.";
    UnknownField "unknown_field" "A JSON document has a field that the schema does not have.";
    DuplicateField "duplicate_field" "A name stands twice in an object of a JSON document.";
    ConflictingField "conflicting_field" "A payload claims another value for a field than what the bridge knows, such as the device's id in the topic.";
    UnexpectedSchema "unexpected_schema" "The payload has the id of a schema that is not one of its topic's subject.";
    InvalidTopic "invalid_topic" "The MQTT topic, or a part of it that becomes a value, has characters or a length that are not taken.";
    NoRoute "no_route" "The MQTT topic belongs to no route of the settings: the broker still had a subscription of older ones.";
    RefusedByKafka "refused_by_kafka" "Kafka does not take the record, for a reason that lies in the record itself.";
    BridgeRefused "bridge_refused" "The bridge refused the record before it reached its topic, for a reason of its own; it is in `detail` and in the headers.";
}

impl RefusalCode {
    /// The code of a text form; `None` if there is none.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().iter().copied().find(|code| code.as_str() == text)
    }
}

impl std::fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refused record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// Where and what. Of a JSON document it may quote the beginning of a value: not for logs.
    pub detail: String,
    /// Id in the header, where there is one.
    pub schema_id: Option<u32>,
}

#[cfg(test)]
mod tests;
