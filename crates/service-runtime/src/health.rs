//! What a service says of itself: reasons why it is not live or not ready.
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Reasons by component. Live and ready without any.
#[derive(Debug, Default)]
pub struct Health {
    reasons: Mutex<Reasons>,
}

#[derive(Debug, Default)]
struct Reasons {
    not_ready: BTreeMap<String, String>,
    not_live: BTreeMap<String, String>,
}

impl Health {
    /// Sets or clears the reason why this component makes the process not ready.
    pub fn set_not_ready(&self, component: &str, why: Option<String>) {
        set(&mut self.lock().not_ready, component, why);
    }

    /// Sets or clears the reason why this component makes the process not live: only a restart helps.
    pub fn set_not_live(&self, component: &str, why: Option<String>) {
        set(&mut self.lock().not_live, component, why);
    }

    /// Component → reason; empty: ready.
    pub fn not_ready(&self) -> BTreeMap<String, String> {
        self.lock().not_ready.clone()
    }

    /// Component → reason; empty: live.
    pub fn not_live(&self) -> BTreeMap<String, String> {
        self.lock().not_live.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reasons> {
        // A map of texts is whole after any panic.
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn set(reasons: &mut BTreeMap<String, String>, component: &str, why: Option<String>) {
    match why {
        Some(why) => reasons.insert(component.to_owned(), why),
        None => reasons.remove(component),
    };
}
