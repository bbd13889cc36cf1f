//! What came out of it.
use crate::{battle::Fought, scene::Scene};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use test_kit::telemetry::Totals;

/// Runs `tributary verify --deep --kafka`; returns its report.
pub fn verify(scene: &Scene) -> Value {
    let output = scene.run_verify(&["--deep", "--kafka", "-o", "json"]);
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("verify ended with {}: {error}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr)));
    assert_eq!(output.status.success(), report["violations_total"] == 0, "{report:#}");
    println!("verify: {}", report["checked"]);
    report
}

/// Writes target/kill.json.
pub fn write(fought: &Fought, produced: &Totals, report: &Value, (seed, time): (u64, Duration)) {
    let summary = json!({
        "seed": seed,
        "kills": fought.kills,
        "pauses": fought.pauses,
        "fail_points": fought.fail_points,
        "rows": report["rows"],
        "refused": report["quarantined"],
        "late": produced.late_rows,
        "log_records": report["records"],
        "violations": report["violations_total"],
        "seconds": time.as_secs(),
    });
    println!("{summary:#}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::fs::create_dir_all(&folder).expect("make target/");
    std::fs::write(folder.join("kill.json"), format!("{summary:#}\n")).expect("write target/kill.json");
}

/// Nobody panicked, no table was stopped, and no process saw a broken log.
pub fn assert_logs_are_calm(scene: &Scene) {
    let alarming = ["panicked at", "table is stopped", "cannot be folded", "is lost", "defect"];
    for log in scene.logs() {
        for line in log.lines() {
            assert!(!alarming.iter().any(|words| line.contains(words)), "{line}\nin the log:\n{log}");
        }
    }
}
