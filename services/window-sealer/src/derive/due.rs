//! Which windows of derived tables are due. Pure: states of the logs in, work out.
//!
//! A source window is *complete* when all its rows so far are in a revision: a window of Kafka's records when it is closed, and sealed unless it
//! has no files (then its revision is 0); a derived window when it has a revision, or when all its own source windows are complete without any.
//! A derived window is made when all source windows that it overlaps are complete and one of them has a revision, and made again when one of
//! them has a newer revision than it was made from.
use crate::error::SealerError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use table_log::record::DeriveInput;
use table_log::{TableName, TableState};
use windowing::{Grouping, Time, WindowSize};

/// A transform, as far as it decides what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Table that it reads.
    pub source: TableName,
    /// Grouping windows.
    pub grouping: Grouping,
    /// Length of the derived table's windows.
    pub window: WindowSize,
}

/// What is known of all tables at one moment.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The transforms by their derived tables.
    pub shapes: BTreeMap<TableName, Shape>,
    /// States of the tables and derived tables. One that is missing has no log yet.
    pub states: BTreeMap<TableName, Arc<TableState>>,
}

/// A derived window to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWindow {
    /// Its start.
    pub window_start: Time,
    /// The revision that it will have.
    pub revision: u32,
    /// What it is made from, ascending.
    pub inputs: Vec<DeriveInput>,
}

impl Facts {
    /// The derived windows of a table that are due, oldest first.
    ///
    /// # Errors
    /// The derived table was made from another source.
    pub fn due(&self, table: &TableName) -> Result<Vec<DueWindow>, SealerError> {
        let Some((shape, source)) = self.shapes.get(table).and_then(|shape| Some((shape, self.states.get(&shape.source)?))) else {
            return Ok(Vec::new());
        };
        let Some(source_window) = source.table.as_ref().map(|body| body.settings.window) else { return Ok(Vec::new()) };
        let revised = source.windows().filter(|(_, revision, _)| *revision > 0);
        let touched: BTreeSet<Time> =
            revised.flat_map(|(start, _, _)| shape.grouping.derived_windows(start, source_window, shape.window)).collect();
        let mut due = Vec::new();
        for window_start in touched {
            due.extend(self.due_window(table, window_start)?);
        }
        Ok(due)
    }

    /// One derived window, if it is due.
    ///
    /// # Errors
    /// As [`Facts::due`].
    pub fn due_window(&self, table: &TableName, window_start: Time) -> Result<Option<DueWindow>, SealerError> {
        let Some(shape) = self.shapes.get(table) else { return Ok(None) };
        let current = self.states.get(table).and_then(|state| state.window(window_start));
        let (revision, made_from) = current.map_or((0, &[][..]), |window| (window.revision, window.inputs.as_slice()));
        if let Some(other) = made_from.iter().find(|input| input.table != shape.source.0) {
            let what = format!(
                "derived table `{table}` was made from `{}` and `source` is `{}` now: give the transform of another source another name",
                other.table, shape.source
            );
            return Err(SealerError::Settings(what));
        }
        let Some(inputs) = self.inputs(shape, window_start, made_from) else { return Ok(None) };
        let revision_of = |start: Time| inputs.binary_search_by_key(&start, |input| input.window_start).map_or(0, |at| inputs[at].revision);
        let is_due = match revision {
            0 => inputs.iter().any(|input| input.revision > 0),
            _ => made_from.iter().any(|old| revision_of(old.window_start) > old.revision),
        };
        Ok(is_due.then_some(DueWindow { window_start, revision: revision + 1, inputs }))
    }

    /// What a derived window would be made from now.
    ///
    /// # Errors
    /// Starts of the source windows that are not complete yet.
    pub fn named_inputs(&self, table: &TableName, window_start: Time) -> Result<Vec<DeriveInput>, Vec<Time>> {
        let current = self.states.get(table).and_then(|state| state.window(window_start));
        let made_from = current.map_or(&[][..], |window| window.inputs.as_slice());
        let Some(shape) = self.shapes.get(table) else { return Err(Vec::new()) };
        if let Some(inputs) = self.inputs(shape, window_start, made_from) {
            return Ok(inputs);
        }
        let source_window = self.states.get(&shape.source).and_then(|state| state.table.as_ref()).map(|body| body.settings.window);
        let starts = source_window.into_iter().flat_map(|size| shape.grouping.source_windows(window_start, shape.window, size));
        Err(starts.filter(|start| self.complete(&shape.source, *start).is_none()).collect())
    }

    /// The source windows that a derived window rests on, by their revisions. `None`: not all are complete. Those that its current revision
    /// was made from are among them, though grouping windows that were made shorter since no longer reach them.
    fn inputs(&self, shape: &Shape, window_start: Time, made_from: &[DeriveInput]) -> Option<Vec<DeriveInput>> {
        let source_window = self.states.get(&shape.source)?.table.as_ref()?.settings.window;
        let mut starts: BTreeSet<Time> = shape.grouping.source_windows(window_start, shape.window, source_window).collect();
        starts.extend(made_from.iter().map(|input| input.window_start));
        let input = |start: Time| {
            let revision = self.complete(&shape.source, start)?;
            Some(DeriveInput { table: shape.source.0.clone(), window_start: start, revision })
        };
        starts.into_iter().map(input).collect()
    }

    /// The revision of a complete window; `None` while it is not complete.
    pub fn complete(&self, table: &TableName, window_start: Time) -> Option<u32> {
        let window = self.states.get(table).and_then(|state| state.window(window_start));
        if let Some(shape) = self.shapes.get(table) {
            if let Some(window) = window.filter(|window| window.revision > 0) {
                return Some(window.revision);
            }
            let source_window = self.states.get(&shape.source)?.table.as_ref()?.settings.window;
            let mut sources = shape.grouping.source_windows(window_start, shape.window, source_window);
            return sources.all(|start| self.complete(&shape.source, start) == Some(0)).then_some(0);
        }
        if !self.states.get(table)?.is_closed(window_start) {
            return None;
        }
        match window {
            Some(window) if window.revision > 0 => Some(window.revision),
            // Late rows alone do not take back that the window was complete without any.
            _ => (self.states.get(table)?.visible_rows(window_start) == 0).then_some(0),
        }
    }
}

#[cfg(test)]
mod tests;
