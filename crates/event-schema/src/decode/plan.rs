//! Resolves a writer's schema to the table's: what is read goes where, what the table lacks, and what does not fit.
use super::{
    op::{
        ArrayOp, DecimalOp, DurationOp, EnumOp, FieldOp, LackingOp, MapOp, MemberOp, NullableOp, Op, RecordOp, RecordTarget, SYMBOL_BLOCK,
        Symbol,
    },
    store::{Node, Store},
};
use crate::{
    fault::SchemaFault,
    schema::{Branch, Column, Decimal, Member, NullBranch, Scalar, Shape, Type, Unit, glue_type},
};
use std::collections::BTreeMap;

/// A writer's schema resolved to a table's.
#[derive(Debug)]
pub(crate) struct Plan {
    /// How records are decoded; of use only if nothing is missing and nothing is at fault.
    pub(super) op: Op,
    /// Paths of fields and branches that have values but no place in the table.
    pub(crate) missing: Vec<String>,
    /// Fields that do not fit the table's columns.
    pub(crate) faults: Vec<SchemaFault>,
}

impl Plan {
    /// Resolves `writer` to `table`, whose columns are `root` in `store`.
    pub(super) fn new(writer: &Type, table: &Type, (store, root): (&Store, Node)) -> Self {
        let mut planner = Planner { store, missing: Vec::new(), faults: Vec::new() };
        let op = planner.typed(writer, table, root, "");
        Self { op, missing: planner.missing, faults: planner.faults }
    }

    /// Whether records can be decoded with it.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing.is_empty() && self.faults.is_empty()
    }
}

/// Resolves without decoding anything.
pub(crate) fn resolve(writer: &Type, table: &Type) -> Plan {
    let mut store = Store::default();
    let root = store.add(table);
    Plan::new(writer, table, (&store, root))
}

struct Planner<'a> {
    store: &'a Store,
    missing: Vec<String>,
    faults: Vec<SchemaFault>,
}

