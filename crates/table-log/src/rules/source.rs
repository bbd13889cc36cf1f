use super::{Check, Refusal, distinct, invalid, moved, require};
use crate::plan::Fenced;
use crate::record::{SourceBody, SourceDeclaration};
use crate::state::SourceState;
use crate::{KafkaPartition, SourcePartition, TableState};

/// `source`: new topics, more kafka_partitions of known ones, retirements. What the state has in full is `AlreadyDone`, whatever the start
/// offsets: the first declaration pins them.
pub(super) fn check(state: &TableState, body: &SourceBody) -> Check {
    require(!(body.sources.is_empty() && body.retired.is_empty()), || "a `source` record declares or retires something".to_owned())?;
    require(distinct(body.sources.iter().map(|s| &s.topic).chain(&body.retired)), || "a topic is named twice".to_owned())?;
    require(state.windows.iter().all(|(_, window)| window.inputs.is_empty()), || "a derived table takes no sources".to_owned())?;
    let mut news = 0_usize;
    for declaration in &body.sources {
        news += usize::from(declares_something(state, declaration)?);
    }
    for topic in &body.retired {
        let Some((_, source)) = state.sources.newest(topic) else {
            return Err(invalid(format!("topic `{topic}` is to be retired but was never declared")));
        };
        news += usize::from(!source.ended);
    }
    match news {
        0 => Err(Refusal::AlreadyDone),
        n if n == body.sources.len() + body.retired.len() => Ok(()),
        _ => Err(moved("some of these sources are declared or retired already")),
    }
}

/// Whether a declaration is all new (`true`) or all known (`false`).
fn declares_something(state: &TableState, declaration: &SourceDeclaration) -> Result<bool, Refusal> {
    let SourceDeclaration { topic, generation, starts, .. } = declaration;
    check_shape(declaration)?;
    let Some((current, source)) = state.sources.newest(topic) else {
        require(*generation == 1, || format!("topic `{topic}` is new, so its generation is 1, not `{generation}`"))?;
        check_dense(declaration, 0)?;
        return Ok(true);
    };
    require(*generation <= current, || format!("only a `repair` starts generation `{generation}` of topic `{topic}`"))?;
    if *generation < current || source.ended {
        let first = starts.keys().next().copied().unwrap_or_default();
        return Err(Fenced::SourceEnded {
            source: SourcePartition { topic: topic.clone(), generation: *generation, kafka_partition: first },
        }
        .into());
    }
    check_same_topic(source, declaration)?;
    let known = starts.keys().filter(|kafka_partition| source.partitions.contains_key(kafka_partition)).count();
    if known == starts.len() {
        return Ok(false);
    }
    if known > 0 {
        return Err(moved(format!("some of these kafka_partitions of topic `{topic}` are declared already")));
    }
    check_dense(declaration, source.partitions.len())?;
    Ok(true)
}

/// What a declaration must be, whatever the state.
pub(super) fn check_shape(declaration: &SourceDeclaration) -> Check {
    let topic = &declaration.topic;
    require(!topic.is_empty(), || "a topic has no name".to_owned())?;
    // `#` separates the generation in `_kafka_topic`; Kafka allows it in no topic name.
    require(!topic.contains('#'), || format!("topic `{topic}` has a `#` in its name"))?;
    require(!declaration.starts.is_empty(), || format!("topic `{topic}` is declared without kafka_partitions"))?;
    require(declaration.starts.values().all(|start| start.0 >= 0), || format!("a start offset of topic `{topic}` is negative"))
}

/// kafka_partitions are dense: the declared ones go on where the known ones end.
pub(super) fn check_dense(declaration: &SourceDeclaration, known: usize) -> Check {
    let expected = (known..).map_while(|number| i32::try_from(number).ok()).map(KafkaPartition);
    require(declaration.starts.keys().copied().zip(expected).all(|(found, expected)| found == expected), || {
        format!("kafka_partitions of topic `{}` are not dense from `{known}`", declaration.topic)
    })
}

/// Another cluster id or topic id under the same name is another topic, whose offsets mean something else.
fn check_same_topic(source: &SourceState, declaration: &SourceDeclaration) -> Check {
    let topic = &declaration.topic;
    let same = source.cluster_id == declaration.cluster_id && source.topic_id == declaration.topic_id;
    require(same, || {
        let known = (&source.cluster_id, source.topic_id.as_deref().unwrap_or("none"));
        format!("topic `{topic}` is not the one in the log (cluster id `{}`, topic id `{}`): only a `repair` can go on", known.0, known.1)
    })?;
    require(source.refused == declaration.refused, || format!("topic `{topic}` cannot become or cease to be a `.refused` topic"))
}
