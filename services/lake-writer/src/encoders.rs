//! Threads that end files, one for each core, for all tables of the process.
//!
//! An encoder and its codec take megabytes that nobody reserved. With a thread for each file, as a runtime's pool would have it, many tables
//! that commit at once would have many of them, and the allocator keeps for each thread what it used.
use crate::error::WriterError;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The threads; they end with the last clone. Who sends a job waits for it, so as many jobs wait as files are staged at a time.
#[derive(Clone, Debug)]
pub struct Encoders {
    jobs: mpsc::Sender<Job>,
}

impl Encoders {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start() -> Result<Self, WriterError> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            let waiting = Arc::clone(&waiting);
            let body = move || {
                while let Some(job) = next(&waiting) {
                    // Who waits for it is told by the end of their channel.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            };
            let started = thread::Builder::new().name(format!("encoder-{number}")).spawn(body);
            started.map_err(|error| WriterError::Bug { what: "start a thread", detail: error.to_string() })?;
        }
        Ok(Self { jobs })
    }

    /// Runs a job on one of the threads.
    ///
    /// # Errors
    /// It panicked: a defect.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, WriterError> {
        let (done, outcome) = oneshot::channel();
        // Nobody waits any more if the commit was given up.
        let sent = self.jobs.send(Box::new(move || drop(done.send(job()))));
        let panicked = || WriterError::Bug { what: "encode file", detail: "the encoder panicked".to_owned() };
        sent.map_err(|_| panicked())?;
        outcome.await.map_err(|_| panicked())
    }
}

fn next(waiting: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::Encoders;

    #[tokio::test]
    async fn a_job_that_panics_fails_alone() {
        let encoders = Encoders::start().expect("threads");
        for _ in 0..100 {
            assert!(encoders.run(|| panic!("on purpose")).await.map(|(): ()| ()).is_err());
        }
        assert_eq!(encoders.run(|| 1).await.expect("the threads live on"), 1);
    }
}
