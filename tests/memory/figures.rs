//! What the kernel says of a process, and the file that the figures go to.
use crate::lake::Writer;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Figures of all scenes; says at the end which broke the bound, so that one run shows all.
#[derive(Debug)]
pub struct Figures {
    bound_bytes: u64,
    budget_bytes: u64,
    scenes: Map<String, Value>,
    broken: Vec<String>,
}

impl Figures {
    /// The bound of every scene is the budget and what a process has beside it.
    pub fn new(budget_mib: u64, beside_mib: u64) -> Self {
        let bound_bytes = (budget_mib + beside_mib) << 20;
        Self { bound_bytes, budget_bytes: budget_mib << 20, scenes: Map::new(), broken: Vec::new() }
    }

    /// Takes the figures of a process: highest resident size since its start, and what of the current one is its own memory.
    pub fn note(&mut self, scene: &str, writer: &Writer, records: u64) {
        let (peak, own) = (writer.status_bytes("VmHWM"), writer.status_bytes("RssAnon"));
        let figures = json!({
            "peak_rss_bytes": peak,
            "own_bytes_at_end": own,
            "text_and_files_bytes": writer.status_bytes("RssFile"),
            "threads": writer.status("Threads"),
            "records": records,
            "seconds": writer.seconds(),
        });
        println!("{scene}: {} MiB at most ({} MiB own at its end), {figures}", peak >> 20, own >> 20);
        if peak > self.bound_bytes {
            self.broken.push(format!("{scene}: {} MiB, at most {} MiB", peak >> 20, self.bound_bytes >> 20));
        }
        self.scenes.insert(scene.to_owned(), figures);
    }

    /// Adds a figure to a scene.
    pub fn add(&mut self, scene: &str, name: &str, value: u64) {
        println!("{scene}: {name} {value}");
        self.scenes[scene][name] = value.into();
    }

    /// Writes target/memory.json.
    ///
    /// # Panics
    /// A scene broke the bound.
    pub fn end(self) {
        let all = json!({ "budget_bytes": self.budget_bytes, "bound_bytes": self.bound_bytes, "scenes": self.scenes });
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
        std::fs::create_dir_all(&folder).expect("make target/");
        std::fs::write(folder.join("memory.json"), format!("{all:#}\n")).expect("write target/memory.json");
        assert!(self.broken.is_empty(), "over the bound:\n{}", self.broken.join("\n"));
    }
}
