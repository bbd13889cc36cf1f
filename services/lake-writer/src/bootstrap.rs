//! The first records of a table, and later topics and kafka_partitions: decided purely, committed by [`ensure_table`] and [`declare`].
use crate::{
    context::{GiveUp, TableContext},
    error::{StoppedTable, WriterError},
    identity::{self, ClusterView},
};
use event_schema::{Evolution, SchemaError, TableSchema};
use kafka_io::OffsetQuery;
use lake_store::CommitOutcome;
use service_runtime::settings::{StartFrom, TopicSettings};
use std::collections::BTreeMap;
use table_log::{
    KafkaPartition, Offset, TableState,
    record::{Body, SourceBody, SourceDeclaration, TableBody, TableSettings},
};

/// The schema that a new table starts with: its subject's newest.
async fn first_schema(context: &TableContext) -> Result<TableSchema, WriterError> {
    let subject = &context.table.subject;
    match context.schemas.latest(subject).await {
        Ok(found) => Ok(TableSchema::parse(&found.avro_json)?),
        Err(error) => {
            let why = format!("waiting for a schema of subject `{subject}`: {error}");
            context.health.set_not_ready(&crate::table::component(context), Some(why));
            Err(error.into())
        }
    }
}

/// What the log says of a table.
fn table_body(schema_version: u32, schema: &TableSchema, settings: TableSettings) -> TableBody {
    let columns = schema.columns().into_iter().filter(|column| !settings.partition_by.contains(&column.name)).collect();
    TableBody { schema_version, avro_schema: schema.avro_json().to_owned(), columns, settings }
}

/// Makes the log's schema cover a writer's, if it can: a `table` record with what the writer adds. Others may do the same or more at the
/// same time; the log decides who is first, and the next look is at what it has then.
///
/// # Errors
/// Outer: trouble of the store, to be tried again, or a log that refuses the schema. Inner: the schemas do not fit.
pub async fn take_up_schema(context: &TableContext, writer: &str, give_up: &GiveUp) -> Result<Result<(), SchemaError>, WriterError> {
    loop {
        let state = context.log.refresh().await?;
        let body = state.table.as_ref().ok_or_else(|| WriterError::Settings("log has no `table` record".into()))?;
        let (schema, added) = match TableSchema::parse(&body.avro_schema)?.evolve(writer) {
            Ok(Evolution::Covers) => return Ok(Ok(())),
            Ok(Evolution::Adds { schema, added }) => (schema, added),
            Err(error) => return Ok(Err(error)),
        };
        let body = table_body(body.schema_version + 1, &schema, body.settings.clone());
        let schema_version = body.schema_version;
        match context.log.commit(Body::Table(body), give_up.fired()).await? {
            CommitOutcome::Committed(_) => tracing::info!(table = context.name(), schema_version, ?added, "table has a new schema version"),
            CommitOutcome::Fenced(why) => return Err(WriterError::Settings(format!("the log refuses the new schema: {why}"))),
            CommitOutcome::Stale(_) | CommitOutcome::AlreadyDone | CommitOutcome::Abandoned => {}
        }
    }
}

/// Commits the `table` record of a new table; follows the log of an existing one and says where the settings file differs.
///
/// # Errors
/// Trouble of the store, or a schema that the log refuses.
pub async fn ensure_table(context: &TableContext, give_up: &GiveUp) -> Result<(), WriterError> {
    let state = context.log.refresh().await?;
    if state.table.is_none() {
        let body = table_body(1, &first_schema(context).await?, context.table.log.clone());
        match context.log.commit(Body::Table(body), give_up.fired()).await? {
            CommitOutcome::Fenced(why) => return Err(WriterError::Settings(format!("the log refuses the `table` record: {why:?}"))),
            // Another writer may have been first: its settings stand.
            outcome => tracing::info!(table = context.name(), ?outcome, "table record proposed"),
        }
    }
    let state = context.log.refresh().await?;
    let Some(body) = &state.table else { return Ok(()) };
    let differences = drift(&context.table.log, body);
    context.metrics.set_drift(!differences.is_empty());
    for difference in differences {
        tracing::warn!(
            table = context.name(),
            difference,
            "settings file differs from the log, which is followed; `tributary table apply` changes the log"
        );
    }
    Ok(())
}

