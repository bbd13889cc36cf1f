use super::{derive_context, failure, settings_of};
use crate::context::Context;
use crate::output::{Align, ExitCode};
use serde::Serialize;
use std::path::Path;

/// A transform and its derived table.
#[derive(Debug, Serialize)]
struct Listed {
    table: String,
    source: String,
    size: String,
    every: String,
    window: String,
    sql: String,
    references: Vec<String>,
    /// Windows that are made.
    windows: u64,
    /// Revisions of these beyond the first.
    amended: u64,
    /// Windows that are to be made, or made again.
    due: u64,
    /// Start of the newest window made.
    newest: Option<String>,
    /// Why nothing can be said of what is due.
    fault: Option<String>,
}

/// Lists the transforms.
pub async fn list(context: &Context) -> anyhow::Result<ExitCode> {
    let mut listed = Vec::new();
    for (name, config) in &context.settings.transforms {
        let mut row = Listed {
            table: name.clone(),
            source: config.source.clone(),
            size: config.size.to_string(),
            every: config.every().to_string(),
            window: config.window.to_string(),
            sql: config.sql.display().to_string(),
            references: config.references.keys().cloned().collect(),
            windows: 0,
            amended: 0,
            due: 0,
            newest: None,
            fault: None,
        };
        if Path::new(&context.settings.lake).is_dir() {
            add_windows(&mut row, name, context).await?;
        }
        listed.push(row);
    }
    show(&listed, context)?;
    Ok(ExitCode::Done)
}

async fn add_windows(row: &mut Listed, name: &str, context: &Context) -> anyhow::Result<()> {
    let derive = derive_context(settings_of(name, context)?, true, context).await?;
    let facts = derive.facts().await.map_err(failure)?;
    if let Some(state) = facts.states.get(&derive.transform.table) {
        row.windows = state.windows().filter(|(_, revision, _)| *revision > 0).count() as u64;
        row.amended = state.windows().map(|(_, revision, _)| u64::from(revision.saturating_sub(1))).sum();
        row.newest = state.windows().filter(|(_, revision, _)| *revision > 0).map(|(start, ..)| start).max().map(|start| start.to_string());
    }
    match facts.due(&derive.transform.table) {
        Ok(due) => row.due = due.len() as u64,
        Err(error) => row.fault = Some(error.to_string()),
    }
    Ok(())
}

fn show(listed: &[Listed], context: &Context) -> anyhow::Result<()> {
    let output = context.output;
    if output.is_json() {
        return output.json(&serde_json::json!({ "transforms": listed }));
    }
    if listed.is_empty() {
        output.line("the settings have no transforms");
        return Ok(());
    }
    let header = [
        ("table", Align::Left),
        ("source", Align::Left),
        ("size", Align::Right),
        ("every", Align::Right),
        ("window", Align::Right),
        ("sql", Align::Left),
        ("windows", Align::Right),
        ("amended", Align::Right),
        ("due", Align::Right),
        ("newest window", Align::Left),
    ];
    let rows = listed.iter().map(|row| {
        vec![
            row.table.clone(),
            row.source.clone(),
            row.size.clone(),
            row.every.clone(),
            row.window.clone(),
            row.sql.clone(),
            row.windows.to_string(),
            row.amended.to_string(),
            row.due.to_string(),
            row.newest.clone().unwrap_or_else(|| "none".to_owned()),
        ]
    });
    output.table(&header, rows);
    for row in listed {
        if let Some(fault) = &row.fault {
            output.line(&format!("transform `{}`: {fault}", row.table));
        }
    }
    Ok(())
}
