//! Rows of text cells, as CSV has them.
use super::{
    AvroEncoder,
    fault::{EncodeError, Walk},
    form::{Form, MemberForm},
    lexer::{Budget, Lexer},
    pass::Pass,
    room::Room,
    scalar::{Misfit, Scalar, put_scalar},
};
use crate::{RefusalCode, schema::Shape};
use std::collections::HashMap;

impl AvroEncoder {
    /// Encodes a row of text cells under their columns' names. A cell of a nullable field is null when empty; a left-out column is as a
    /// field left out of a document.
    ///
    /// # Errors
    /// A cell that is no value of its field; a field without a cell; a column that the schema does not have.
    pub fn encode_text_row(&self, columns: &[&str], values: &[&str]) -> Result<Vec<u8>, EncodeError> {
        self.encode_cells(columns, values).map_err(|error| error.finished(&[]))
    }

    fn encode_cells(&self, columns: &[&str], values: &[&str]) -> Walk<Vec<u8>> {
        if columns.len() != values.len() {
            let what = format!("the row has `{}` values for `{}` columns", values.len(), columns.len());
            return Err(EncodeError::new(RefusalCode::WrongType, what));
        }
        let mut cells = HashMap::with_capacity(columns.len());
        for (column, value) in columns.iter().zip(values) {
            if cells.insert(*column, *value).is_some() {
                return Err(EncodeError::new(RefusalCode::DuplicateField, "the column stands twice in the header").within(column));
            }
        }
        let mut bytes = self.start.clone();
        for member in &self.root.members {
            let cell = cells.remove(&*member.name);
            self.cell(&mut bytes, member, cell).map_err(|error| error.within(&member.name))?;
        }
        match cells.into_keys().min() {
            None => Ok(bytes),
            Some(unknown) => Err(EncodeError::unknown(unknown)),
        }
    }

    fn cell(&self, out: &mut Vec<u8>, member: &MemberForm, cell: Option<&str>) -> Walk<()> {
        let Some(cell) = cell else {
            let missing = member.missing.as_ref().ok_or_else(EncodeError::missing)?;
            out.extend_from_slice(missing);
            return Ok(());
        };
        let form = match &member.form {
            Form::Union(union) if cell.is_empty() && union.null.is_some() => return self.json_cell(out, &member.form, "null"),
            Form::Union(union) if union.only.is_none() => return self.json_cell(out, &member.form, cell),
            form => form.value(),
        };
        member.form.put_branch(out);
        let shape = match form {
            Form::Int => &Shape::Int,
            Form::Long => &Shape::Long,
            Form::Double => &Shape::Double,
            Form::String => &Shape::String,
            Form::Scalar(shape) if !matches!(shape, Shape::BigDecimal) => shape,
            nested => return self.json_cell(out, nested, cell),
        };
        put_scalar(out, shape, Scalar::Cell(cell), self.options.epoch).map_err(|misfit| {
            let what = match misfit {
                Misfit::Wanted(wanted) => format!("`{}` is not {wanted}", super::fault::shortened(cell)),
                Misfit::Said(what) => what,
            };
            EncodeError::new(RefusalCode::WrongType, what)
        })
    }

    /// A cell that holds JSON. Places in it are none of the row's.
    fn json_cell(&self, out: &mut Vec<u8>, form: &Form, cell: &str) -> Walk<()> {
        self.read_json(out, form, cell).map_err(|mut error| {
            error.at = None;
            if error.code == RefusalCode::InvalidJson {
                error.what = format!("the cell is not JSON: {}", error.what);
            }
            error
        })
    }

    fn read_json(&self, out: &mut Vec<u8>, form: &Form, cell: &str) -> Walk<()> {
        let budget = Budget { nodes: self.options.limits.nodes, depth: self.options.limits.depth };
        let (lexer, options, room) = (Lexer::new(cell.as_bytes())?, &self.options, &mut Room::default());
        let mut pass = Pass { lexer, out, room, budget, options, supplied: &[], strict: true, conflicts: 0 };
        pass.value(form)?;
        pass.lexer.end()
    }
}