/// Where a settings file differs from the log: one text per setting.
pub fn drift(wanted: &TableSettings, body: &TableBody) -> Vec<String> {
    let json = |settings: &TableSettings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let (wanted, logged) = (json(wanted), json(&body.settings));
    let names: std::collections::BTreeSet<&String> = wanted.keys().chain(logged.keys()).collect();
    let show = |value: Option<&serde_json::Value>| value.map_or_else(|| "not set".to_owned(), ToString::to_string);
    names
        .into_iter()
        .filter(|name| wanted.get(*name) != logged.get(*name))
        .map(|name| format!("`{name}`: file `{}`, log `{}`", show(wanted.get(name)), show(logged.get(name))))
        .collect()
}

/// A topic, or kafka_partitions of one, that the log does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    /// Topic.
    pub topic: String,
    /// Topic id, where the broker gives one.
    pub topic_id: Option<String>,
    /// The generation that it gets.
    pub generation: u32,
    /// A `.refused` topic.
    pub refused: bool,
    /// kafka_partitions in the log.
    pub known_partitions: i32,
    /// kafka_partitions in the cluster.
    pub partitions: i32,
    /// Where the first ones start; later ones start at their beginning.
    pub start: StartFrom,
}

/// What is to be declared, and what is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// To be declared, all in one record.
    pub undeclared: Vec<Undeclared>,
    /// Topics that do not exist yet.
    pub waiting: Vec<String>,
}

/// All topics of a table: those of the settings file and those that the log reads.
pub fn topics(settings: &[TopicSettings], state: &TableState) -> Vec<String> {
    let mut topics: Vec<String> = settings.iter().map(|topic| topic.topic.clone()).filter(|topic| !is_retired(topic, state)).collect();
    let logged = state.sources().filter(|(_, _, source)| !source.ended).map(|(topic, ..)| topic.to_owned());
    topics.extend(logged);
    topics.sort();
    topics.dedup();
    topics
}

fn is_retired(topic: &str, state: &TableState) -> bool {
    state.current_source(topic).is_none() && state.sources().any(|(known, ..)| known == topic)
}

/// Compares the log with the cluster.
///
/// # Errors
/// A declared topic is another one now, or the cluster is another.
pub fn compare_sources(table: &str, settings: &[TopicSettings], state: &TableState, view: &ClusterView) -> Result<Sources, StoppedTable> {
    let mut sources = Sources::default();
    for (topic, found) in &view.topics {
        let declared = state.current_source(topic);
        if let Some((_, declared)) = declared {
            let identity = identity::compare(declared, view.cluster_id.as_deref(), found.as_ref());
            if let Some(stop) = identity::stop_of(table, topic, declared, &identity) {
                return Err(stop);
            }
        }
        let Some(found) = found else {
            sources.waiting.push(topic.clone());
            continue;
        };
        let wanted = settings.iter().find(|wanted| &wanted.topic == topic);
        let known_partitions = declared.map_or(0, |(_, source)| source.partitions.len() as i32);
        if found.partitions > known_partitions {
            sources.undeclared.push(Undeclared {
                topic: topic.clone(),
                topic_id: declared.map_or_else(|| found.topic_id.clone(), |(_, source)| source.topic_id.clone()),
                generation: declared.map_or(1, |(generation, _)| generation),
                refused: declared.map_or_else(|| wanted.is_some_and(|wanted| wanted.refused), |(_, source)| source.refused),
                known_partitions,
                partitions: found.partitions,
                start: if declared.is_some() { StartFrom::Earliest } else { wanted.map_or(StartFrom::Earliest, |wanted| wanted.start) },
            });
        }
    }
    Ok(sources)
}

/// Declares what the log does not have yet. Returns the topics that are waited for.
///
/// # Errors
/// Outer: trouble that passes, to be tried again. Inner: the table must stop.
pub async fn declare(context: &TableContext, give_up: &GiveUp) -> Result<Result<Vec<String>, StoppedTable>, WriterError> {
    let state = context.log.refresh().await?;
    let view = identity::view(context, topics(&context.table.topics, &state)).await?;
    let sources = match compare_sources(context.name(), &context.table.topics, &state, &view) {
        Ok(sources) => sources,
        Err(stop) => return Ok(Err(stop)),
    };
    if sources.undeclared.is_empty() {
        return Ok(Ok(sources.waiting));
    }
    let cluster_id = view.cluster_id.unwrap_or_default();
    let undeclared = sources.undeclared;
    let starts = {
        let undeclared = undeclared.clone();
        context.ask(move |admin| {
            undeclared
                .iter()
                .map(|source| starts_of(source, |q| admin.offsets(&source.topic, source.partitions, q).map_err(Into::into)))
                .collect::<Result<Vec<_>, WriterError>>()
        })
    };
    let declarations = undeclared.into_iter().zip(starts.await?).map(|(source, starts)| SourceDeclaration {
        cluster_id: cluster_id.clone(),
        topic: source.topic,
        topic_id: source.topic_id,
        generation: source.generation,
        refused: source.refused,
        starts,
    });
    let body = SourceBody { sources: declarations.collect(), retired: Vec::new() };
    let topics: Vec<&str> = body.sources.iter().map(|source| source.topic.as_str()).collect();
    tracing::info!(table = context.name(), ?topics, "declaring sources");
    match context.log.commit(Body::Source(body), give_up.fired()).await? {
        CommitOutcome::Fenced(why) => Err(WriterError::Fenced(why)),
        // Stale: another writer declared something meanwhile; the next look finds what is left.
        _ => Ok(Ok(sources.waiting)),
    }
}

