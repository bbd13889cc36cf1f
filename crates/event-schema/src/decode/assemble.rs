//! From filled columns to Arrow arrays of the table's types, without copying values. The columns are empty and usable after it.
use super::{
    map_keys::last_of_duplicates,
    store::{Node, Store, Strings, Values},
    validity::Validity,
};
use crate::{TableSchema, schema::Column};
use arrow::{
    array::{
        ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, ListArray, MapArray,
        PrimitiveArray, StringArray, StructArray,
    },
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
    compute::take,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    },
    error::ArrowError,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use std::{mem::take as take_out, sync::Arc};

/// Room that columns get for the rows after a flush, at most: as much as they needed before it, but not what one large batch needed.
const NEXT_VALUES: usize = 16 << 10;
const NEXT_BYTES: usize = 1 << 20;

/// An error is a bug of ours: what was decoded has passed all checks.
type Assembled<T = ArrayRef> = Result<T, ArrowError>;

impl Store {
    /// All rows of the top level as a batch of the table's schema.
    pub(super) fn take_batch(&mut self, root: Node, table: &TableSchema, rows: usize) -> Assembled<RecordBatch> {
        let schema = table.arrow();
        let columns = match (root, table.root().column()) {
            (Node::Struct(at), Column::Record(_) | Column::Union(_)) => {
                self.structs[at].rows = 0;
                self.structs[at].valid.take();
                self.take_members(at, schema.fields())?
            }
            (node, _) => vec![self.take(node, schema.field(0))?],
        };
        RecordBatch::try_new_with_options(schema.clone(), columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
    }

    fn take_members(&mut self, structure: usize, fields: &[FieldRef]) -> Assembled<Vec<ArrayRef>> {
        let members = self.structs[structure].members.clone();
        if members.iter().flatten().count() != fields.len() {
            return Err(mismatch("a struct"));
        }
        members.iter().flatten().zip(fields).map(|(member, field)| self.take(*member, field)).collect()
    }

    fn take(&mut self, node: Node, field: &Field) -> Assembled {
        Ok(match (node, field.data_type()) {
            (Node::Boolean(at), _) => {
                let column = &mut self.booleans[at];
                Arc::new(BooleanArray::new(column.values.finish(), column.valid.take()))
            }
            (Node::Int(at), DataType::Date32) => Arc::new(primitive::<Date32Type>(&mut self.ints[at])?),
            (Node::Int(at), _) => Arc::new(primitive::<Int32Type>(&mut self.ints[at])?),
            (Node::Long(at), DataType::Timestamp(_, zone)) => {
                let micros = primitive::<TimestampMicrosecondType>(&mut self.longs[at])?;
                Arc::new(micros.with_timezone_opt(zone.clone()))
            }
            (Node::Long(at), _) => Arc::new(primitive::<Int64Type>(&mut self.longs[at])?),
            (Node::Float(at), _) => Arc::new(primitive::<Float32Type>(&mut self.floats[at])?),
            (Node::Double(at), _) => Arc::new(primitive::<Float64Type>(&mut self.doubles[at])?),
            (Node::Decimal(at), DataType::Decimal128(precision, scale)) => {
                let values: Decimal128Array = primitive::<Decimal128Type>(&mut self.decimals[at])?;
                Arc::new(values.with_precision_and_scale(*precision, *scale)?)
            }
            (Node::Bytes(at), DataType::Utf8) => Arc::new(take_text(&mut self.strings[at])?),
            (Node::Bytes(at), _) => {
                let (offsets, bytes, valid) = take_strings(&mut self.strings[at]);
                Arc::new(BinaryArray::try_new(offsets, bytes, valid.take())?)
            }
            (Node::Fixed(at), DataType::FixedSizeBinary(size)) => {
                let column = &mut self.fixeds[at];
                let bytes = renew(&mut column.bytes, NEXT_BYTES);
                Arc::new(FixedSizeBinaryArray::try_new(*size, Buffer::from_vec(bytes), column.valid.take())?)
            }
            (Node::List(at), DataType::List(items)) => {
                let offsets = take_offsets(&mut self.lists[at].offsets);
                let values = self.take(self.lists[at].items, items)?;
                Arc::new(ListArray::try_new(items.clone(), offsets, values, self.lists[at].valid.take())?)
            }
            (Node::Map(at), DataType::Map(entries, _)) => self.take_map(at, entries)?,
            (Node::Struct(at), DataType::Struct(fields)) => {
                let rows = take_out(&mut self.structs[at].rows);
                let members = self.take_members(at, fields)?;
                let valid = self.structs[at].valid.take();
                Arc::new(StructArray::try_new_with_length(fields.clone(), members, valid, rows)?)
            }
            _ => return Err(mismatch(field.name())),
        })
    }

    /// The last entry of a key counts, as engines refuse or pick at random otherwise.
    fn take_map(&mut self, at: usize, entries: &FieldRef) -> Assembled {
        let DataType::Struct(fields) = entries.data_type() else { return Err(mismatch("a map")) };
        let [_, value_field] = fields.as_ref() else { return Err(mismatch("a map's entries")) };
        let mut offsets = take_offsets(&mut self.maps[at].offsets);
        let mut keys: ArrayRef = Arc::new(take_text(&mut self.strings[self.maps[at].keys])?);
        let mut values = self.take(self.maps[at].values, value_field)?;
        if let Some((kept, kept_offsets)) = last_of_duplicates(keys.as_string(), &offsets)? {
            keys = take(&keys, &kept, None)?;
            values = take(&values, &kept, None)?;
            offsets = kept_offsets;
        }
        let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, self.maps[at].valid.take(), false)?))
    }
}

/// The values; the next ones get as much room at once.
fn renew<T>(values: &mut Vec<T>, most: usize) -> Vec<T> {
    let room = values.len().min(most);
    std::mem::replace(values, Vec::with_capacity(room))
}

fn primitive<T: ArrowPrimitiveType>(column: &mut Values<T::Native>) -> Assembled<PrimitiveArray<T>> {
    let values = renew(&mut column.values, NEXT_VALUES);
    PrimitiveArray::try_new(ScalarBuffer::from(values), column.valid.take())
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let filled = renew(offsets, NEXT_VALUES);
    offsets.push(0);
    OffsetBuffer::new(ScalarBuffer::from(filled))
}

fn take_strings(column: &mut Strings) -> (OffsetBuffer<i32>, Buffer, &mut Validity) {
    let bytes = renew(&mut column.bytes, NEXT_BYTES);
    (take_offsets(&mut column.offsets), Buffer::from_vec(bytes), &mut column.valid)
}

fn take_text(column: &mut Strings) -> Assembled<StringArray> {
    let (offsets, bytes, valid) = take_strings(column);
    StringArray::try_new(offsets, bytes, valid.take())
}

fn mismatch(what: &str) -> ArrowError {
    ArrowError::SchemaError(format!("the columns of `{what}` are not those of the table's schema"))
}
