//! The demo's folder: `tributary.yaml`, `schemas/` and `lake/`, so that every other command works on it.
use super::fleet;
use crate::output::{Failure, Output};
use anyhow::Context as _;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Says that a demo made the folder, and so may replace it.
const MARKER: &str = ".tributary-demo";

const SCHEMA: &str = include_str!("../../../../schemas/weather/v1.avsc");

/// What the demo's settings file depends on.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Bootstrap servers.
    pub kafka: String,
    /// The weather stations' topic.
    pub weather: String,
    /// The devices' topic.
    pub telemetry: String,
    /// The MQTT broker's address; `None`: no devices.
    pub mqtt: Option<SocketAddr>,
    /// Where each device stands, as the CSV that the transform joins.
    pub devices_csv: String,
}

impl Plan {
    /// The devices' topic and that of their refused records.
    pub(super) fn telemetry_topics(&self) -> [String; 2] {
        [self.telemetry.clone(), format!("{}.refused", self.telemetry)]
    }
}

/// Makes the folder, replacing one of an earlier demo. Returns the path of its settings file.
///
/// # Errors
/// A folder that is not empty and that no demo made is refused, untouched.
pub(super) fn prepare(dir: &Path, plan: &Plan, output: Output) -> anyhow::Result<PathBuf> {
    clear(dir, output)?;
    for folder in ["schemas/weather", "schemas/telemetry", "lake", "spill"] {
        fs::create_dir_all(dir.join(folder)).with_context(|| format!("create `{}`", dir.join(folder).display()))?;
    }
    write(&dir.join(MARKER), "made by `tributary demo`, which may replace this folder\n")?;
    write(&dir.join("schemas/weather/v1.avsc"), SCHEMA)?;
    write(&dir.join("schemas/telemetry/v1.avsc"), fleet::SCHEMA)?;
    if plan.mqtt.is_some() {
        write(&dir.join("devices.csv"), &plan.devices_csv)?;
        write(&dir.join("site_averages.sql"), fleet::TRANSFORM)?;
    }
    let settings = dir.join("tributary.yaml");
    write(&settings, &settings_text(plan))?;
    Ok(settings)
}

fn clear(dir: &Path, output: Output) -> anyhow::Result<()> {
    let in_use = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).with_context(|| format!("read `{}`", dir.display())),
    };
    if !in_use {
        return Ok(());
    }
    if !dir.join(MARKER).is_file() {
        let what = format!("folder `{}` is not empty and was not made by a demo", dir.display());
        return Err(Failure::usage(what, "name another folder with `--dir PATH`").into());
    }
    output.note(&format!("Replacing the folder of an earlier demo, {}", dir.display()));
    fs::remove_dir_all(dir).with_context(|| format!("remove `{}`", dir.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write `{}`", path.display()))
}

fn settings_text(plan: &Plan) -> String {
    let (kafka, weather) = (&plan.kafka, &plan.weather);
    let mut text = format!(
        "# Settings of the demo. Every other command works with them: tributary -s <this file> sql \"…\"
lake: lake
schemas: schemas
kafka:
  bootstrap_servers: {kafka}
  # A writer that is gone gives up its kafka_partitions after this.
  session_timeout: 6s
lake_writer:
  instance: demo
  commit_interval: 2s
  shards: 1
window_sealer:
  instance: demo
  spill_dir: spill
  poll_interval: 500ms
  amend_delay: 1s
tables:
  weather:
    topics:
      - {weather}
    subject: weather
    event_time: time_hour
    window: 1d
    sort_by: [origin, time_hour]
    # The observations are old: no kafka_partition is idle by today's clock.
    idle_timeout: none
"
    );
    if let Some(mqtt) = plan.mqtt {
        text.push_str(&devices_text(plan, mqtt));
    }
    text
}

fn devices_text(plan: &Plan, mqtt: SocketAddr) -> String {
    let (telemetry, transform) = (&plan.telemetry, fleet::DERIVED);
    format!(
        "  telemetry:
    topics:
      - {telemetry}
      # What the bridge refused goes to quarantine.
      - {telemetry}.refused
    subject: telemetry
    event_time: measured_at
    # A window closes when the watermark has passed its end. Then it is sealed: repetitions out, sorted, few files.
    window: 1m
    out_of_orderness: 10s
    dedupe_by: [device_id, seq]
    sort_by: [device_id, measured_at]
    # Half an hour passes in seconds: no kafka_partition is idle by today's clock.
    idle_timeout: none
transforms:
  {transform}:
    source: telemetry
    sql: site_averages.sql
    size: 30s
    every: 10s
    window: 1m
    references: {{devices: devices.csv}}
    sort_by: [site, window_end]
bridge:
  instance: demo
  mqtt:
    # The broker was part of the demo and ended with it.
    url: mqtt://{mqtt}
    connections: 1
  routes:
    - filter: \"devices/{{device_id}}/telemetry\"
      topic: {telemetry}
      subject: telemetry
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Mode;

    fn plan() -> Plan {
        let mqtt = Some(SocketAddr::from(([127, 0, 0, 1], 1_883)));
        let devices_csv = "device_id,site\nsensor-000,silo\n".to_owned();
        Plan { kafka: "127.0.0.1:9092".to_owned(), weather: "weather".to_owned(), telemetry: "telemetry".to_owned(), mqtt, devices_csv }
    }

    #[test]
    fn a_folder_of_an_earlier_demo_is_replaced_and_any_other_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(Mode::Json);
        let settings = prepare(folder.path(), &plan(), output).unwrap();
        let kept = folder.path().join("lake/kept");
        fs::write(&kept, "old").unwrap();
        prepare(folder.path(), &plan(), output).unwrap();
        assert!(settings.is_file() && !kept.exists());

        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("thesis.tex"), "years of work").unwrap();
        let error = prepare(other.path(), &plan(), output).unwrap_err();
        assert!(error.to_string().contains("was not made by a demo"), "{error}");
        assert!(other.path().join("thesis.tex").is_file());
    }

    #[test]
    fn its_settings_have_no_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = prepare(folder.path(), &plan(), Output::new(Mode::Json)).unwrap();
        let settings = service_runtime::settings::Settings::load(&file).unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(settings.tables.keys().collect::<Vec<_>>(), ["telemetry", "weather"]);
        let route = &settings.bridge.expect("the devices come through the bridge").routes[0];
        assert_eq!((route.topic.as_str(), route.filter.as_str()), ("telemetry", "devices/{device_id}/telemetry"));
        assert_eq!(settings.transforms.keys().collect::<Vec<_>>(), [fleet::DERIVED]);
        let without = settings_text(&Plan { mqtt: None, ..plan() });
        assert!(["telemetry", "bridge", "transforms"].iter().all(|word| !without.contains(word)));
    }
}
