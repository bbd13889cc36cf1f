//! Questions to the cluster, and topic creation.
use std::{ffi::CString, fmt};

use rdkafka::{
    bindings as rdsys,
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaRespErr,
};

use crate::{
    KafkaIoError,
    config::{KafkaConfig, LogContext},
    partition::{TopicPartition, c_topic, list_of, owned_text},
    request::{ErrorText, REQUEST_TIMEOUT, Request, elements},
    topic_id,
};

/// librdkafka's mock cluster calls itself so. It never answers a question for topic ids, and this alone tells it from a slow broker.
const MOCK_CLUSTER: &str = "mockCluster";

/// Questions to the cluster, and topic creation. Every call waits, at most about 20 s.
pub struct Admin {
    pub(crate) client: BaseConsumer<LogContext>,
    config: KafkaConfig,
}

/// What the cluster says of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub topic: String,
    /// Base64 text; `None`: the broker gives none (the mock, or one older than 2.8).
    pub topic_id: Option<String>,
    /// Number of its kafka_partitions.
    pub partitions: i32,
}

/// Which offset of each kafka_partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    /// First one that the broker still has.
    Earliest,
    /// Log end.
    Latest,
    /// Last stable offset: the end of what a reader of committed records can reach.
    LastStable,
    /// First offset with a timestamp ≥ this, in milliseconds; the log end if none.
    AtTime(i64),
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// A client; connects when asked something.
    ///
    /// # Errors
    /// [`KafkaIoError::Misconfigured`] for properties that librdkafka refuses.
    pub fn new(config: &KafkaConfig) -> Result<Self, KafkaIoError> {
        Self::with_properties(config, &[])
    }

    /// A client with further librdkafka properties.
    pub(crate) fn with_properties(config: &KafkaConfig, properties: &[(&str, &str)]) -> Result<Self, KafkaIoError> {
        let mut client = config.reader();
        for (name, value) in properties {
            client.set(*name, *value);
        }
        let client = client.create_with_context(LogContext).map_err(|error| KafkaIoError::from_kafka("create a client", &error))?;
        Ok(Self { client, config: config.clone() })
    }

    /// Id of the cluster; `None` if the broker gives none.
    ///
    /// # Errors
    /// [`KafkaIoError::Unavailable`] if no broker answers.
    pub fn cluster_id(&self) -> Result<Option<String>, KafkaIoError> {
        self.serve();
        let client = self.native();
        // SAFETY: the client is alive; the text is null or ours to free with `rd_kafka_mem_free`.
        let id = unsafe {
            let text = rdsys::rd_kafka_clusterid(client, timeout_ms());
            let id = owned_text(text);
            rdsys::rd_kafka_mem_free(client, text.cast());
            id
        };
        if id.is_empty() {
            // Null means "none" and "no answer" alike.
            self.metadata(None)?;
            return Ok(None);
        }
        Ok(Some(id))
    }

    /// What the cluster says of each; `None` in place of a topic that does not exist.
    ///
    /// # Errors
    /// [`KafkaIoError`] of the request. A broker that does not answer in time is an error, never a topic without an id.
    pub fn topics(&self, topics: &[String]) -> Result<Vec<Option<TopicInfo>>, KafkaIoError> {
        if self.cluster_id()?.is_some_and(|id| id.starts_with(MOCK_CLUSTER)) {
            return self.topics_of_mock(topics);
        }
        // SAFETY: the client is alive during the call.
        unsafe { topic_id::describe(self.native(), topics) }
    }

    /// One offset for each kafka_partition `0..partitions`, in their order.
    ///
    /// # Errors
    /// [`KafkaIoError::UnknownTopic`], and those of the request.
    pub fn offsets(&self, topic: &str, partitions: i32, query: OffsetQuery) -> Result<Vec<i64>, KafkaIoError> {
        let mut offsets = self.list_offsets(topic, partitions, query)?;
        if matches!(query, OffsetQuery::AtTime(_)) && offsets.iter().any(|offset| *offset < 0) {
            let ends = self.list_offsets(topic, partitions, OffsetQuery::Latest)?;
            for (offset, end) in offsets.iter_mut().zip(ends) {
                if *offset < 0 {
                    *offset = end;
                }
            }
        }
        Ok(offsets)
    }

    /// Advisory group offsets; `None`: nothing committed.
    ///
    /// # Errors
    /// Those of the request.
    pub fn group_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, Option<i64>)>, KafkaIoError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        // A client that knows the group, but does not join it: librdkafka's admin call for this crashes a client without a group when the
        // coordinator has moved.
        let client = Self::with_properties(&self.config, &[("group.id", group)])?;
        let found = client.client.committed_offsets(list_of(partitions), REQUEST_TIMEOUT);
        let found = found.map_err(|error| KafkaIoError::from_kafka("read group offsets", &error))?;
        let offset_of = |partition: &TopicPartition| {
            let element = found.find_partition(&partition.topic, partition.kafka_partition);
            let Some(element) = element else { return Ok(None) };
            element.error().map_err(|error| KafkaIoError::from_kafka("read group offsets", &error))?;
            Ok(element.offset().to_raw().filter(|offset| *offset >= 0))
        };
        partitions.iter().map(|partition| Ok((partition.clone(), offset_of(partition)?))).collect()
    }

    /// Creates a topic with configuration entries such as `retention.ms`.
    ///
    /// # Errors
    /// [`KafkaIoError::TopicExists`] if it is there already, whatever its shape, and those of the request.
    pub fn create_topic(&self, topic: &str, partitions: i32, replication: i32, config: &[(String, String)]) -> Result<(), KafkaIoError> {
        self.serve();
        let request = self.request(rdsys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, "create a topic");
        let (name, mut error) = (c_topic(topic), ErrorText::new());
        let (room, size) = error.room();
        // SAFETY: the name outlives the call, which copies it; the error text has this size.
        let mut question = unsafe { rdsys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replication, room, size) };
        if question.is_null() {
            return Err(KafkaIoError::Misconfigured { operation: "create a topic", detail: error.text() });
        }
        for (key, value) in config {
            let (key, value) = (CString::new(key.as_str()).unwrap_or_default(), CString::new(value.as_str()).unwrap_or_default());
            // SAFETY: the question is alive, and the call copies both texts.
            unsafe { rdsys::rd_kafka_NewTopic_set_config(question, key.as_ptr(), value.as_ptr()) };
        }
        // SAFETY: the call copies the question, which is freed once.
        unsafe {
            rdsys::rd_kafka_CreateTopics(request.client, &raw mut question, 1, request.options, request.queue);
            rdsys::rd_kafka_NewTopic_destroy(question);
        }
        let answer = request.answer()?;
        let mut count = 0;
        // SAFETY: an answer without an error has this result; it lives as long as the answer.
        let results = unsafe {
            let result = rdsys::rd_kafka_event_CreateTopics_result(answer.event);
            elements(rdsys::rd_kafka_CreateTopics_result_topics(result, &raw mut count), count)
        };
        // SAFETY: the results live as long as the answer.
        unsafe { check_topics(&request, results) }
    }

    fn list_offsets(&self, topic: &str, partitions: i32, query: OffsetQuery) -> Result<Vec<i64>, KafkaIoError> {
        if partitions <= 0 {
            return Ok(Vec::new());
        }
        self.serve();
        let request = self.request(rdsys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, "list offsets");
        let (question, isolation) = match query {
            OffsetQuery::Earliest => (rdsys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i64, false),
            OffsetQuery::Latest => (rdsys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64, false),
            OffsetQuery::LastStable => (rdsys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i64, true),
            OffsetQuery::AtTime(time_ms) => (time_ms.max(0), false),
        };
        let wanted: Vec<_> = (0..partitions).map(|kafka_partition| TopicPartition { topic: topic.to_owned(), kafka_partition }).collect();
        let list = list_of(&wanted);
        // SAFETY: the list has `partitions` elements; the request copies it. The error that `set_isolation_level` returns is null, as both
        // levels are known to it.
        unsafe {
            for index in 0..wanted.len() {
                (*(*list.ptr()).elems.add(index)).offset = question;
            }
            let level = if isolation {
                rdsys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
            } else {
                rdsys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
            };
            rdsys::rd_kafka_AdminOptions_set_isolation_level(request.options, level);
            rdsys::rd_kafka_ListOffsets(request.client, list.ptr(), request.options, request.queue);
        }
        let answer = match request.answer() {
            // A topic that does not exist has no leaders: librdkafka's error says no more than that.
            Err(_) if self.topics(&[topic.to_owned()])?[0].is_none() => return Err(KafkaIoError::UnknownTopic { topic: topic.to_owned() }),
            answer => answer?,
        };
        let mut count = 0;
        // SAFETY: an answer without an error has this result; it lives as long as the answer.
        let infos = unsafe {
            let result = rdsys::rd_kafka_event_ListOffsets_result(answer.event);
            elements(rdsys::rd_kafka_ListOffsets_result_infos(result, &raw mut count), count)
        };
        let mut offsets = vec![None; wanted.len()];
        for info in infos {
            // SAFETY: part of the answer, which is alive.
            let element = unsafe { &*rdsys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info) };
            if element.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(request.failed(element.err, String::new(), Some(topic)));
            }
            if let Some(slot) = usize::try_from(element.partition).ok().and_then(|index| offsets.get_mut(index)) {
                *slot = Some(element.offset);
            }
        }
        let missing = || KafkaIoError::Unavailable { operation: "list offsets", detail: format!("no answer for all of `{topic}`") };
        offsets.into_iter().collect::<Option<Vec<i64>>>().ok_or_else(missing)
    }

    /// The mock answers questions for all topics only; one for a single topic would create it.
    fn topics_of_mock(&self, topics: &[String]) -> Result<Vec<Option<TopicInfo>>, KafkaIoError> {
        let metadata = self.metadata(None)?;
        let describe = |name: &String| {
            let topic = metadata.topics().iter().find(|topic| topic.name() == name && topic.error().is_none())?;
            let partitions = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
            Some(TopicInfo { topic: name.clone(), topic_id: None, partitions })
        };
        Ok(topics.iter().map(describe).collect())
    }

    fn metadata(&self, topic: Option<&str>) -> Result<rdkafka::metadata::Metadata, KafkaIoError> {
        self.client.fetch_metadata(topic, REQUEST_TIMEOUT).map_err(|error| KafkaIoError::from_kafka("read the cluster's metadata", &error))
    }

    /// Takes log lines and errors off the client's queue, which nobody polls otherwise.
    pub(crate) fn serve(&self) {
        while self.client.poll(std::time::Duration::ZERO).is_some() {}
    }

    pub(crate) fn request(&self, kind: rdsys::rd_kafka_admin_op_t, operation: &'static str) -> Request {
        // SAFETY: requests do not outlive the call that makes them, so the client outlives them.
        unsafe { Request::new(self.native(), kind, operation) }
    }

    fn native(&self) -> *mut rdsys::rd_kafka_t {
        self.client.client().native_ptr()
    }
}

/// The first error among results about topics.
///
/// # Safety
/// The results are alive.
pub(crate) unsafe fn check_topics(request: &Request, results: &[*const rdsys::rd_kafka_topic_result_t]) -> Result<(), KafkaIoError> {
    for result in results {
        // SAFETY: alive, as promised.
        unsafe {
            let code = rdsys::rd_kafka_topic_result_error(*result);
            if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                let topic = owned_text(rdsys::rd_kafka_topic_result_name(*result));
                return Err(request.failed(code, owned_text(rdsys::rd_kafka_topic_result_error_string(*result)), Some(&topic)));
            }
        }
    }
    Ok(())
}

fn timeout_ms() -> i32 {
    i32::try_from(REQUEST_TIMEOUT.as_millis()).unwrap_or(i32::MAX)
}
