use indicatif::{ProgressBar, ProgressStyle};

/// Progress of long work on stderr; silent when nobody watches. Ends when dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// `total`: steps until the end, if known.
    pub(super) fn new(label: &'static str, total: Option<u64>, visible: bool) -> Self {
        let bar = match (visible, total) {
            (false, _) => ProgressBar::hidden(),
            (true, Some(total)) => ProgressBar::new(total).with_style(style("{msg} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}")),
            (true, None) => ProgressBar::new_spinner().with_style(style("{spinner} {msg} {human_pos} {per_sec}")),
        };
        bar.set_message(label);
        Self { bar }
    }

    /// So many steps more are done.
    pub fn add(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Replaces the label.
    pub fn label(&self, label: impl Into<String>) {
        self.bar.set_message(label.into());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are constant and valid")
}
