//! What the demo shows at its end: queries, the proof, and what to try next.
use super::fleet::{self, Account, Line, Published};
use super::windows::Windows;
use crate::{
    cli::VerifyArgs,
    context::Context,
    output::{Align, ExitCode, Output},
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
use table_log::TableName;

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

/// Questions to the devices' tables and their SQL.
const DEVICES_QUERIES: [(&str, &str); 2] = [
    (
        "The devices' last minutes",
        "SELECT dt, hr, mi, count(DISTINCT device_id) AS devices, count(*) AS rows, round(avg(temperature_c), 1) AS mean_c FROM telemetry \
         GROUP BY dt, hr, mi ORDER BY dt DESC, hr DESC, mi DESC LIMIT 6",
    ),
    (
        "Means of thirty seconds, every ten seconds, by site: derived from sealed windows",
        "SELECT window_end, site, readings, devices, mean_c, max_c FROM site_averages ORDER BY window_end DESC, site LIMIT 8",
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
    devices: Option<DevicesSummary>,
}

/// How it went for the devices.
#[derive(Debug)]
struct DevicesSummary {
    devices: usize,
    died: usize,
    account: Account,
    windows: Windows,
    report: Report,
    derived_rows: u64,
    derived_report: Report,
}

impl DevicesSummary {
    async fn make(context: &Context, published: &Published) -> anyhow::Result<Self> {
        let (devices, died) = published.devices();
        let account = published.account(context).await?;
        let windows = Windows::count(&context.log(&TableName(fleet::TABLE.to_owned()), true).await?.state());
        let derived_rows = count(context, fleet::DERIVED).await?;
        let (report, derived_report) = (verified(context, fleet::TABLE).await?, verified(context, fleet::DERIVED).await?);
        Ok(Self { devices, died, account, windows, report, derived_rows, derived_report })
    }

    fn violations(&self) -> usize {
        self.report.violations.len() + self.derived_report.violations.len()
    }

    fn json(&self) -> serde_json::Value {
        let kinds = self.account.lines.iter().map(|line| {
            let reason = line.kind.refused_as();
            serde_json::json!({
                "kind": line.kind.name(), "sent": line.sent, "rows": line.rows, "duplicates": line.duplicates, "quarantined": line.quarantined,
                "reason": reason,
            })
        });
        serde_json::json!({
            "devices": self.devices,
            "died": self.died,
            "messages_sent": self.account.sent(),
            "kinds": kinds.collect::<Vec<_>>(),
            "surplus": self.account.surplus,
            "agree": self.account.agrees(),
            "windows": {
                "sealed": self.windows.sealed, "amended": self.windows.amended, "open": self.windows.open,
                "late_rows": self.windows.late_rows, "duplicates": self.windows.duplicates,
            },
            "derived_rows": self.derived_rows,
            "violations": self.violations(),
        })
    }

    /// What was sent, kind by kind, and where it ended.
    fn print(&self, output: Output) {
        output.line(&format!(
            "What {} devices sent over MQTT, and where it ended ({} fell silent with an empty battery)\n",
            self.devices, self.died
        ));
        let header = [
            ("messages", Align::Left),
            ("sent", Align::Right),
            ("rows", Align::Right),
            ("dropped", Align::Right),
            ("in quarantine", Align::Right),
            ("reason", Align::Left),
        ];
        let lines = self.account.lines.iter();
        let mut rows: Vec<Vec<String>> = lines
            .map(|line| {
                let numbers = [line.sent, line.rows, line.duplicates, line.quarantined].map(|number| number.to_string());
                let reason = line.kind.refused_as().unwrap_or_default().to_owned();
                std::iter::once(line.kind.describe().to_owned()).chain(numbers).chain([reason]).collect()
            })
            .collect();
        let sum = |number: fn(&Line) -> u64| self.account.lines.iter().map(number).sum::<u64>().to_string();
        let sums = [sum(|line| line.sent), sum(|line| line.rows), sum(|line| line.duplicates), sum(|line| line.quarantined)];
        rows.push(std::iter::once("all".to_owned()).chain(sums).chain([String::new()]).collect());
        output.table(&header, rows);
        output.line(match self.account.agrees() {
            true => {
                "\nThe sums agree: each message is in the lake once, or dropped in favour of an equal one that is, or in quarantine with its reason.\n"
            }
            false => "\nTHE SUMS DO NOT AGREE.\n",
        });
        let Windows { sealed, amended, open, late_rows, duplicates } = self.windows;
        output.line(&format!(
            "Windows of one minute: {sealed} closed and sealed, {open} still open. {late_rows} rows came late and made {amended} of them anew, \
             {duplicates} repeated rows were dropped and are named.\n{} rows of site means are derived from them.\n",
            self.derived_rows
        ));
    }
}

async fn verified(context: &Context, table: &str) -> anyhow::Result<Report> {
    verify::verify(context, &VerifyArgs { table: table.to_owned(), deep: true, kafka: true, since: None }).await
}

impl Summary {
    /// Counts rows by SQL and verifies the tables with `--deep --kafka`.
    pub(super) async fn make(
        context: &Context,
        (records_sent, published): (u64, Option<Published>),
        elapsed: Duration,
    ) -> anyhow::Result<Self> {
        let rows_in_lake = count(context, "weather").await?;
        let quarantined = count(context, "weather_quarantine").await?;
        let devices = match &published {
            Some(published) => Some(DevicesSummary::make(context, published).await?),
            None => None,
        };
        let report = verified(context, "weather").await?;
        Ok(Self { records_sent, rows_in_lake, quarantined, seconds: elapsed.as_secs_f64(), report, devices })
    }

    fn exit(&self) -> ExitCode {
        let devices_went_well = |devices: &DevicesSummary| devices.account.agrees() && devices.violations() == 0;
        let well = self.report.violations.is_empty() && self.devices.as_ref().is_none_or(devices_went_well);
        if well { ExitCode::Done } else { ExitCode::Violation }
    }

    /// Prints it and says how the process ends.
    pub(super) async fn print(&self, context: &Context, settings_file: &Path, real_broker: bool) -> anyhow::Result<ExitCode> {
        let violations = self.report.violations.len();
        if context.output.is_json() {
            context.output.json(&serde_json::json!({
                "records_sent": self.records_sent,
                "rows_in_lake": self.rows_in_lake,
                "quarantined": self.quarantined,
                "violations": violations,
                "telemetry": self.devices.as_ref().map(DevicesSummary::json),
                "seconds": self.seconds,
                "real_broker": real_broker,
                "settings": settings_file,
            }))?;
            return Ok(self.exit());
        }
        let devices_queries = self.devices.iter().flat_map(|_| DEVICES_QUERIES);
        for (question, sql) in QUERIES.into_iter().chain(devices_queries) {
            context.output.line(&format!("{question}\n  {sql}\n"));
            print_rows(context, &crate::sql::query(context, sql).await?)?;
        }
        if let Some(devices) = &self.devices {
            devices.print(context.output);
            verify::print(&devices.report, context)?;
            verify::print(&devices.derived_report, context)?;
        }
        verify::print(&self.report, context)?;
        context.output.line(&format!(
            "\n{} observations sent, {} rows in the lake, {} in quarantine, {} violations, {:.1} s",
            self.records_sent, self.rows_in_lake, self.quarantined, violations, self.seconds
        ));
        context.output.line(&next_steps(settings_file, real_broker, self.devices.is_some()));
        Ok(self.exit())
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

fn next_steps(settings_file: &Path, real_broker: bool, devices: bool) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "tributary".to_owned());
    let settings = settings_file.display();
    let kafka = if real_broker { " --kafka" } else { "" };
    let mut text = format!(
        "\nTry next\n  {program} -s {settings} sql \"SELECT * FROM weather WHERE dt = '2013-02-09' AND origin = 'JFK' LIMIT 5\"
  {program} -s {settings} status
  {program} -s {settings} verify weather --deep{kafka}
  {program} -s {settings} inspect 2"
    );
    if devices {
        text.push_str(&format!("\n  {program} -s {settings} quarantine show telemetry --reason conflicting_field --limit 1"));
        text.push_str(&format!("\n  {program} -s {settings} transform list"));
    }
    if !real_broker {
        text.push_str(&format!("\n  {program} demo --kafka HOST:PORT      the same on a real broker"));
    }
    text
}
