//! One admin request: options, a reply queue, the wait for the answer.
use std::{ffi::CStr, ptr, time::Duration};

use rdkafka::{
    bindings as rdsys,
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};

use crate::{KafkaIoError, batch::code_text, partition::owned_text};

/// The broker gets this long; librdkafka's default of 60 s is long for a caller that waits.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The local wait for the answer is longer than the request's, so that the request's own time-out tells why.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

/// An admin request in the making; frees options and queue on drop.
pub(crate) struct Request {
    pub(crate) client: *mut rdsys::rd_kafka_t,
    pub(crate) options: *mut rdsys::rd_kafka_AdminOptions_t,
    pub(crate) queue: *mut rdsys::rd_kafka_queue_t,
    operation: &'static str,
}

impl Request {
    /// # Safety
    /// `client` outlives the request.
    pub(crate) unsafe fn new(client: *mut rdsys::rd_kafka_t, kind: rdsys::rd_kafka_admin_op_t, operation: &'static str) -> Self {
        let mut text = [0; 256];
        let timeout_ms = i32::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client is alive; options and queue are fresh, and freed on drop.
        unsafe {
            let options = rdsys::rd_kafka_AdminOptions_new(client, kind);
            rdsys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, text.as_mut_ptr(), text.len());
            Self { client, options, queue: rdsys::rd_kafka_queue_new(client), operation }
        }
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// A failure of the request as a whole; errors about single topics are in the answer.
    pub(crate) fn answer(&self) -> Result<Answer, KafkaIoError> {
        let wait_ms = i32::try_from((REQUEST_TIMEOUT + ANSWER_MARGIN).as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive.
        let event = unsafe { rdsys::rd_kafka_queue_poll(self.queue, wait_ms) };
        if event.is_null() {
            return Err(KafkaIoError::Unavailable { operation: self.operation, detail: format!("no answer in {wait_ms} ms") });
        }
        let answer = Answer { event };
        // SAFETY: the event is alive; its text is null or terminated.
        let (code, text) = unsafe { (rdsys::rd_kafka_event_error(event), owned_text(rdsys::rd_kafka_event_error_string(event))) };
        if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(answer) } else { Err(self.failed(code, text, None)) }
    }

    /// The error of one topic in the answer.
    pub(crate) fn failed(&self, code: RDKafkaRespErr, text: String, topic: Option<&str>) -> KafkaIoError {
        let text = if text.is_empty() { code_text(code).into_owned() } else { text };
        KafkaIoError::from_code(self.operation, RDKafkaErrorCode::from(code), text, topic)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        // SAFETY: both are ours and freed once; the client is still alive.
        unsafe {
            rdsys::rd_kafka_AdminOptions_destroy(self.options);
            rdsys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// The answer; what is read from it lives as long.
pub(crate) struct Answer {
    pub(crate) event: *mut rdsys::rd_kafka_event_t,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { rdsys::rd_kafka_event_destroy(self.event) }
    }
}

/// Error texts are written here by constructors that refuse their arguments.
pub(crate) struct ErrorText([std::ffi::c_char; 512]);

impl ErrorText {
    pub(crate) fn new() -> Self {
        Self([0; 512])
    }

    pub(crate) fn room(&mut self) -> (*mut std::ffi::c_char, usize) {
        (self.0.as_mut_ptr(), self.0.len())
    }

    pub(crate) fn text(&self) -> String {
        // SAFETY: zeroed at first and written by snprintf, so terminated.
        unsafe { CStr::from_ptr(self.0.as_ptr()) }.to_string_lossy().into_owned()
    }
}

/// A C array of pointers as a slice.
///
/// # Safety
/// `start` is null or valid for `count` elements during `'a`.
pub(crate) unsafe fn elements<'a, T>(start: *const *const T, count: usize) -> &'a [*const T] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: promised by the caller.
    unsafe { &*ptr::slice_from_raw_parts(start, count) }
}
