//! What the demo shows at its end: queries, the proof, and what to try next.
use crate::{
    cli::VerifyArgs,
    context::Context,
    output::{Align, ExitCode},
    verify::{self, Report},
};
use anyhow::{Context as _, anyhow};
use arrow::{
    array::AsArray,
    datatypes::Int64Type,
    record_batch::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use std::{path::Path, time::Duration};

/// A question and its SQL.
const QUERIES: [(&str, &str); 3] = [
    (
        "Rows per station",
        "SELECT origin, count(*) AS rows, min(time_hour) AS first, max(time_hour) AS last FROM weather GROUP BY origin ORDER BY origin",
    ),
    (
        "The coldest days",
        "SELECT dt, origin, round(min(temp), 1) AS low_f, round(max(temp), 1) AS high_f, round(max(wind_gust), 1) AS gust_mph \
         FROM weather GROUP BY dt, origin ORDER BY low_f LIMIT 5",
    ),
    (
        "One week of July, only its days are read",
        "SELECT dt, count(*) AS rows, round(avg(temp), 1) AS mean_f, round(sum(precip), 2) AS rain_in \
         FROM weather WHERE dt BETWEEN '2013-07-01' AND '2013-07-07' GROUP BY dt ORDER BY dt",
    ),
];

/// How the demo went.
#[derive(Debug)]
pub(super) struct Summary {
    records_sent: u64,
    rows_in_lake: u64,
    quarantined: u64,
    seconds: f64,
    report: Report,
}

impl Summary {
    /// Counts rows by SQL and verifies the table with `--deep --kafka`.
    pub(super) async fn make(context: &Context, records_sent: u64, elapsed: Duration) -> anyhow::Result<Self> {
        let rows_in_lake = count(context, "weather").await?;
        let quarantined = count(context, "weather_quarantine").await?;
        let report = verify::verify(context, &VerifyArgs { table: "weather".to_owned(), deep: true, kafka: true, since: None }).await?;
        Ok(Self { records_sent, rows_in_lake, quarantined, seconds: elapsed.as_secs_f64(), report })
    }

    /// Prints it and says how the process ends.
    pub(super) async fn print(&self, context: &Context, settings_file: &Path, real_broker: bool) -> anyhow::Result<ExitCode> {
        let violations = self.report.violations.len();
        let exit = if violations == 0 { ExitCode::Done } else { ExitCode::Violation };
        if context.output.is_json() {
            context.output.json(&serde_json::json!({
                "records_sent": self.records_sent,
                "rows_in_lake": self.rows_in_lake,
                "quarantined": self.quarantined,
                "violations": violations,
                "seconds": self.seconds,
                "real_broker": real_broker,
                "settings": settings_file,
            }))?;
            return Ok(exit);
        }
        for (question, sql) in QUERIES {
            context.output.line(&format!("{question}\n  {sql}\n"));
            print_rows(context, &crate::sql::query(context, sql).await?)?;
        }
        verify::print(&self.report, context)?;
        context.output.line(&format!(
            "\n{} records sent, {} rows in the lake, {} in quarantine, {} violations, {:.1} s",
            self.records_sent, self.rows_in_lake, self.quarantined, violations, self.seconds
        ));
        context.output.line(&next_steps(settings_file, real_broker));
        Ok(exit)
    }
}

async fn count(context: &Context, table: &str) -> anyhow::Result<u64> {
    let batches = crate::sql::query(context, &format!("SELECT count(*) FROM {table}")).await?;
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).with_context(|| format!("count the rows of `{table}`"))?;
    let column = batch.column(0).as_primitive_opt::<Int64Type>().ok_or_else(|| anyhow!("a count is a bigint"))?;
    Ok(column.value(0).unsigned_abs())
}

fn print_rows(context: &Context, batches: &[RecordBatch]) -> anyhow::Result<()> {
    let Some(first) = batches.first() else { return Ok(()) };
    let schema = first.schema();
    let align = |field: &arrow::datatypes::Field| if field.data_type().is_numeric() { Align::Right } else { Align::Left };
    let header: Vec<(&str, Align)> = schema.fields().iter().map(|field| (field.name().as_str(), align(field))).collect();
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in batches {
        let columns =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect::<Result<Vec<_>, _>>()?;
        rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>()));
    }
    context.output.table(&header, rows);
    context.output.line("");
    Ok(())
}

fn next_steps(settings_file: &Path, real_broker: bool) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "tributary".to_owned());
    let settings = settings_file.display();
    let kafka = if real_broker { " --kafka" } else { "" };
    let mut text = format!(
        "\nTry next\n  {program} -s {settings} sql \"SELECT * FROM weather WHERE dt = '2013-02-09' AND origin = 'JFK' LIMIT 5\"
  {program} -s {settings} status
  {program} -s {settings} verify weather --deep{kafka}
  {program} -s {settings} inspect 2"
    );
    if !real_broker {
        text.push_str(&format!("\n  {program} demo --kafka HOST:PORT      the same on a real broker"));
    }
    text
}
