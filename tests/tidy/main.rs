//! Rules of the code itself that no compiler lint can check.
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MOST_PRODUCTION_LINES: usize = 500;
/// Crates that call C without a safe binding.
const OWN_UNSAFE: [&str; 2] = ["crates/kafka-io", "crates/allocator"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace root is two folders up")
}

/// Files that git knows or would add, with the given ending, relative to the root.
fn files(ending: &str) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .expect("names are UTF-8")
        .lines()
        .filter(|name| name.ends_with(ending) && root().join(name).is_file())
        .map(PathBuf::from)
        .collect()
}

fn text(file: &Path) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("read {}: {error}", file.display()))
}

fn is_test_code(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The part of a file before its test module.
fn production(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]")).map(|(index, line)| (index + 1, line))
}

#[test]
fn files_are_short() {
    let long: Vec<String> = files(".rs")
        .iter()
        .filter(|file| !is_test_code(file))
        .map(|file| (production(&text(file)).count(), file.display().to_string()))
        .filter(|(lines, _)| *lines > MOST_PRODUCTION_LINES)
        .map(|(lines, file)| format!("{file}: {lines} lines, at most {MOST_PRODUCTION_LINES}: split it by responsibility"))
        .collect();
    assert_none("long files", &long);
    assert!(text(Path::new("services/tributary/src/main.rs")).lines().count() <= 60, "main.rs only starts things: at most 60 lines");
}

#[test]
fn names_say_something() {
    const SAY_NOTHING: [&str; 7] = ["util", "utils", "helper", "helpers", "common", "manager", "misc"];
    let empty: Vec<String> = files(".rs")
        .iter()
        .filter(|file| file.iter().any(|part| SAY_NOTHING.contains(&part.to_string_lossy().trim_end_matches(".rs"))))
        .map(|file| format!("{}: name it after a stage or a noun of the domain", file.display()))
        .collect();
    assert_none("names", &empty);
}

