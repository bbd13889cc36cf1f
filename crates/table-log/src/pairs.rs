//! Maps whose keys are no strings, for JSON: a list of pairs in the order of the keys.
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Writes `[[key, value], …]`.
pub(crate) fn serialize<K, V, S>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
where
    K: Serialize,
    V: Serialize,
    S: Serializer,
{
    serializer.collect_seq(map)
}

/// Reads what [`serialize`] writes.
pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
where
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
}

/// Maps by kafka_partition as JSON objects. Written out, since serde cannot read integers as keys inside a tagged or flattened value.
pub(crate) mod by_kafka_partition {
    use crate::KafkaPartition;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    /// Writes `{"0": value, …}`.
    pub(crate) fn serialize<V: Serialize, S: Serializer>(map: &BTreeMap<KafkaPartition, V>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(map)
    }

    /// Reads what [`serialize`] writes; any other spelling of a number is refused, so that no key is there twice.
    pub(crate) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<KafkaPartition, V>, D::Error> {
        let named = BTreeMap::<String, V>::deserialize(deserializer)?;
        let numbered = named.into_iter().map(|(name, value)| match name.parse::<i32>() {
            Ok(number) if number.to_string() == name => Ok((KafkaPartition(number), value)),
            _ => Err(D::Error::custom(format_args!("`{name}` is no number of a kafka_partition"))),
        });
        numbered.collect()
    }
}
