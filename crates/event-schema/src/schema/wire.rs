//! The plain schema that arrow-avro decodes with: the same bytes, but references expanded, names made up and most logical types left out.
//!
//! arrow-avro then never resolves names, aliases or defaults and makes no dictionaries, times or 16-byte uuids that would have to be undone;
//! what the table wants instead is done after the decode, by the shape.
use super::shape::{Decimal, Member, NullBranch, Shape, Type};

/// Widest fixed that is decoded as a decimal; wider ones are converted after the decode.
pub(crate) const MAX_ARROW_DECIMAL_BYTES: usize = 16;

/// The plain schema of a record.
pub(super) fn wire_schema(members: &[Member]) -> String {
    let mut writer = Writer { text: String::new(), names: 0 };
    writer.record(members);
    writer.text
}

struct Writer {
    text: String,
    names: usize,
}

impl Writer {
    fn name(&mut self) -> String {
        self.names += 1;
        format!("n{}", self.names)
    }

    fn ty(&mut self, ty: &Type) {
        match ty.null {
            NullBranch::Absent => self.shape(&ty.shape),
            NullBranch::First => {
                self.text += r#"["null","#;
                self.shape(&ty.shape);
                self.text.push(']');
            }
            NullBranch::Second => {
                self.text.push('[');
                self.shape(&ty.shape);
                self.text += r#","null"]"#;
            }
        }
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Boolean => self.text += r#""boolean""#,
            Shape::Int | Shape::Date | Shape::TimeMillis | Shape::Enum(_) => self.text += r#""int""#,
            Shape::Long | Shape::TimeMicros | Shape::Timestamp(_) => self.text += r#""long""#,
            Shape::Float => self.text += r#""float""#,
            Shape::Double => self.text += r#""double""#,
            Shape::Bytes => self.text += r#""bytes""#,
            Shape::String | Shape::UuidText => self.text += r#""string""#,
            Shape::UuidBytes => self.fixed(16, ""),
            Shape::Fixed(size) => self.fixed(*size, ""),
            Shape::Decimal(decimal) => self.decimal(*decimal),
            Shape::Array(items) => {
                self.text += r#"{"type":"array","items":"#;
                self.ty(items);
                self.text.push('}');
            }
            Shape::Map(values) => {
                self.text += r#"{"type":"map","values":"#;
                self.ty(values);
                self.text.push('}');
            }
            Shape::Record(members) => self.record(members),
        }
    }

    fn fixed(&mut self, size: usize, attributes: &str) {
        let name = self.name();
        self.text += &format!(r#"{{"type":"fixed","name":"{name}","size":{size}{attributes}}}"#);
    }

    fn decimal(&mut self, decimal: Decimal) {
        let attributes = format!(r#","logicalType":"decimal","precision":{},"scale":{}"#, decimal.precision, decimal.scale);
        match decimal.fixed {
            None => self.text += &format!(r#"{{"type":"bytes"{attributes}}}"#),
            Some(size) if size <= MAX_ARROW_DECIMAL_BYTES => self.fixed(size, &attributes),
            Some(size) => self.fixed(size, ""),
        }
    }

    fn record(&mut self, members: &[Member]) {
        let name = self.name();
        self.text += &format!(r#"{{"type":"record","name":"{name}","fields":["#);
        for (index, member) in members.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            self.text += &format!(r#"{comma}{{"name":"f{index}","type":"#);
            self.ty(&member.ty);
            self.text.push('}');
        }
        self.text += "]}";
    }
}
