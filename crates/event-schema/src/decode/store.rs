//! The columns that rows are decoded into: plain vectors that can be cut back to a row count, so that a record that turns out malformed in
//! its middle leaves no trace.
use super::validity::Validity;
use crate::schema::{BYTES_PER_NODE, Column, Scalar, Type};
use arrow::array::BooleanBufferBuilder;

/// A column: its kind and its place among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Boolean(usize),
    Int(usize),
    Long(usize),
    Float(usize),
    Double(usize),
    Decimal(usize),
    /// Text or bytes.
    Bytes(usize),
    Fixed(usize),
    List(usize),
    Map(usize),
    Struct(usize),
}

/// Values of a fixed width.
#[derive(Debug)]
pub(super) struct Values<T> {
    pub values: Vec<T>,
    pub valid: Validity,
}

#[derive(Debug)]
pub(super) struct Booleans {
    pub values: BooleanBufferBuilder,
    pub valid: Validity,
}

/// Text or bytes. `offsets` has one more than there are values.
#[derive(Debug)]
pub(super) struct Strings {
    pub offsets: Vec<i32>,
    pub bytes: Vec<u8>,
    pub valid: Validity,
}

#[derive(Debug)]
pub(super) struct Fixeds {
    pub size: usize,
    pub bytes: Vec<u8>,
    pub valid: Validity,
}

#[derive(Debug)]
pub(super) struct Lists {
    pub offsets: Vec<i32>,
    pub valid: Validity,
    pub items: Node,
}

#[derive(Debug)]
pub(super) struct Maps {
    pub offsets: Vec<i32>,
    pub valid: Validity,
    /// Place among [`Store::strings`].
    pub keys: usize,
    pub values: Node,
}

/// A struct's members stand as in the table's type; those without a column are `None`.
#[derive(Debug)]
pub(super) struct Structs {
    pub rows: usize,
    pub valid: Validity,
    pub members: Box<[Option<Node>]>,
}

/// All columns of a table, by kind.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub booleans: Vec<Booleans>,
    pub ints: Vec<Values<i32>>,
    pub longs: Vec<Values<i64>>,
    pub floats: Vec<Values<f32>>,
    pub doubles: Vec<Values<f64>>,
    pub decimals: Vec<Values<i128>>,
    pub strings: Vec<Strings>,
    pub fixeds: Vec<Fixeds>,
    pub lists: Vec<Lists>,
    pub maps: Vec<Maps>,
    pub structs: Vec<Structs>,
}

fn last<T>(column: T, columns: &mut Vec<T>) -> usize {
    columns.push(column);
    columns.len() - 1
}

impl<T> Values<T> {
    fn new() -> Self {
        Self { values: Vec::new(), valid: Validity::default() }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: T) {
        self.values.push(value);
        self.valid.push_valid();
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.valid.truncate(rows);
    }
}

impl<T: Default> Values<T> {
    fn push_null(&mut self) {
        self.valid.push_null(self.values.len());
        self.values.push(T::default());
    }
}

impl Strings {
    fn new() -> Self {
        Self { offsets: vec![0], bytes: Vec::new(), valid: Validity::default() }
    }

    /// Adds a value.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end_value();
    }

    /// Adds the first bytes of a block: as one copy of a known size, which a short value is not.
    #[inline(always)]
    pub(super) fn push_block<const N: usize>(&mut self, block: &[u8; N], length: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(block);
        self.bytes.truncate(start + length);
        self.end_value();
    }

    /// What was written to `bytes` since the last value is the next one.
    #[inline(always)]
    pub(super) fn end_value(&mut self) {
        self.offsets.push(offset(self.bytes.len()));
        self.valid.push_valid();
    }

    fn push_null(&mut self) {
        self.valid.push_null(self.offsets.len() - 1);
        self.offsets.push(offset(self.bytes.len()));
    }
}

impl Structs {
    /// The members have their values: the row is whole.
    #[inline(always)]
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
        self.valid.push_valid();
    }
}

/// A place in a column as Arrow counts it.
#[inline(always)]
pub(super) fn offset(place: usize) -> i32 {
    i32::try_from(place).expect("a segment ends long before 2^31")
}

fn place(offset: i32) -> usize {
    usize::try_from(offset).expect("offsets are never negative")
}

impl Store {
    /// Adds the columns of a type, which has one at least.
    pub(super) fn add(&mut self, ty: &Type) -> Node {
        match ty.column() {
            Column::Scalar(scalar) => self.add_scalar(scalar),
            Column::List(items) => {
                let items = self.add(items);
                Node::List(last(Lists { offsets: vec![0], valid: Validity::default(), items }, &mut self.lists))
            }
            Column::Map(values) => {
                let keys = last(Strings::new(), &mut self.strings);
                let values = self.add(values);
                Node::Map(last(Maps { offsets: vec![0], valid: Validity::default(), keys, values }, &mut self.maps))
            }
            Column::Record(members) => {
                let members = members.iter().map(|m| m.ty.has_column().then(|| self.add(&m.ty))).collect();
                self.add_struct(members)
            }
            Column::Union(branches) => {
                let members = branches.iter().map(|b| b.ty.has_column().then(|| self.add(&b.ty))).collect();
                self.add_struct(members)
            }
            Column::Duration => {
                let members = [Scalar::Int, Scalar::Int, Scalar::Long].map(|scalar| Some(self.add_scalar(scalar)));
                self.add_struct(members.into())
            }
            Column::Empty | Column::Absent => self.add_scalar(Scalar::Text),
        }
    }

