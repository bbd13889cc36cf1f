//! In builds without the feature `demo`: no MQTT broker and no devices.
use super::model::Fleet;
use crate::output::Failure;
use std::{net::SocketAddr, time::Duration};
use tokio::sync::watch;

/// Where the broker would listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub devices: SocketAddr,
    pub bridge: SocketAddr,
}

fn absent() -> Failure {
    Failure::usage("this build has no MQTT broker", "build it with the feature `demo`, or leave out `--devices`")
}

/// There is none to start.
pub(super) fn start() -> anyhow::Result<Ports> {
    Err(absent().into())
}

/// There is nobody to publish to.
pub(super) async fn publish(_: &Fleet, _: SocketAddr, _: (Duration, Option<Duration>), _: &watch::Sender<usize>) -> anyhow::Result<usize> {
    Err(absent().into())
}