fn within(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Planner<'_> {
    fn null(&self, node: Node) -> Op {
        Op::Null(node, self.store.null_nodes(node))
    }

    fn typed(&mut self, writer: &Type, table: &Type, node: Node, path: &str) -> Op {
        let null_branch = match writer.null {
            NullBranch::Absent => return self.branches(writer, table, node, path),
            NullBranch::First => 0,
            NullBranch::Second => 1,
        };
        Op::Nullable(Box::new(NullableOp { null_branch, null: self.null(node), value: self.value(writer, table, node, path) }))
    }

    fn branches(&mut self, writer: &Type, table: &Type, node: Node, path: &str) -> Op {
        match &writer.shape {
            Shape::Null => self.null(node),
            Shape::Union(branches) => Op::Union(branches.iter().map(|branch| self.branch(branch, table, node, path)).collect()),
            _ => self.value(writer, table, node, path),
        }
    }

    fn branch(&mut self, branch: &Branch, table: &Type, node: Node, path: &str) -> Op {
        match branch.ty.shape {
            Shape::Null => self.null(node),
            _ => self.value(&branch.ty, table, node, path),
        }
    }

    /// Values that are not null, of a type that is not a union.
    fn value(&mut self, writer: &Type, table: &Type, node: Node, path: &str) -> Op {
        if let (Column::Union(branches), Node::Struct(structure)) = (table.column(), node) {
            return self.member(writer, branches, structure, path);
        }
        match (scalar(&writer.shape, table.column(), node), &writer.shape, table.column(), node) {
            (Some(op), ..) => op,
            (None, Shape::Array(items), Column::List(table_items), Node::List(list)) => {
                let items_take_bytes = items.takes_bytes();
                let items = self.typed(items, table_items, self.store.lists[list].items, &format!("{path}[]"));
                Op::Array(Box::new(ArrayOp { list, items, items_take_bytes }))
            }
            (None, Shape::Map(values), Column::Map(table_values), Node::Map(map)) => {
                let (keys, node) = (self.store.maps[map].keys, self.store.maps[map].values);
                let values = self.typed(values, table_values, node, &format!("{path}{{}}"));
                Op::Map(Box::new(MapOp { map, keys, values }))
            }
            (None, Shape::Record(fields), Column::Record(members), Node::Struct(structure))
                if writer.short_name() == table.single().short_name() =>
            {
                self.record(fields, members, structure, path)
            }
            (None, Shape::Record(fields), Column::Empty, Node::Bytes(text)) => self.empty_record(fields, text, path),
            (None, Shape::Duration, Column::Duration, Node::Struct(structure)) => self.duration(structure),
            _ => self.unfit(writer, table, path),
        }
    }

    fn unfit(&mut self, writer: &Type, table: &Type, path: &str) -> Op {
        let path = if path.is_empty() { "schema" } else { path };
        let what = match (&writer.shape, table.column()) {
            (Shape::Record(_), Column::Record(_)) => {
                let name = |ty: &Type| ty.short_name().unwrap_or_default().to_owned();
                format!("the record `{}` is not the table's record `{}`", name(writer), name(table.single()))
            }
            _ => format!("{} does not fit the table's {}", described(writer), described(table)),
        };
        self.faults.push(SchemaFault { path: path.to_owned(), what });
        Op::Nothing
    }

    /// A value for a column that is a struct with a member per type.
    fn member(&mut self, writer: &Type, branches: &[Branch], structure: usize, path: &str) -> Op {
        let Some(member) =
            branches.iter().position(|b| same_type(writer, &b.ty)).or_else(|| branches.iter().position(|b| wider(writer, &b.ty)))
        else {
            let column = writer.short_name().unwrap_or(writer.shape.base_name()).to_ascii_lowercase();
            self.missing.push(within(path, &column));
            return Op::Nothing;
        };
        let Some(node) = self.store.structs[structure].members[member] else { return Op::Nothing };
        let value = self.value(writer, &branches[member].ty, node, &within(path, &branches[member].column));
        let nodes = self.store.null_nodes(Node::Struct(structure)).saturating_sub(1);
        Op::Member(Box::new(MemberOp { structure, member, nodes, value }))
    }

    fn record(&mut self, fields: &[Member], members: &[Member], structure: usize, path: &str) -> Op {
        let mut ops = Vec::with_capacity(fields.len());
        let nodes = members.iter().zip(&self.store.structs[structure].members);
        let mut places: BTreeMap<&str, (&Member, Option<Node>)> =
            nodes.map(|(member, node)| (member.column.as_str(), (member, *node))).collect();
        for field in fields {
            let at = within(path, &field.avro_name);
            let op = match places.remove(field.column.as_str()) {
                Some((member, Some(node))) => self.typed(&field.ty, &member.ty, node, &at),
                _ => self.without_column(&field.ty, &at),
            };
            ops.push(FieldOp { name: field.avro_name.as_str().into(), op });
        }
        let lacking = places.into_values().filter_map(|(member, node)| Some(self.lacking(member, node?)));
        let lacking: Vec<_> = lacking.collect();
        Op::Record(Box::new(RecordOp {
            target: RecordTarget::Struct(structure),
            nodes: fields.len(),
            fields: ops.into(),
            lacking: lacking.into(),
        }))
    }

    fn lacking(&self, member: &Member, node: Node) -> LackingOp {
        let (op, default) = match &member.default {
            Some(default) => (Plan::new(&member.ty, &member.ty, (self.store, node)).op, default.clone()),
            None => (self.null(node), [].into()),
        };
        LackingOp { name: member.avro_name.as_str().into(), op, default }
    }

    /// A field for which the table has no column: its bytes can only be passed over if all its values are null.
    fn without_column(&mut self, writer: &Type, path: &str) -> Op {
        if writer.has_column() {
            self.missing.push(path.to_owned());
            return Op::Nothing;
        }
        match &writer.shape {
            Shape::Union(branches) => Op::Union(branches.iter().map(|_| Op::Nothing).collect()),
            _ => Op::Nothing,
        }
    }

    fn empty_record(&mut self, fields: &[Member], text: usize, path: &str) -> Op {
        let fields: Box<[FieldOp]> = fields
            .iter()
            .map(|f| FieldOp { name: f.avro_name.as_str().into(), op: self.without_column(&f.ty, &within(path, &f.avro_name)) })
            .collect();
        Op::Record(Box::new(RecordOp { target: RecordTarget::Empty(text), nodes: fields.len(), fields, lacking: [].into() }))
    }

    fn duration(&self, structure: usize) -> Op {
        match self.store.structs[structure].members.as_ref() {
            [Some(Node::Int(months)), Some(Node::Int(days)), Some(Node::Long(millis))] => {
                Op::Duration(Box::new(DurationOp { structure, months: *months, days: *days, millis: *millis }))
            }
            _ => unreachable!("a duration's struct is made of these"),
        }
    }
}

