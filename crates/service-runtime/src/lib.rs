//! What every service shares: settings, telemetry, health, shutdown, clock, retry. STUB: API to be kept, split into files.
pub mod settings;
/// The injected clock.
pub mod clock {
    use windowing::Time;
    /// Wall clock for the data path (event-time checks, watermarks). The lint bans `SystemTime::now` elsewhere.
    pub trait Clock: Send + Sync + std::fmt::Debug { /// Now.
        fn now(&self) -> Time; }
    /// The machine's clock.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct SystemClock;
    impl Clock for SystemClock { fn now(&self) -> Time { todo!() } }
}
/// Shutdown: SIGTERM and SIGINT.
pub mod shutdown {
    /// Cheap to clone; `triggered()` resolves once asked to stop.
    #[derive(Debug, Clone)]
    pub struct Shutdown {}
    impl Shutdown {
        /// Without signals, for tests and the demo.
        pub fn manual() -> Self { Self {} }
        /// Listens for SIGTERM and SIGINT.
        pub fn on_signals() -> std::io::Result<Self> { todo!() }
        /// Asks to stop.
        pub fn trigger(&self) {}
        /// Whether asked.
        pub fn is_triggered(&self) -> bool { false }
        /// Resolves when asked.
        pub async fn triggered(&self) {}
    }
}
/// /metrics, /live, /ready on the admin port; each service registers its metrics and reports readiness.
pub mod admin {
    use std::sync::Arc;
    /// What a service says of itself.
    #[derive(Debug, Default)]
    pub struct Health { /* per-component reasons */ }
    impl Health {
        /// Sets or clears a reason why this process is not ready (component → text).
        pub fn set_not_ready(&self, component: &str, why: Option<String>) { let _ = (component, why); }
        /// The same for live.
        pub fn set_not_live(&self, component: &str, why: Option<String>) { let _ = (component, why); }
    }
    /// Serves until shutdown.
    pub async fn serve(listen: std::net::SocketAddr, registry: prometheus::Registry, health: Arc<Health>, shutdown: crate::shutdown::Shutdown) -> std::io::Result<()> { let _ = (listen, registry, health, shutdown); Ok(()) }
}
/// Fail points: `fail_point!("after-create")`. Armed by the env var TRIBUTARY_FAIL_POINT=`<name>:<nth>` only with the feature `fail-points`; then the process kills itself with SIGKILL.
pub mod fail_points {}