    fn add_scalar(&mut self, scalar: Scalar) -> Node {
        match scalar {
            Scalar::Boolean => {
                let column = Booleans { values: BooleanBufferBuilder::new(0), valid: Validity::default() };
                Node::Boolean(last(column, &mut self.booleans))
            }
            Scalar::Int | Scalar::Date => Node::Int(last(Values::new(), &mut self.ints)),
            Scalar::Long | Scalar::Instant | Scalar::WallClock => Node::Long(last(Values::new(), &mut self.longs)),
            Scalar::Float => Node::Float(last(Values::new(), &mut self.floats)),
            Scalar::Double => Node::Double(last(Values::new(), &mut self.doubles)),
            Scalar::Decimal(..) => Node::Decimal(last(Values::new(), &mut self.decimals)),
            Scalar::Text | Scalar::Binary => Node::Bytes(last(Strings::new(), &mut self.strings)),
            Scalar::Fixed(size) => Node::Fixed(last(Fixeds { size, bytes: Vec::new(), valid: Validity::default() }, &mut self.fixeds)),
        }
    }

    fn add_struct(&mut self, members: Box<[Option<Node>]>) -> Node {
        Node::Struct(last(Structs { rows: 0, valid: Validity::default(), members }, &mut self.structs))
    }

    /// Adds a null; members of a null struct are null too.
    pub(super) fn push_null(&mut self, node: Node) {
        match node {
            Node::Boolean(at) => {
                let column = &mut self.booleans[at];
                column.valid.push_null(column.values.len());
                column.values.append(false);
            }
            Node::Int(at) => self.ints[at].push_null(),
            Node::Long(at) => self.longs[at].push_null(),
            Node::Float(at) => self.floats[at].push_null(),
            Node::Double(at) => self.doubles[at].push_null(),
            Node::Decimal(at) => self.decimals[at].push_null(),
            Node::Bytes(at) => self.strings[at].push_null(),
            Node::Fixed(at) => {
                let column = &mut self.fixeds[at];
                column.valid.push_null(column.bytes.len() / column.size);
                column.bytes.resize(column.bytes.len() + column.size, 0);
            }
            Node::List(at) => {
                let Lists { offsets, valid, .. } = &mut self.lists[at];
                push_null_items(offsets, valid);
            }
            Node::Map(at) => {
                let Maps { offsets, valid, .. } = &mut self.maps[at];
                push_null_items(offsets, valid);
            }
            Node::Struct(at) => {
                let column = &mut self.structs[at];
                column.valid.push_null(column.rows);
                column.rows += 1;
                for member in 0..self.structs[at].members.len() {
                    self.push_null_member(at, member);
                }
            }
        }
    }

    /// Adds a null to one member of a struct.
    pub(super) fn push_null_member(&mut self, structure: usize, member: usize) {
        if let Some(node) = self.structs[structure].members[member] {
            self.push_null(node);
        }
    }

    /// Nodes that a null takes: members of a null struct still have a slot each, so hostile nulls are not free.
    pub(super) fn null_nodes(&self, node: Node) -> usize {
        match node {
            Node::Fixed(at) => 1 + self.fixeds[at].size / BYTES_PER_NODE,
            Node::Struct(at) => {
                let members = self.structs[at].members.iter().flatten();
                members.fold(1, |sum: usize, member| sum.saturating_add(self.null_nodes(*member)))
            }
            _ => 1,
        }
    }

    /// Cuts a column back to its first rows.
    pub(super) fn truncate(&mut self, node: Node, rows: usize) {
        match node {
            Node::Boolean(at) => {
                self.booleans[at].values.truncate(rows);
                self.booleans[at].valid.truncate(rows);
            }
            Node::Int(at) => self.ints[at].truncate(rows),
            Node::Long(at) => self.longs[at].truncate(rows),
            Node::Float(at) => self.floats[at].truncate(rows),
            Node::Double(at) => self.doubles[at].truncate(rows),
            Node::Decimal(at) => self.decimals[at].truncate(rows),
            Node::Bytes(at) => self.truncate_strings(at, rows),
            Node::Fixed(at) => {
                let column = &mut self.fixeds[at];
                column.bytes.truncate(rows * column.size);
                column.valid.truncate(rows);
            }
            Node::List(at) => {
                let Lists { offsets, valid, items } = &mut self.lists[at];
                let (items, end) = (*items, cut(offsets, rows));
                valid.truncate(rows);
                self.truncate(items, end);
            }
            Node::Map(at) => {
                let Maps { offsets, valid, keys, values } = &mut self.maps[at];
                let (keys, values, end) = (*keys, *values, cut(offsets, rows));
                valid.truncate(rows);
                self.truncate_strings(keys, end);
                self.truncate(values, end);
            }
            Node::Struct(at) => {
                self.structs[at].rows = self.structs[at].rows.min(rows);
                self.structs[at].valid.truncate(rows);
                for member in 0..self.structs[at].members.len() {
                    if let Some(node) = self.structs[at].members[member] {
                        self.truncate(node, rows);
                    }
                }
            }
        }
    }

    /// Text is written before its end is known, so bytes of an unfinished value are cut off too.
    fn truncate_strings(&mut self, at: usize, rows: usize) {
        let column = &mut self.strings[at];
        let end = cut(&mut column.offsets, rows);
        column.bytes.truncate(end);
        column.valid.truncate(rows);
    }
}

/// Cuts offsets back to their first rows; returns how many items these have. Items of a list that is not finished lie behind its last
/// offset, so they are cut off even where no offset is.
fn cut(offsets: &mut Vec<i32>, rows: usize) -> usize {
    offsets.truncate(rows + 1);
    place(*offsets.last().expect("the first offset stays"))
}

fn push_null_items(offsets: &mut Vec<i32>, valid: &mut Validity) {
    valid.push_null(offsets.len() - 1);
    offsets.push(*offsets.last().expect("there is always a first offset"));
}
