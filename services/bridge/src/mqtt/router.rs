//! Routes as the messages of all connections use them.
use super::topic::TopicLimits;
use crate::{
    destination::{Destination, DestinationSpec, RecordFormat},
    error::BridgeError,
    metrics::{MqttMetrics, MqttTopicMetrics},
};
use service_runtime::settings::{BridgeSettings, MqttSettings, PayloadFormat, RouteFilter, RouteSettings};
use std::sync::Arc;

/// All routes, and what holds for every message.
#[derive(Debug)]
pub struct Router {
    /// In the order of the settings; no topic belongs to two.
    pub routes: Vec<Route>,
    /// Bounds of topics.
    pub limits: TopicLimits,
    /// Largest payload and largest record.
    pub max_record_bytes: usize,
    /// User property with the time of sending.
    pub sent_at_property: String,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// Topics that belong to it.
    pub filter: RouteFilter,
    /// Names of the filter, from left to right.
    pub names: Vec<String>,
    /// Which of them is the record's key.
    pub key: Option<usize>,
    /// Fields that take a name's text, in the order in which the encoder knows them: field, which name.
    pub fields: Vec<(String, usize)>,
    /// Field with the time of sending.
    pub sent_at: Option<String>,
    /// Where its records go.
    pub destination: Arc<Destination>,
    /// Counters.
    pub(crate) metrics: MqttTopicMetrics,
}

/// What the destinations of the routes are made from, in the order of the routes.
pub fn specs(settings: &BridgeSettings) -> Vec<DestinationSpec> {
    let spec = |route: &RouteSettings| DestinationSpec {
        topic: route.topic.clone(),
        subject: route.subject.clone(),
        format: match route.format {
            PayloadFormat::Json => RecordFormat::Json,
            PayloadFormat::Avro => RecordFormat::Avro,
        },
        options: route.encode_options(),
    };
    settings.routes.iter().map(spec).collect()
}

impl Router {
    /// Routes to `destinations`, made of [`specs`].
    ///
    /// # Errors
    /// Settings that were not checked.
    pub fn new(
        settings: &BridgeSettings,
        mqtt: &MqttSettings,
        destinations: Vec<Arc<Destination>>,
        metrics: &MqttMetrics,
    ) -> Result<Self, BridgeError> {
        let routes = settings.routes.iter().zip(destinations).map(|(route, destination)| Route::new(route, destination, metrics));
        Ok(Self {
            routes: routes.collect::<Result<_, _>>()?,
            limits: TopicLimits { topic_bytes: mqtt.max_topic_bytes as usize, segment_bytes: mqtt.max_segment_bytes as usize },
            max_record_bytes: usize::try_from(settings.max_record_bytes.0).unwrap_or(usize::MAX),
            sent_at_property: mqtt.sent_at_property.clone(),
        })
    }

    /// The route of a topic; `values` are then the texts of its names.
    pub fn find<'t>(&self, topic: &'t str, values: &mut Vec<&'t str>) -> Option<usize> {
        self.routes.iter().position(|route| route.filter.matches(topic, values))
    }

    /// Filters of the shared subscription.
    pub fn subscriptions(&self, group: &str) -> Vec<String> {
        self.routes.iter().map(|route| format!("$share/{group}/{}", route.filter)).collect()
    }
}

impl Route {
    fn new(settings: &RouteSettings, destination: Arc<Destination>, metrics: &MqttMetrics) -> Result<Self, BridgeError> {
        let filter = RouteFilter::parse(&settings.filter).map_err(BridgeError::Settings)?;
        let names: Vec<String> = filter.names().map(str::to_owned).collect();
        let which = |name: &str| {
            let unknown = || BridgeError::Settings(format!("filter `{filter}` has no name `{name}`"));
            names.iter().position(|known| known == name).ok_or_else(unknown)
        };
        let key = if settings.key.is_empty() { None } else { Some(which(&settings.key)?) };
        let fields = settings.segment_fields().into_iter().map(|(field, from)| Ok((field, which(&from.segment)?)));
        let fields = fields.collect::<Result<_, BridgeError>>()?;
        let metrics = metrics.topic(&settings.topic);
        Ok(Self { key, fields, sent_at: settings.sent_at.clone(), destination, metrics, names, filter })
    }
}
