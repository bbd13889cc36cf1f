use crate::output::{Align, Output};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use lake_query::{LakeQueryError, LakeSession};

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Aligned, for people.
    Table,
    /// One object a line.
    Json,
    /// With a header line.
    Csv,
}

/// Runs a statement and prints its rows as they come (a table: at the end). Answers how many.
pub async fn stream(
    session: &LakeSession,
    text: &str,
    limit: Option<usize>,
    (form, output): (Form, Output),
) -> Result<usize, LakeQueryError> {
    let (schema, mut rows) = session.stream(text, limit).await?;
    let mut cells = Vec::new();
    let mut printed = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        match form {
            Form::Table => cells.extend(texts(&batch)?),
            Form::Json => line(output, &json(&batch)?),
            Form::Csv => line(output, &csv(&batch, printed == 0)?),
        }
        printed += batch.num_rows();
    }
    match form {
        Form::Table => output.table(&header(&schema), cells),
        Form::Csv if printed == 0 => line(output, &csv(&RecordBatch::new_empty(schema), true)?),
        _ => {}
    }
    Ok(printed)
}

/// Prints at most `limit` rows: JSON, one object a line, for programs, else a table.
pub fn batches(schema: &SchemaRef, batches: &[RecordBatch], limit: usize, output: Output) -> Result<(), LakeQueryError> {
    let (mut left, mut cells) = (limit, Vec::new());
    for batch in batches {
        let batch = batch.slice(0, batch.num_rows().min(left));
        left -= batch.num_rows();
        if output.is_json() {
            line(output, &json(&batch)?);
        } else {
            cells.extend(texts(&batch)?);
        }
    }
    if !output.is_json() {
        output.table(&header(schema), cells);
    }
    Ok(())
}

fn line(output: Output, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if !text.is_empty() {
        output.line(text.trim_end_matches('\n'));
    }
}

fn header(schema: &SchemaRef) -> Vec<(&str, Align)> {
    let align = |numeric: bool| if numeric { Align::Right } else { Align::Left };
    schema.fields().iter().map(|f| (f.name().as_str(), align(f.data_type().is_numeric()))).collect()
}

fn texts(batch: &RecordBatch) -> Result<Vec<Vec<String>>, LakeQueryError> {
    let options = FormatOptions::default().with_display_error(true);
    let columns: Result<Vec<_>, _> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect();
    let columns = columns.map_err(failed)?;
    Ok((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()).collect())
}

fn json(batch: &RecordBatch) -> Result<Vec<u8>, LakeQueryError> {
    let mut writer = arrow::json::WriterBuilder::new().with_explicit_nulls(true).build::<_, arrow::json::writer::LineDelimited>(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).map_err(failed)?;
    Ok(writer.into_inner())
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, LakeQueryError> {
    let mut writer = arrow::csv::WriterBuilder::new().with_header(header).build(Vec::new());
    writer.write(batch).map_err(failed)?;
    Ok(writer.into_inner())
}

fn failed(error: arrow::error::ArrowError) -> LakeQueryError {
    LakeQueryError::Query(format!("a result cannot be shown: {error}"))
}