/// A type for people: the catalog's name, or more where types differ that the catalog does not tell apart.
fn described(ty: &Type) -> String {
    match ty.column() {
        Column::Scalar(Scalar::Instant) => "`timestamp` (UTC)".to_owned(),
        Column::Scalar(Scalar::WallClock) => "`timestamp` (local)".to_owned(),
        Column::Scalar(Scalar::Fixed(size)) => format!("`binary` of `{size}` bytes"),
        Column::Empty => "record without fields".to_owned(),
        Column::Absent => "null".to_owned(),
        _ => format!("`{}`", glue_type(ty)),
    }
}

/// A step for a column without members; `None`: the values do not fit it without loss, or it has members.
fn scalar(writer: &Shape, column: Column<'_>, node: Node) -> Option<Op> {
    let Column::Scalar(scalar) = column else { return None };
    Some(match (writer, scalar, node) {
        (Shape::Boolean, Scalar::Boolean, Node::Boolean(at)) => Op::Boolean(at),
        (Shape::Int | Shape::TimeMillis, Scalar::Int, Node::Int(at)) | (Shape::Date, Scalar::Date, Node::Int(at)) => Op::Int(at),
        (Shape::Int | Shape::TimeMillis, Scalar::Long, Node::Long(at)) => Op::IntToLong(at),
        (Shape::Long | Shape::TimeMicros, Scalar::Long, Node::Long(at)) => Op::Long(at),
        (Shape::Timestamp(t), Scalar::Instant | Scalar::WallClock, Node::Long(at)) if t.utc == (scalar == Scalar::Instant) => {
            match t.unit {
                Unit::Millis => Op::Millis(at),
                Unit::Micros => Op::Long(at),
                Unit::Nanos => Op::Nanos(at),
            }
        }
        (Shape::Float, Scalar::Float, Node::Float(at)) => Op::Float(at),
        (Shape::Float, Scalar::Double, Node::Double(at)) => Op::FloatToDouble(at),
        (Shape::Double, Scalar::Double, Node::Double(at)) => Op::Double(at),
        (Shape::String, Scalar::Text, Node::Bytes(at)) => Op::Text(at),
        (Shape::UuidText, Scalar::Text, Node::Bytes(at)) => Op::UuidText(at),
        (Shape::UuidBytes, Scalar::Text, Node::Bytes(at)) => Op::UuidBytes(at),
        (Shape::BigDecimal, Scalar::Text, Node::Bytes(at)) => Op::BigDecimal(at),
        (Shape::Enum(symbols), Scalar::Text, Node::Bytes(column)) => {
            Op::Enum(Box::new(EnumOp { column, symbols: symbols.iter().map(|symbol| symbol_op(symbol)).collect() }))
        }
        (Shape::Bytes, Scalar::Binary, Node::Bytes(at)) => Op::Bytes(at),
        (Shape::Fixed(size), Scalar::Binary, Node::Bytes(column)) => Op::FixedToBytes { column, size: *size },
        (Shape::Fixed(size), Scalar::Fixed(width), Node::Fixed(column)) if *size == width => Op::Fixed { column, size: *size },
        (Shape::Decimal(decimal), Scalar::Decimal(precision, scale), Node::Decimal(column))
            if decimal.scale == scale && decimal.precision <= precision =>
        {
            decimal_op(*decimal, column)
        }
        _ => return None,
    })
}

fn symbol_op(symbol: &str) -> Symbol {
    let mut block = [0; SYMBOL_BLOCK];
    let short = block.get_mut(..symbol.len()).map(|start| start.copy_from_slice(symbol.as_bytes()));
    Symbol { text: symbol.as_bytes().into(), block: short.map(|()| block) }
}

fn decimal_op(decimal: Decimal, column: usize) -> Op {
    let Decimal { precision, fixed, .. } = decimal;
    Op::Decimal(Box::new(DecimalOp { column, precision, bound: decimal.bound().unsigned_abs(), fixed }))
}

/// Whether two branches of unions are the same: the same name, or the same unnamed type.
fn same_type(writer: &Type, table: &Type) -> bool {
    match (&writer.name, &table.name) {
        (Some(writer), Some(table)) => writer == table,
        (None, None) => writer.shape.base_name() == table.shape.base_name(),
        _ => false,
    }
}

/// Whether values of one branch may be kept as those of another.
fn wider(writer: &Type, table: &Type) -> bool {
    matches!((&writer.shape, &table.shape), (Shape::Int, Shape::Long) | (Shape::Float, Shape::Double))
}
