//! `tributary topics check|create`: the topics that the tables read and the bridge fills.
use crate::cli::{TopicsArgs, TopicsCommand};
use crate::context::Context;
use crate::output::{Align, ExitCode};
use anyhow::Context as _;
use kafka_io::{Admin, KafkaConfig, KafkaIoError, TopicInfo};
use serde::Serialize;
use service_runtime::settings::Settings;
use std::collections::BTreeMap;

/// A topic as the settings and the cluster see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Topic {
    topic: String,
    /// Tables that read it.
    tables: Vec<String>,
    /// Whether the bridge puts records into it, refused ones among them.
    bridge: bool,
    state: State,
    partitions: Option<i32>,
    topic_id: Option<String>,
}

/// Whether a topic exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Exists,
    Missing,
    Created,
}

/// What the cluster was found to be.
#[derive(Debug)]
struct Cluster {
    id: Option<String>,
    topics: Vec<Topic>,
}

/// How a topic is created.
#[derive(Clone, Copy, Debug)]
struct Shape {
    partitions: i32,
    replication: i32,
}

/// Runs the command: exit code 1 if a topic is missing afterwards.
pub async fn run(args: &TopicsArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let shape = match args.command {
        TopicsCommand::Check => None,
        TopicsCommand::Create { partitions, replication } => Some(Shape { partitions, replication }),
    };
    let (kafka, wanted) = (context.kafka(), wanted(&context.settings));
    let cluster = tokio::task::spawn_blocking(move || ask(&kafka, &wanted, shape)).await.context("ask the cluster")??;
    report(&cluster, context)
}

/// Who uses a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Users {
    tables: Vec<String>,
    bridge: bool,
}

/// Topics of the settings with who uses them.
fn wanted(settings: &Settings) -> BTreeMap<String, Users> {
    let mut topics: BTreeMap<String, Users> = BTreeMap::new();
    for (name, table) in &settings.tables {
        for topic in &table.topics {
            topics.entry(topic.topic.clone()).or_default().tables.push(name.clone());
        }
    }
    if let Some(bridge) = &settings.bridge {
        let posted = bridge.http.iter().flat_map(|http| http.topics.keys());
        for topic in bridge.routes.iter().map(|route| &route.topic).chain(posted) {
            for name in [topic.clone(), format!("{topic}{}", bridge.refused_suffix)] {
                topics.entry(name).or_default().bridge = true;
            }
        }
    }
    topics
}

fn ask(kafka: &KafkaConfig, wanted: &BTreeMap<String, Users>, create: Option<Shape>) -> anyhow::Result<Cluster> {
    let admin = Admin::new(kafka).context("set up the Kafka client")?;
    let unreachable = || format!("ask the cluster at `{}`", kafka.bootstrap_servers);
    let id = admin.cluster_id().with_context(unreachable)?;
    let names = wanted.keys().cloned().collect::<Vec<_>>();
    let mut found = admin.topics(&names).with_context(unreachable)?;
    let mut created = Vec::new();
    if let Some(shape) = create {
        for name in names.iter().zip(&found).filter(|(_, info)| info.is_none()).map(|(name, _)| name) {
            match admin.create_topic(name, shape.partitions, shape.replication, &[]) {
                Ok(()) => created.push(name.clone()),
                // Somebody was faster; the topic is there, which is what was asked for.
                Err(KafkaIoError::TopicExists { .. }) => {}
                Err(error) => return Err(error).with_context(|| format!("create topic `{name}`")),
            }
        }
        found = admin.topics(&names).with_context(unreachable)?;
    }
    let topics = wanted.iter().zip(found).map(|((topic, users), info)| describe(topic, users, info, &created)).collect();
    Ok(Cluster { id, topics })
}

fn describe(topic: &str, users: &Users, info: Option<TopicInfo>, created: &[String]) -> Topic {
    let was_created = created.iter().any(|name| name == topic);
    let state = match &info {
        // The cluster's metadata may lag behind its own answer.
        _ if was_created => State::Created,
        Some(_) => State::Exists,
        None => State::Missing,
    };
    let (partitions, topic_id) = info.map_or((None, None), |info| (Some(info.partitions), info.topic_id));
    Topic { topic: topic.to_owned(), tables: users.tables.clone(), bridge: users.bridge, state, partitions, topic_id }
}

fn report(cluster: &Cluster, context: &Context) -> anyhow::Result<ExitCode> {
    let output = context.output;
    let missing = cluster.topics.iter().filter(|topic| topic.state == State::Missing).count();
    if output.is_json() {
        output.json(&serde_json::json!({ "cluster_id": cluster.id, "ok": missing == 0, "topics": cluster.topics }))?;
    } else {
        output.line(&format!(
            "cluster {} at {}\n",
            cluster.id.as_deref().unwrap_or("without id"),
            context.settings.kafka.bootstrap_servers
        ));
        let header = [
            ("topic", Align::Left),
            ("state", Align::Left),
            ("kafka_partitions", Align::Right),
            ("topic id", Align::Left),
            ("tables", Align::Left),
            ("bridge", Align::Left),
        ];
        output.table(&header, cluster.topics.iter().map(row));
        if missing > 0 {
            let them = if missing == 1 { "it" } else { "them" };
            output.note(&format!("\n{missing} missing; `tributary topics create` makes {them}"));
        }
    }
    Ok(if missing == 0 { ExitCode::Done } else { ExitCode::Failed })
}

fn row(topic: &Topic) -> Vec<String> {
    let state = match topic.state {
        State::Exists => "exists",
        State::Missing => "missing",
        State::Created => "created",
    };
    let partitions = topic.partitions.map(|n| n.to_string()).unwrap_or_default();
    let bridge = if topic.bridge { "fills it".to_owned() } else { String::new() };
    vec![topic.topic.clone(), state.to_owned(), partitions, topic.topic_id.clone().unwrap_or_default(), topic.tables.join(", "), bridge]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_the_bridge_and_of_their_refused_records_are_wanted() {
        let text = "lake: l\nkafka: {bootstrap_servers: 'k:1'}\ntables: {t: {topics: [a, b.refused]}}\nbridge:\n  \
                    mqtt: {url: 'mqtt://localhost'}\n  routes: [{filter: 'x/{device_id}', topic: a}, {filter: 'y/{device_id}', topic: b}]\n";
        let loaded = Settings::parse("test", text, &|_| None);
        let (settings, _) = loaded.unwrap_or_else(|error| panic!("{}", error.report()));
        let wanted = wanted(&settings);
        let users = |tables: &[&str], bridge| Users { tables: tables.iter().map(|table| (*table).to_owned()).collect(), bridge };
        let expected =
            [("a", users(&["t"], true)), ("a.refused", users(&[], true)), ("b", users(&[], true)), ("b.refused", users(&["t"], true))];
        assert_eq!(wanted, expected.map(|(topic, users)| (topic.to_owned(), users)).into());
    }
}
