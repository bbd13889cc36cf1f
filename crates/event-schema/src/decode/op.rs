//! What a writer schema's bytes are to be turned into, for one table: a tree that is compiled once and followed for every record.
use super::store::Node;
use std::sync::Arc;

/// A step: reads a value of the writer's type and adds one to the table's column. Columns are named by their place in the store.
///
/// The tag is a byte of its own: one hidden in a `Node` costs more to read than it saves.
#[derive(Debug)]
#[repr(u8)]
pub(super) enum Op {
    /// Reads and adds nothing: null where the table has no column.
    Nothing,
    /// Reads nothing, adds a null that takes so many nodes.
    Null(Node, usize),
    Boolean(usize),
    Int(usize),
    Long(usize),
    IntToLong(usize),
    /// Milliseconds, kept as microseconds.
    Millis(usize),
    /// Nanoseconds, rounded down to microseconds.
    Nanos(usize),
    Float(usize),
    Double(usize),
    FloatToDouble(usize),
    Text(usize),
    Bytes(usize),
    /// Into a column of the same width.
    Fixed {
        column: usize,
        size: usize,
    },
    /// Into a column of any bytes.
    FixedToBytes {
        column: usize,
        size: usize,
    },
    UuidText(usize),
    UuidBytes(usize),
    Decimal(Box<DecimalOp>),
    BigDecimal(usize),
    /// Into a struct of months, days and milliseconds.
    Duration(Box<DurationOp>),
    Enum(Box<EnumOp>),
    Nullable(Box<NullableOp>),
    Union(Box<[Op]>),
    Member(Box<MemberOp>),
    Array(Box<ArrayOp>),
    Map(Box<MapOp>),
    Record(Box<RecordOp>),
}

#[derive(Debug)]
pub(super) struct DecimalOp {
    pub column: usize,
    /// Digits of the writer's type.
    pub precision: u8,
    /// 10^precision.
    pub bound: u128,
    /// Bytes of the fixed; `None`: bytes.
    pub fixed: Option<usize>,
}

#[derive(Debug)]
pub(super) struct DurationOp {
    pub structure: usize,
    pub months: usize,
    pub days: usize,
    pub millis: usize,
}

#[derive(Debug)]
pub(super) struct EnumOp {
    pub column: usize,
    pub symbols: Box<[Symbol]>,
}

/// A symbol's text, at hand as a block where it is short.
#[derive(Debug)]
pub(super) struct Symbol {
    pub text: Box<[u8]>,
    pub block: Option<[u8; SYMBOL_BLOCK]>,
}

/// Bytes of a short symbol.
pub(super) const SYMBOL_BLOCK: usize = 16;

/// A union of null and one other type.
#[derive(Debug)]
pub(super) struct NullableOp {
    /// Index of the null branch, 0 or 1.
    pub null_branch: i64,
    pub null: Op,
    pub value: Op,
}

/// A value of one branch of the table's union: that member is set, the others are null.
#[derive(Debug)]
pub(super) struct MemberOp {
    pub structure: usize,
    pub member: usize,
    /// Nodes that all members take together, less the one for the value.
    pub nodes: usize,
    pub value: Op,
}

#[derive(Debug)]
pub(super) struct ArrayOp {
    pub list: usize,
    pub items: Op,
    /// Whether each item takes a byte at least.
    pub items_take_bytes: bool,
}

#[derive(Debug)]
pub(super) struct MapOp {
    pub map: usize,
    /// Place of the keys among the strings.
    pub keys: usize,
    pub values: Op,
}

#[derive(Debug)]
pub(super) struct RecordOp {
    pub target: RecordTarget,
    /// Nodes of the fields.
    pub nodes: usize,
    pub fields: Box<[FieldOp]>,
    /// Members of the table that the writer lacks.
    pub lacking: Box<[LackingOp]>,
}

/// Where a record goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordTarget {
    Struct(usize),
    /// The text `{}`.
    Empty(usize),
}

#[derive(Debug)]
pub(super) struct FieldOp {
    /// Name in the writer's schema, for refusals.
    pub name: Box<str>,
    pub op: Op,
}

/// A member that the writer's schema lacks.
#[derive(Debug)]
pub(super) struct LackingOp {
    pub name: Box<str>,
    /// Reads the default, or adds null.
    pub op: Op,
    /// The default's bytes; empty for null.
    pub default: Arc<[u8]>,
}
