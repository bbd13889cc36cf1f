//! For tests only: committed and aborted transactions, and calls that destroy data.
use std::{fmt, ptr, time::Duration};

use rdkafka::{
    bindings as rdsys,
    error::KafkaError,
    producer::{BaseProducer, Producer as _},
    types::RDKafkaErrorCode,
};

use crate::{
    Admin, KafkaIoError, NewRecord, TopicPartition,
    admin::check_topics,
    config::{KafkaConfig, LogContext},
    partition::{c_topic, list_with_offsets, owned_text},
    producer::{as_base, producer_config},
    request::elements,
};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A producer of transactions, for tests: services never use them.
pub struct TransactionalProducer {
    inner: BaseProducer<LogContext>,
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionalProducer").finish_non_exhaustive()
    }
}

impl TransactionalProducer {
    /// Registers `transactional_id`; an open transaction of an earlier producer with this id is aborted.
    ///
    /// # Errors
    /// Those of the request.
    pub fn new(config: &KafkaConfig, transactional_id: &str) -> Result<Self, KafkaIoError> {
        let properties = [("transactional.id".to_owned(), transactional_id.to_owned())];
        let inner: BaseProducer<LogContext> =
            producer_config(config, &properties).create_with_context(LogContext).map_err(|error| failed(&error))?;
        inner.init_transactions(TIMEOUT).map_err(|error| failed(&error))?;
        Ok(Self { inner })
    }

    /// Opens a transaction.
    ///
    /// # Errors
    /// One is open already.
    pub fn begin(&mut self) -> Result<(), KafkaIoError> {
        self.inner.begin_transaction().map_err(|error| failed(&error))
    }

    /// Queues a record of the open transaction.
    ///
    /// # Errors
    /// Those of the queue.
    pub fn send(&mut self, record: &NewRecord) -> Result<(), KafkaIoError> {
        self.inner.send(as_base(record)).map_err(|(error, _)| failed(&error))
    }

    /// Sends what is queued without ending the transaction: its records are in the log, but not stable.
    ///
    /// # Errors
    /// Not all were acknowledged in time.
    pub fn flush(&mut self) -> Result<(), KafkaIoError> {
        self.inner.flush(TIMEOUT).map_err(|error| failed(&error))
    }

    /// Commits.
    ///
    /// # Errors
    /// Those of the request.
    pub fn commit(&mut self) -> Result<(), KafkaIoError> {
        self.inner.commit_transaction(TIMEOUT).map_err(|error| failed(&error))
    }

    /// Aborts; the records stay in the log, absent for readers of committed records.
    ///
    /// # Errors
    /// Those of the request.
    pub fn abort(&mut self) -> Result<(), KafkaIoError> {
        self.inner.abort_transaction(TIMEOUT).map_err(|error| failed(&error))
    }
}

fn failed(error: &KafkaError) -> KafkaIoError {
    KafkaIoError::from_kafka("run a transaction", error)
}

impl Admin {
    /// Deletes a topic, for tests. Its end may become visible a little later.
    ///
    /// # Errors
    /// [`KafkaIoError::UnknownTopic`], and those of the request.
    pub fn delete_topic(&self, topic: &str) -> Result<(), KafkaIoError> {
        self.serve();
        let request = self.request(rdsys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETETOPICS, "delete a topic");
        let name = c_topic(topic);
        // SAFETY: the calls copy their arguments; the question is freed once.
        unsafe {
            let mut question = rdsys::rd_kafka_DeleteTopic_new(name.as_ptr());
            rdsys::rd_kafka_DeleteTopics(request.client, &raw mut question, 1, request.options, request.queue);
            rdsys::rd_kafka_DeleteTopic_destroy(question);
        }
        let answer = request.answer()?;
        let mut count = 0;
        // SAFETY: an answer without an error has this result, which lives as long as the answer.
        unsafe {
            let result = rdsys::rd_kafka_event_DeleteTopics_result(answer.event);
            check_topics(&request, elements(rdsys::rd_kafka_DeleteTopics_result_topics(result, &raw mut count), count))
        }
    }

    /// Deletes the records below an offset of each kafka_partition, as retention would, for tests.
    ///
    /// # Errors
    /// Those of the request.
    pub fn delete_records(&self, before: &[(TopicPartition, i64)]) -> Result<(), KafkaIoError> {
        self.serve();
        let request = self.request(rdsys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETERECORDS, "delete records");
        let list = list_with_offsets(before);
        // SAFETY: the calls copy their arguments; the question is freed once.
        unsafe {
            let mut question = rdsys::rd_kafka_DeleteRecords_new(list.ptr());
            rdsys::rd_kafka_DeleteRecords(request.client, &raw mut question, 1, request.options, request.queue);
            rdsys::rd_kafka_DeleteRecords_destroy(question);
        }
        let answer = request.answer()?;
        // SAFETY: an answer without an error has this result, which lives as long as the answer.
        let outcomes = unsafe {
            let result = rdsys::rd_kafka_event_DeleteRecords_result(answer.event);
            partition_offsets(rdsys::rd_kafka_DeleteRecords_result_offsets(result))
        };
        for (partition, _, code) in outcomes {
            if code != RDKafkaErrorCode::NoError {
                return Err(KafkaIoError::from_code("delete records", code, code.to_string(), Some(&partition.topic)));
            }
        }
        Ok(())
    }

    /// Raises the number of a topic's kafka_partitions, for tests.
    ///
    /// # Errors
    /// Those of the request.
    pub fn add_partitions(&self, topic: &str, total: i32) -> Result<(), KafkaIoError> {
        self.serve();
        let request = self.request(rdsys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, "add kafka_partitions");
        let (name, mut error) = (c_topic(topic), crate::request::ErrorText::new());
        let (room, size) = error.room();
        // SAFETY: the calls copy their arguments; the question is freed once.
        unsafe {
            let mut question = rdsys::rd_kafka_NewPartitions_new(name.as_ptr(), usize::try_from(total).unwrap_or(0), room, size);
            if question.is_null() {
                return Err(KafkaIoError::Misconfigured { operation: "add kafka_partitions", detail: error.text() });
            }
            rdsys::rd_kafka_CreatePartitions(request.client, &raw mut question, 1, request.options, request.queue);
            rdsys::rd_kafka_NewPartitions_destroy(question);
        }
        let answer = request.answer()?;
        let mut count = 0;
        // SAFETY: an answer without an error has this result, which lives as long as the answer.
        unsafe {
            let result = rdsys::rd_kafka_event_CreatePartitions_result(answer.event);
            check_topics(&request, elements(rdsys::rd_kafka_CreatePartitions_result_topics(result, &raw mut count), count))
        }
    }
}

/// Elements of a list in an answer: kafka_partition, offset, error.
///
/// # Safety
/// `list` is null or alive.
unsafe fn partition_offsets(list: *const rdsys::rd_kafka_topic_partition_list_t) -> Vec<(TopicPartition, i64, RDKafkaErrorCode)> {
    // SAFETY: alive, as promised, with `cnt` elements.
    unsafe {
        let Some(list) = list.as_ref() else { return Vec::new() };
        let elements = &*ptr::slice_from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0));
        let read = |element: &rdsys::rd_kafka_topic_partition_t| {
            let partition = TopicPartition { topic: owned_text(element.topic), kafka_partition: element.partition };
            (partition, element.offset, element.err.into())
        };
        elements.iter().map(read).collect()
    }
}