#[test]
fn nothing_is_left_over() {
    // Put together here, so that this file does not find itself.
    let left_overs = [
        ["to", "do!("].concat(),
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["#[ig", "nore"].concat(),
        ["unimpl", "emented!("].concat(),
    ];
    let mut found = Vec::new();
    for file in files(".rs") {
        for (index, line) in text(&file).lines().enumerate() {
            if left_overs.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    assert_none("left-overs", &found);
}

#[test]
fn tests_wait_for_conditions() {
    let sleeps = [["thread::", "sleep("].concat(), ["time::", "sleep("].concat()];
    let mut found = Vec::new();
    for file in files(".rs").iter().filter(|file| is_test_code(file)) {
        for (index, line) in text(file).lines().enumerate() {
            if sleeps.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    assert_none("sleeps in tests (wait for a condition with a deadline)", &found);
}

#[test]
fn expectations_have_reasons() {
    let mut found = Vec::new();
    for file in files(".rs").iter().filter(|file| !is_test_code(file)) {
        for (line_number, line) in production(&text(file)) {
            if line.contains(concat!(".unwrap", "()")) {
                found.push(format!("{}:{line_number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert_none("unwrap() outside tests", &found);
}

#[test]
fn metrics_are_declared_in_one_place() {
    let declarations = [
        "IntCounter::new(",
        "IntCounterVec::new(",
        "IntGauge::new(",
        "IntGaugeVec::new(",
        "Gauge::new(",
        "GaugeVec::new(",
        "Histogram::with_opts(",
    ];
    let found: Vec<String> = files(".rs")
        .iter()
        .filter(|file| !file.ends_with("metrics.rs") && !is_test_code(file))
        .filter(|file| production(&text(file)).any(|(_, line)| declarations.iter().any(|word| line.contains(word))))
        .map(|file| format!("{}: declare metrics in metrics.rs", file.display()))
        .collect();
    assert_none("metrics", &found);
}

/// Normal dependencies of each workspace package.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages is a list");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().expect("dependencies is a list").iter().filter(|d| d["kind"].is_null());
            let names = normal.filter_map(|d| d["name"].as_str().map(str::to_owned)).collect();
            (package["name"].as_str().expect("a package has a name").to_owned(), names)
        })
        .collect()
}

#[test]
fn pure_crates_stay_pure() {
    let allowed = BTreeMap::from([("windowing", vec!["serde"]), ("table-log", vec!["serde", "serde_json", "windowing"])]);
    let dependencies = dependencies();
    for (package, allowed) in allowed {
        let others: Vec<String> = dependencies[package].iter().filter(|name| !allowed.contains(&name.as_str())).cloned().collect();
        assert_none(&format!("dependencies of the pure crate {package}"), &others);
    }
}

#[test]
fn heavy_dependencies_have_one_owner() {
    let owners = [
        ("rdkafka", vec!["kafka-io"]),
        ("datafusion", vec!["lake-query"]),
        ("schema_registry_converter", vec!["event-schema"]),
        ("apache-avro", vec!["event-schema"]),
    ];
    for (dependency, owners) in owners {
        for (package, names) in dependencies() {
            assert!(
                !names.iter().any(|name| name == dependency) || owners.contains(&package.as_str()),
                "{package} must not depend on {dependency}: {owners:?} owns it"
            );
        }
    }
}

#[test]
fn services_do_not_know_each_other() {
    let services: Vec<String> = fs::read_dir(root().join("services"))
        .expect("services/ exists")
        .map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned())
        .collect();
    for (package, names) in dependencies() {
        if package != "tributary" {
            let known: Vec<String> = names.into_iter().filter(|name| services.contains(name)).collect();
            assert_none(&format!("{package} depends on services"), &known);
        }
    }
}

#[test]
fn lints_hold_everywhere() {
    for file in files("Cargo.toml") {
        let manifest = text(&file);
        let owns_unsafe = OWN_UNSAFE.iter().any(|owner| file.starts_with(owner));
        assert!(
            !manifest.contains("[package]") || manifest.contains("[lints]\nworkspace = true") || owns_unsafe,
            "{}: inherit the workspace's lints",
            file.display()
        );
    }
    let with_unsafe: Vec<String> = files(".rs")
        .iter()
        .filter(|file| !OWN_UNSAFE.iter().any(|owner| file.starts_with(owner)) && !is_test_code(file))
        .filter(|file| text(file).lines().any(|line| line.trim_start().starts_with("unsafe ") || line.contains(" unsafe {")))
        .map(|file| file.display().to_string())
        .collect();
    assert_none("unsafe outside its owners", &with_unsafe);
}

#[test]
fn links_of_the_docs_lead_somewhere() {
    let mut broken = Vec::new();
    for file in files(".md") {
        let source = text(&file);
        for target in source.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            let outside = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
            if !outside && !root().join(file.parent().unwrap_or(Path::new(""))).join(path).exists() {
                broken.push(format!("{}: {target}", file.display()));
            }
        }
    }
    assert_none("broken links", &broken);
}

#[test]
fn make_help_lists_every_target() {
    let makefile = text(Path::new("Makefile"));
    let internal = ["setup-build"];
    let unlisted: Vec<String> = makefile
        .lines()
        .filter_map(|line| line.strip_prefix(".PHONY: "))
        .filter(|target| !internal.contains(target))
        .filter(|target| !makefile.lines().any(|line| line.starts_with(&format!("{target}:")) && line.contains("## ")))
        .map(str::to_owned)
        .collect();
    assert_none("targets without a line in `make help`", &unlisted);
}

#[test]
fn every_refusal_code_is_explained() {
    let page = text(Path::new("docs/refusals.md"));
    let missing: Vec<String> = event_schema::RefusalCode::all()
        .iter()
        .map(|code| code.as_str().to_owned())
        .filter(|code| !page.contains(&format!("`{code}`")))
        .collect();
    assert!(!event_schema::RefusalCode::all().is_empty(), "there are refusal codes");
    assert_none("codes without a line in docs/refusals.md", &missing);
}

#[test]
fn every_fail_point_is_listed() {
    let marks = [["fail_", "point!(\""].concat(), ["self.fail_", "point(\""].concat()];
    let mut used = BTreeMap::new();
    for file in files(".rs").iter().filter(|file| !is_test_code(file) && !file.ends_with("fail_points.rs")) {
        let source = text(file);
        for mark in &marks {
            for name in source.split(mark.as_str()).skip(1).filter_map(|rest| rest.split('"').next()) {
                used.entry(name.to_owned()).or_insert_with(|| file.display().to_string());
            }
        }
    }
    let listed = service_runtime::fail_points::POINTS;
    let unlisted: Vec<String> =
        used.iter().filter(|(name, _)| !listed.contains(&name.as_str())).map(|(name, file)| format!("{file}: `{name}`")).collect();
    assert_none("fail points that service_runtime::fail_points::POINTS lacks, so that no test ends a writer there", &unlisted);
    let gone: Vec<String> = listed.iter().filter(|name| !used.contains_key(**name)).map(|name| (*name).to_owned()).collect();
    assert_none("fail points that the code does not pass", &gone);
}

#[test]
fn every_situation_that_stops_a_table_is_in_the_runbook() {
    let page = text(Path::new("docs/runbook.md"));
    let missing: Vec<String> = lake_writer::StoppedTable::situations()
        .iter()
        .map(ToString::to_string)
        .filter(|situation| !page.contains(&format!("`{situation}`")))
        .collect();
    assert_none("situations without a line in docs/runbook.md", &missing);
}
