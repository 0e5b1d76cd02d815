//! What clients are told of a setting: its value, and where that comes from.

use crate::settings::broker_table as table;
use crate::settings::definition::{Definition, Kind};
use crate::settings::group;
use crate::settings::store::{Layer, Settings};
use crate::settings::topic::{self, TopicConfig};

/// Where a value comes from, as the protocol numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(crate) enum Source {
    Topic = 1,
    Broker = 2,
    Cluster = 3,
    Start = 4,
    Default = 5,
    Group = 8,
}

/// A value that holds, or would if those before it were not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synonym {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: Source,
}

/// One setting of one thing.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) definition: &'static Definition,
    /// None for what is secret as well.
    pub(crate) value: Option<String>,
    pub(crate) read_only: bool,
    /// The first is the one that holds.
    pub(crate) synonyms: Vec<Synonym>,
}

impl Described {
    fn new(definition: &'static Definition, value: Option<&str>, synonyms: Vec<Synonym>) -> Self {
        let value = value.filter(|_| !definition.is_sensitive()).map(str::to_owned);
        Self { definition, value, read_only: false, synonyms }
    }

    pub(crate) fn source(&self) -> Source {
        self.synonyms.first().map_or(Source::Default, |first| first.source)
    }

    /// The type of the value, as the protocol numbers it.
    pub(crate) fn type_number(&self) -> i8 {
        match self.definition.kind {
            Kind::Boolean => 1,
            Kind::OneOf(_) | Kind::Text => 2,
            Kind::Int(..) => 3,
            Kind::Long(..) => 5,
            Kind::Double(..) => 6,
            Kind::List(_) | Kind::Replicas => 7,
            Kind::Password => 9,
        }
    }
}

/// The settings of a topic.
pub(crate) fn of_topic(config: &TopicConfig, settings: &Settings) -> Vec<Described> {
    let described = |definition: &'static Definition| {
        let name = definition.name;
        let own = config.overrides().get(name);
        let own = own.map(|value| Synonym { name, value: value.clone(), source: Source::Topic });
        let inherited = topic::from_broker(name).first().map(|(name, _)| synonyms(settings, name));
        let synonyms = own.into_iter().chain(inherited.into_iter().flatten()).collect();
        Described::new(definition, config.value(name), synonyms)
    };
    topic::described().map(described).collect()
}

/// All settings of the broker.
pub(crate) fn of_broker(settings: &Settings) -> Vec<Described> {
    let broker = settings.broker();
    let described = |definition: &'static Definition| Described {
        read_only: !table::is_dynamic(definition.name),
        ..Described::new(definition, broker.value(definition.name), synonyms(settings, definition.name))
    };
    table::definitions().map(described).collect()
}

/// Those settings that were altered for all brokers.
pub(crate) fn of_cluster(settings: &Settings) -> Vec<Described> {
    let cluster = settings.layer(Layer::Cluster);
    let described = |definition: &'static Definition| {
        let (name, value) = (definition.name, cluster.get(definition.name)?);
        let synonym = Synonym { name, value: value.clone(), source: Source::Cluster };
        Some(Described::new(definition, Some(value), vec![synonym]))
    };
    table::definitions().filter_map(described).collect()
}

/// The settings of a group.
pub(crate) fn of_group(id: &str, settings: &Settings) -> Vec<Described> {
    let given = settings.given_to_group(id);
    let described = |definition: &'static Definition| {
        let name = definition.name;
        let own = given.get(name);
        let own = own.map(|value| Synonym { name, value: value.clone(), source: Source::Group });
        let inherited = group::from_broker(name).map(|name| synonyms(settings, name));
        let synonyms: Vec<Synonym> = own.into_iter().chain(inherited.into_iter().flatten()).collect();
        let value = synonyms.first().map(|first| first.value.clone());
        Described::new(definition, value.as_deref(), synonyms)
    };
    group::DEFINITIONS.iter().map(described).collect()
}

/// All values that a setting of the broker has, by any of its names. If the first is not by this name, it is as if
/// there were none before the one that is: clients know it like that.
fn synonyms(settings: &Settings, name: &'static str) -> Vec<Synonym> {
    let definition = table::find(name);
    if definition.is_none_or(Definition::is_sensitive) {
        return Vec::new();
    }
    let names = table::also_named(name);
    let given =
        [(Source::Broker, Layer::Broker), (Source::Cluster, Layer::Cluster), (Source::Start, Layer::Start)]
            .into_iter()
            .flat_map(|(source, layer)| {
                let given = settings.layer(layer);
                names
                    .iter()
                    .filter_map(move |name| Some(Synonym { name, value: given.get(*name)?.clone(), source }))
            });
    let defaults = names.iter().filter_map(|name| {
        let value = table::find(name)?.default?.to_owned();
        Some(Synonym { name, value, source: Source::Default })
    });
    given.chain(defaults).skip_while(|synonym| synonym.name != name).collect()
}
