//! The compiled form of a schema: references resolved, only supported types, what each costs.
use std::sync::Arc;

/// A type and where its null branch stands.
#[derive(Clone, Debug)]
pub(crate) struct Type {
    /// What a value that is not null looks like.
    pub shape: Shape,
    /// The union with null, if it is one.
    pub null: NullBranch,
    /// Nodes that a null of this type takes in Arrow: members of a null record still have a slot each, so hostile nulls are not free.
    pub null_nodes: usize,
}

/// Which branch of a union is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullBranch {
    /// Not a union.
    Absent,
    /// `["null", T]`
    First,
    /// `[T, "null"]`
    Second,
}

/// Supported types, logical types told apart.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Boolean,
    Int,
    /// Days since 1970-01-01.
    Date,
    /// Kept as its int: Hive tables have no time of day.
    TimeMillis,
    Long,
    /// Kept as its long.
    TimeMicros,
    Timestamp(Timestamp),
    Float,
    Double,
    Bytes,
    String,
    /// String-backed uuid.
    UuidText,
    /// Backed by fixed(16).
    UuidBytes,
    Fixed(usize),
    Decimal(Decimal),
    Enum(Arc<[String]>),
    Array(Box<Type>),
    Map(Box<Type>),
    Record(Vec<Member>),
}

/// A timestamp's wire unit and zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    /// Milliseconds on the wire, else microseconds.
    pub millis: bool,
    /// An instant, else wall-clock digits without a zone (`local-timestamp-*`).
    pub utc: bool,
}

/// A decimal's digits and wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// Digits, 1 to 38.
    pub precision: u8,
    /// Digits after the point, at most `precision`.
    pub scale: u8,
    /// Bytes of the fixed that it is backed by; `None`: bytes.
    pub fixed: Option<usize>,
}

/// A field of a record.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Name in the Avro schema.
    pub avro_name: String,
    /// Name in Arrow, Parquet and the catalog: lower-case.
    pub column: String,
    /// Its type.
    pub ty: Type,
}

impl Type {
    /// A type that is not a union.
    pub(crate) fn required(shape: Shape) -> Self {
        let null_nodes = match &shape {
            Shape::Record(members) => members.iter().fold(1, |sum: usize, m| sum.saturating_add(m.ty.null_nodes)),
            Shape::Fixed(size) => 1 + size / BYTES_PER_NODE,
            _ => 1,
        };
        Self { shape, null: NullBranch::Absent, null_nodes }
    }

    /// Whether null is among its values.
    pub(crate) fn is_nullable(&self) -> bool {
        self.null != NullBranch::Absent
    }
}

/// Bytes that count as one node where a few bytes of a record become many in memory.
pub(crate) const BYTES_PER_NODE: usize = 16;

impl Decimal {
    /// The least magnitude that has too many digits: 10^precision.
    pub(crate) fn bound(self) -> i128 {
        10i128.pow(u32::from(self.precision))
    }
}
