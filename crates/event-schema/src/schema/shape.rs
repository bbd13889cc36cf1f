//! The compiled form of a schema: references resolved, logical types told apart, and where each type's values go in a table.
use std::sync::Arc;

/// A type as it stands on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Type {
    /// What a value that is not null looks like.
    pub shape: Shape,
    /// The union with null, if it is one with one other type; all other unions are [`Shape::Union`].
    pub null: NullBranch,
    /// Full name of a record, enum or fixed.
    pub name: Option<Arc<str>>,
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

/// What bytes there are and what they mean.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// No bytes.
    Null,
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
    /// Unscaled value and scale in each value.
    BigDecimal,
    /// Months, days and milliseconds in a fixed(12).
    Duration,
    Enum(Arc<[String]>),
    Array(Box<Type>),
    Map(Box<Type>),
    Record(Vec<Member>),
    /// Any union but null and one other type.
    Union(Vec<Branch>),
}

impl Shape {
    /// The name of its kind in Avro: that of a type without a name of its own.
    pub fn base_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Int | Self::Date | Self::TimeMillis => "int",
            Self::Long | Self::TimeMicros | Self::Timestamp(_) => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::Bytes | Self::Decimal(_) | Self::BigDecimal => "bytes",
            Self::String | Self::UuidText => "string",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::UuidBytes | Self::Fixed(_) | Self::Duration => "fixed",
            Self::Enum(_) => "enum",
            Self::Record(_) => "record",
            Self::Union(_) => "union",
        }
    }
}

/// A timestamp's wire unit and zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp {
    /// Unit on the wire.
    pub unit: Unit,
    /// An instant, else wall-clock digits without a zone (`local-timestamp-*`).
    pub utc: bool,
}

/// Unit of a timestamp on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    /// Tables have microseconds: rounded down.
    Nanos,
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
    /// Its default, written as a value of its type.
    pub default: Option<Arc<[u8]>>,
}

/// A branch of a union.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    /// Name of the member that holds its values: the type's name, lower-case, unique in the union.
    pub column: String,
    /// Its type; null is [`Shape::Null`].
    pub ty: Type,
}

/// Where the values of a type go in a table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column<'a> {
    /// Nowhere: all values are null.
    Absent,
    Scalar(Scalar),
    /// A record without columns, as the text `{}`: Parquet has no empty groups.
    Empty,
    List(&'a Type),
    Map(&'a Type),
    /// A struct with the members that have columns.
    Record(&'a [Member]),
    /// A struct with a member per branch that has a column, of which one is not null.
    Union(&'a [Branch]),
    /// A struct of [`DURATION_MEMBERS`].
    Duration,
}

/// Names of a duration's members.
pub(crate) const DURATION_MEMBERS: [&str; 3] = ["months", "days", "millis"];

/// A column without members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Boolean,
    Int,
    Date,
    Long,
    /// Microseconds, UTC.
    Instant,
    /// Microseconds of a wall clock.
    WallClock,
    Float,
    Double,
    Text,
    Binary,
    Fixed(usize),
    /// Precision and scale.
    Decimal(u8, u8),
}

impl Type {
    /// A type that is not a union with null.
    pub(crate) fn required(shape: Shape) -> Self {
        Self { shape, null: NullBranch::Absent, name: None }
    }

    /// Whether it is a union of null and one other type.
    pub(crate) fn is_nullable(&self) -> bool {
        self.null != NullBranch::Absent
    }

    /// The name without its namespace, of a record, enum or fixed.
    pub(crate) fn short_name(&self) -> Option<&str> {
        self.name.as_deref().map(|name| name.rsplit('.').next().unwrap_or(name))
    }

    /// The one type of all its values that are not null, where there is one.
    pub(crate) fn single(&self) -> &Type {
        match &self.shape {
            Shape::Union(branches) => {
                let mut values = branches.iter().filter(|b| !matches!(b.ty.shape, Shape::Null));
                match (values.next(), values.next()) {
                    (Some(only), None) => &only.ty,
                    _ => self,
                }
            }
            _ => self,
        }
    }

    /// Where its values go.
    pub(crate) fn column(&self) -> Column<'_> {
        Column::Scalar(match &self.single().shape {
            Shape::Null => return Column::Absent,
            Shape::Boolean => Scalar::Boolean,
            Shape::Int | Shape::TimeMillis => Scalar::Int,
            Shape::Date => Scalar::Date,
            Shape::Long | Shape::TimeMicros => Scalar::Long,
            Shape::Timestamp(timestamp) if timestamp.utc => Scalar::Instant,
            Shape::Timestamp(_) => Scalar::WallClock,
            Shape::Float => Scalar::Float,
            Shape::Double => Scalar::Double,
            Shape::Bytes => Scalar::Binary,
            Shape::String | Shape::UuidText | Shape::UuidBytes | Shape::BigDecimal | Shape::Enum(_) => Scalar::Text,
            Shape::Fixed(size) => Scalar::Fixed(*size),
            Shape::Decimal(decimal) => Scalar::Decimal(decimal.precision, decimal.scale),
            Shape::Duration => return Column::Duration,
            Shape::Array(items) => return Column::List(items),
            Shape::Map(values) => return Column::Map(values),
            Shape::Record(members) if members.iter().any(|m| m.ty.has_column()) => return Column::Record(members),
            Shape::Record(_) => return Column::Empty,
            Shape::Union(branches) => return union_column(branches),
        })
    }

    /// Whether its values go anywhere.
    pub(crate) fn has_column(&self) -> bool {
        !matches!(self.column(), Column::Absent)
    }

    /// Whether each value takes at least a byte.
    pub(crate) fn takes_bytes(&self) -> bool {
        match &self.shape {
            _ if self.is_nullable() => true,
            Shape::Null => false,
            Shape::Record(members) => members.iter().any(|m| m.ty.takes_bytes()),
            _ => true,
        }
    }
}

/// Numbers widen where nothing is lost; other unions are structs.
fn union_column(branches: &[Branch]) -> Column<'_> {
    let mut values = branches.iter().map(|b| &b.ty.shape).filter(|shape| !matches!(shape, Shape::Null)).peekable();
    if values.peek().is_none() {
        Column::Absent
    } else if values.clone().all(|shape| matches!(shape, Shape::Int | Shape::Long)) {
        Column::Scalar(Scalar::Long)
    } else if values.all(|shape| matches!(shape, Shape::Float | Shape::Double)) {
        Column::Scalar(Scalar::Double)
    } else {
        Column::Union(branches)
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
