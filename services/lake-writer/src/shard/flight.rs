//! The commit in flight: start, end, and waiting for it.
use super::{Control, Shard};
use crate::{
    commit::{self, CommitEnd, CommitJob},
    context::GiveUp,
    error::StoppedTable,
    policy::CommitReason,
};
use service_runtime::fail_point;
use std::{
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::time::Instant;

/// A commit that runs beside the shard.
#[derive(Debug)]
pub(super) struct Flight {
    /// Makes it end soon, as abandoned if its outcome is unknown.
    pub(super) give_up: GiveUp,
}

/// Longest wait at a time for a commit to end.
const FLIGHT_WAIT: Duration = Duration::from_millis(50);

impl Shard {
    /// Starts a commit of all that was taken. Returns whether there was anything.
    pub(super) fn start_commit(&mut self, reason: CommitReason) -> Result<bool, StoppedTable> {
        debug_assert!(self.flight.is_none(), "one commit at a time");
        self.absorb_tails()?;
        let ranges = self.owned.cut();
        self.flush = false;
        self.idle_due = false;
        self.pending_since = None;
        self.next_jitter();
        if ranges.is_empty() {
            return Ok(false);
        }
        let mut reservation = self.reservation.split_off();
        let held_bytes = self.held.as_ref().map_or(0, |held| held.batch.bytes());
        reservation.resize(reservation.bytes().saturating_sub(held_bytes));
        self.reservation.resize(held_bytes);
        let job = CommitJob { ranges, buffers: self.buffers.take(), rules: Arc::clone(&self.rules), reason, reservation };
        let give_up = GiveUp::new();
        self.flight = Some(Flight { give_up: give_up.clone() });
        let (context, sender) = (Arc::clone(self.context()), self.setup.sender.clone());
        let table = context.name().to_owned();
        let commit = self.setup.runtime.spawn(commit::run(context, job, give_up));
        self.setup.runtime.spawn(async move {
            let end = commit
                .await
                .unwrap_or_else(|error| CommitEnd::Stopped(StoppedTable::Bug { table, detail: format!("commit task ended: {error}") }));
            // Fails only when the shard has ended, which then does not care; it holds few messages, so there is room.
            if sender.try_send(Control::CommitFinished(end)).is_err() {
                tracing::debug!("a commit ended after its shard");
            }
        });
        Ok(true)
    }

    /// The commit in flight ended.
    pub(super) fn commit_finished(&mut self, end: CommitEnd) -> Result<(), StoppedTable> {
        self.flight = None;
        match end {
            CommitEnd::Committed { offsets } => {
                fail_point!("writer-before-group-commit");
                self.consumer.commit_offsets(&offsets);
                fail_point!("writer-after-group-commit");
                Ok(())
            }
            CommitEnd::Fenced(why) => {
                tracing::warn!(table = self.context().name(), shard = self.setup.number, ?why, "fenced: reading again from the log");
                self.reset();
                Ok(())
            }
            CommitEnd::Abandoned => {
                tracing::warn!(table = self.context().name(), shard = self.setup.number, "commit abandoned: reading again from the log");
                self.reset();
                Ok(())
            }
            CommitEnd::Stopped(stop) => Err(stop),
        }
    }

    /// Drops all that builds on the log as this shard knew it; every kafka_partition starts from the log again.
    pub(super) fn reset(&mut self) {
        let owned = self.owned.take_all();
        self.waiting.extend(owned.iter().map(|progress| super::on_the_wire(&progress.source)));
        self.failing.clear();
        self.suspended.clear();
        self.held = None;
        drop(self.buffers.take());
        self.reservation.resize(0);
        self.pending_since = None;
        self.idle_due = false;
        self.next_tick = Instant::now();
    }

    /// Commits what is buffered, waiting at most until the deadline; after it the commit in flight is left.
    pub(super) fn drain(&mut self, deadline: Instant) -> Result<(), StoppedTable> {
        loop {
            if self.flight.is_some() {
                self.wait_for_flight(deadline)?;
            } else if Instant::now() >= deadline || !self.start_commit(CommitReason::Drain)? {
                return Ok(());
            }
        }
    }

    /// Waits for the commit in flight and handles its end; other messages are noted.
    pub(super) fn wait_for_flight(&mut self, deadline: Instant) -> Result<(), StoppedTable> {
        while let Some(flight) = &self.flight {
            let deadline = self.drain_by.map_or(deadline, |by| by.min(deadline));
            if Instant::now() >= deadline {
                flight.give_up.fire();
            }
            match self.setup.control.recv_timeout(FLIGHT_WAIT) {
                Ok(Control::CommitFinished(end)) => self.commit_finished(end)?,
                Ok(Control::Flush) => self.flush = true,
                Ok(Control::Drain(by)) => self.drain_by = Some(by),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => unreachable!("the shard holds a sender"),
            }
        }
        Ok(())
    }
}
