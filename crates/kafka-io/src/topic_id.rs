//! Identity of topics: the id tells a topic from one of the same name that was made later.
use std::ffi::CString;

use rdkafka::{
    bindings as rdsys,
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};

use crate::{
    KafkaIoError,
    admin::TopicInfo,
    partition::owned_text,
    request::{Request, elements},
};

/// Base64 of the zero UUID: a broker without topic ids.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// Describes topics: id and number of kafka_partitions; `None` in place of one that does not exist.
///
/// # Errors
/// What the cluster or, for one topic, its answer says.
///
/// # Safety
/// `client` is alive during the call.
pub(crate) unsafe fn describe(client: *mut rdsys::rd_kafka_t, topics: &[String]) -> Result<Vec<Option<TopicInfo>>, KafkaIoError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    // SAFETY: the client is alive, and the request does not leave this function.
    let request = unsafe { Request::new(client, rdsys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, "describe topics") };
    let names: Vec<CString> = topics.iter().map(|topic| crate::partition::c_topic(topic)).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the names outlive the calls, which copy them; the collection is freed once.
    unsafe {
        let collection = rdsys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        rdsys::rd_kafka_DescribeTopics(request.client, collection, request.options, request.queue);
        rdsys::rd_kafka_TopicCollection_destroy(collection);
    }
    let answer = request.answer()?;
    let mut count = 0;
    // SAFETY: an answer without an error has this result; it lives as long as the answer.
    let descriptions = unsafe {
        let result = rdsys::rd_kafka_event_DescribeTopics_result(answer.event);
        elements(rdsys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count), count)
    };
    let mut found = Vec::with_capacity(count);
    for description in descriptions {
        // SAFETY: part of the answer, which is alive.
        found.extend(unsafe { read(&request, *description) }?);
    }
    Ok(topics.iter().map(|topic| found.iter().find(|info| info.topic == *topic).cloned()).collect())
}

/// One description; `None`: no such topic.
///
/// # Safety
/// `description` is alive.
unsafe fn read(request: &Request, description: *const rdsys::rd_kafka_TopicDescription_t) -> Result<Option<TopicInfo>, KafkaIoError> {
    // SAFETY: alive, as promised; all results belong to it.
    unsafe {
        let topic = owned_text(rdsys::rd_kafka_TopicDescription_name(description));
        let error = rdsys::rd_kafka_TopicDescription_error(description);
        let code = rdsys::rd_kafka_error_code(error);
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            if matches!(code.into(), RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) {
                return Ok(None);
            }
            return Err(request.failed(code, owned_text(rdsys::rd_kafka_error_string(error)), Some(&topic)));
        }
        let id = owned_text(rdsys::rd_kafka_Uuid_base64str(rdsys::rd_kafka_TopicDescription_topic_id(description)));
        let mut partitions = 0;
        rdsys::rd_kafka_TopicDescription_partitions(description, &raw mut partitions);
        let topic_id = Some(id.trim_end_matches('=').to_owned()).filter(|id| !id.is_empty() && id != NO_ID);
        Ok(Some(TopicInfo { topic, topic_id, partitions: i32::try_from(partitions).unwrap_or(i32::MAX) }))
    }
}
