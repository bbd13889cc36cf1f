//! Which connections are well, for readiness.
use service_runtime::health::Health;
use std::sync::{Arc, Mutex, PoisonError};

/// Name of the MQTT side in readiness.
const COMPONENT: &str = "bridge/mqtt";

/// Connections of the process. The process is not ready while none is subscribed; one that also listens for HTTP is ready without.
#[derive(Debug)]
pub struct Connections {
    subscribed: Mutex<Vec<bool>>,
    /// `None`: MQTT does not count for readiness.
    health: Option<Arc<Health>>,
}

impl Connections {
    /// So many connections, none of them subscribed.
    pub fn new(count: u32, health: Option<Arc<Health>>) -> Self {
        let connections = Self { subscribed: Mutex::new(vec![false; count as usize]), health };
        connections.show(0, count as usize);
        connections
    }

    /// Connection `number` is subscribed, or not any more.
    pub fn set(&self, number: u32, is_subscribed: bool) {
        let mut subscribed = self.subscribed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = subscribed.get_mut(number as usize) {
            *one = is_subscribed;
        }
        self.show(subscribed.iter().filter(|one| **one).count(), subscribed.len());
    }

    fn show(&self, subscribed: usize, all: usize) {
        if let Some(health) = &self.health {
            let why = format!("none of {all} connections is subscribed");
            health.set_not_ready(COMPONENT, (subscribed == 0).then_some(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_is_enough() {
        let health = Arc::new(Health::default());
        let connections = Connections::new(2, Some(Arc::clone(&health)));
        assert!(health.not_ready().contains_key(COMPONENT));
        connections.set(1, true);
        assert!(health.not_ready().is_empty());
        connections.set(0, true);
        connections.set(1, false);
        assert!(health.not_ready().is_empty());
        connections.set(0, false);
        assert!(health.not_ready().contains_key(COMPONENT));
    }
}
