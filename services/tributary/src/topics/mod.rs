//! `tributary topics check|create`: the topics that the tables read.
use crate::cli::{TopicsArgs, TopicsCommand};
use crate::context::Context;
use crate::output::{Align, ExitCode};
use anyhow::Context as _;
use kafka_io::{Admin, KafkaConfig, KafkaIoError, TopicInfo};
use serde::Serialize;
use std::collections::BTreeMap;

/// A topic as the settings and the cluster see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Topic {
    topic: String,
    /// Tables that read it.
    tables: Vec<String>,
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
    let (kafka, wanted) = (context.kafka(), wanted(context));
    let cluster = tokio::task::spawn_blocking(move || ask(&kafka, &wanted, shape)).await.context("ask the cluster")??;
    report(&cluster, context)
}

/// Topics of the settings with the tables that read them.
fn wanted(context: &Context) -> BTreeMap<String, Vec<String>> {
    let mut topics: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, table) in &context.settings.tables {
        for topic in &table.topics {
            topics.entry(topic.topic.clone()).or_default().push(name.clone());
        }
    }
    topics
}

fn ask(kafka: &KafkaConfig, wanted: &BTreeMap<String, Vec<String>>, create: Option<Shape>) -> anyhow::Result<Cluster> {
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
    let topics = wanted.iter().zip(found).map(|((topic, tables), info)| describe(topic, tables, info, &created)).collect();
    Ok(Cluster { id, topics })
}

fn describe(topic: &str, tables: &[String], info: Option<TopicInfo>, created: &[String]) -> Topic {
    let was_created = created.iter().any(|name| name == topic);
    let state = match &info {
        // The cluster's metadata may lag behind its own answer.
        _ if was_created => State::Created,
        Some(_) => State::Exists,
        None => State::Missing,
    };
    let (partitions, topic_id) = info.map_or((None, None), |info| (Some(info.partitions), info.topic_id));
    Topic { topic: topic.to_owned(), tables: tables.to_vec(), state, partitions, topic_id }
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
    vec![topic.topic.clone(), state.to_owned(), partitions, topic.topic_id.clone().unwrap_or_default(), topic.tables.join(", ")]
}
