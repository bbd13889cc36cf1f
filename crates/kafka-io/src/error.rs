//! Errors, and what a code of librdkafka means for the caller.
use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

/// What can go wrong with Kafka, as situations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaIoError {
    /// No broker reachable, a time-out, a leader election: passes, so try again.
    #[error("{operation} failed: {detail}")]
    Unavailable {
        /// What was tried, as a verb and its object.
        operation: &'static str,
        /// librdkafka's text.
        detail: String,
    },
    /// A setting is wrong (authorisation, unknown property, a value the broker refuses): does not pass by itself.
    #[error("{operation} was refused: {detail}")]
    Misconfigured {
        /// What was tried, as a verb and its object.
        operation: &'static str,
        /// librdkafka's text.
        detail: String,
    },
    /// The topic does not exist.
    #[error("topic `{topic}` does not exist")]
    UnknownTopic {
        /// Its name.
        topic: String,
    },
    /// The topic that should be created is there already.
    #[error("topic `{topic}` exists already")]
    TopicExists {
        /// Its name.
        topic: String,
    },
    /// This group member does not own the kafka_partition (any more).
    #[error("kafka_partition {kafka_partition} of topic `{topic}` is not assigned to this member")]
    NotAssigned {
        /// Topic name.
        topic: String,
        /// Number of the kafka_partition.
        kafka_partition: i32,
    },
    /// The broker does not have these offsets: retention passed them, or they were never written.
    #[error("offset `{offset}` of kafka_partition {kafka_partition} of topic `{topic}` is out of range: {detail}")]
    OffsetOutOfRange {
        /// Topic name.
        topic: String,
        /// Number of the kafka_partition.
        kafka_partition: i32,
        /// The offset that was asked for.
        offset: i64,
        /// What the broker has.
        detail: String,
    },
}

impl KafkaIoError {
    /// From rdkafka's error of one operation.
    pub(crate) fn from_kafka(operation: &'static str, error: &KafkaError) -> Self {
        let detail = error.to_string();
        match error {
            KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) | KafkaError::Nul(_) => Self::Misconfigured { operation, detail },
            other => match other.rdkafka_error_code() {
                Some(code) if is_misconfigured(code) => Self::Misconfigured { operation, detail },
                _ => Self::Unavailable { operation, detail },
            },
        }
    }

    /// From an error code with its text, about a topic where there is one.
    pub(crate) fn from_code(operation: &'static str, code: RDKafkaErrorCode, detail: String, topic: Option<&str>) -> Self {
        match (code, topic) {
            (RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic, Some(topic)) => {
                Self::UnknownTopic { topic: topic.to_owned() }
            }
            (RDKafkaErrorCode::TopicAlreadyExists, Some(topic)) => Self::TopicExists { topic: topic.to_owned() },
            _ if is_misconfigured(code) => Self::Misconfigured { operation, detail },
            _ => Self::Unavailable { operation, detail },
        }
    }
}

/// Whether only a person can make this go away.
fn is_misconfigured(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::Authentication
            | C::SaslAuthenticationFailed
            | C::TopicAuthorizationFailed
            | C::GroupAuthorizationFailed
            | C::ClusterAuthorizationFailed
            | C::TransactionalIdAuthorizationFailed
            | C::UnsupportedSASLMechanism
            | C::UnsupportedVersion
            | C::UnsupportedFeature
            | C::InvalidArgument
            | C::InvalidConfig
            | C::InvalidPartitions
            | C::InvalidReplicationFactor
            | C::InvalidTopic
            | C::InvalidRequest
            | C::PolicyViolation
            | C::MessageSizeTooLarge
            | C::SSL
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_situations() {
        let of = |code| KafkaIoError::from_code("create topic", code, "text".into(), Some("t"));
        assert_eq!(of(RDKafkaErrorCode::TopicAlreadyExists), KafkaIoError::TopicExists { topic: "t".into() });
        assert_eq!(of(RDKafkaErrorCode::UnknownTopicOrPartition), KafkaIoError::UnknownTopic { topic: "t".into() });
        assert!(matches!(of(RDKafkaErrorCode::TopicAuthorizationFailed), KafkaIoError::Misconfigured { .. }));
        assert!(matches!(of(RDKafkaErrorCode::OperationTimedOut), KafkaIoError::Unavailable { .. }));
        assert!(matches!(of(RDKafkaErrorCode::LeaderNotAvailable), KafkaIoError::Unavailable { .. }));
    }
}