/// First offsets of the kafka_partitions that the log does not have yet.
fn starts_of(
    source: &Undeclared,
    offsets: impl Fn(OffsetQuery) -> Result<Vec<i64>, WriterError>,
) -> Result<BTreeMap<KafkaPartition, Offset>, WriterError> {
    let query = match source.start {
        StartFrom::Earliest => OffsetQuery::Earliest,
        StartFrom::Latest => OffsetQuery::Latest,
        StartFrom::Time(time) => OffsetQuery::AtTime(time.0.div_euclid(1_000) + i64::from(time.0.rem_euclid(1_000) > 0)),
    };
    let found = offsets(query)?;
    Ok((0..).zip(found).skip(source.known_partitions.max(0) as usize).map(|(kp, offset)| (KafkaPartition(kp), Offset(offset))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_io::TopicInfo;
    use windowing::Time;

    fn wanted(topic: &str) -> TopicSettings {
        TopicSettings { topic: topic.into(), start: StartFrom::Latest, refused: topic.ends_with(".refused") }
    }

    fn view(topics: &[(&str, Option<i32>)]) -> ClusterView {
        let info = |topic: &str, partitions| TopicInfo { topic: topic.into(), topic_id: Some(format!("id-{topic}")), partitions };
        let topics = topics.iter().map(|(topic, partitions)| ((*topic).to_owned(), partitions.map(|p| info(topic, p)))).collect();
        ClusterView { cluster_id: Some("c".into()), topics }
    }

    #[test]
    fn all_existing_topics_are_declared_together_and_others_waited_for() {
        let settings = [wanted("a"), wanted("a.refused"), wanted("b")];
        let found = compare_sources("t", &settings, &TableState::default(), &view(&[("a", Some(2)), ("a.refused", Some(1)), ("b", None)]));
        let sources = found.expect("nothing declared, nothing to differ");
        assert_eq!(sources.waiting, ["b"]);
        let summary: Vec<_> = sources.undeclared.iter().map(|u| (u.topic.as_str(), u.generation, u.refused, u.partitions)).collect();
        assert_eq!(summary, [("a", 1, false, 2), ("a.refused", 1, true, 1)]);
        assert_eq!(sources.undeclared[0].start, StartFrom::Latest);
    }

    #[test]
    fn new_kafka_partitions_are_the_only_ones_declared_again() {
        let source = Undeclared {
            topic: "a".into(),
            topic_id: None,
            generation: 1,
            refused: false,
            known_partitions: 2,
            partitions: 4,
            start: StartFrom::Earliest,
        };
        let starts = starts_of(&source, |query| {
            assert_eq!(query, OffsetQuery::Earliest);
            Ok(vec![7, 8, 0, 3])
        });
        let expected = BTreeMap::from([(KafkaPartition(2), Offset(0)), (KafkaPartition(3), Offset(3))]);
        assert_eq!(starts.expect("the cluster answers"), expected);
    }

    #[test]
    fn a_start_time_is_rounded_up_to_kafkas_milliseconds() {
        let mut source = Undeclared {
            topic: "a".into(),
            topic_id: None,
            generation: 1,
            refused: false,
            known_partitions: 0,
            partitions: 1,
            start: StartFrom::Time(Time(1_001)),
        };
        let ask = |source: &Undeclared| {
            let asked = std::cell::Cell::new(None);
            let _ = starts_of(source, |query| {
                asked.set(Some(query));
                Ok(vec![0])
            });
            asked.get()
        };
        assert_eq!(ask(&source), Some(OffsetQuery::AtTime(2)));
        source.start = StartFrom::Time(Time(2_000));
        assert_eq!(ask(&source), Some(OffsetQuery::AtTime(2)));
    }
}
