//! From the command line and a `server.properties` to what the broker is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thalweg_broker::{BrokerConfig, Listener, Storage};

use super::Args;
use crate::properties;
use crate::usage::Usage;

/// Where it listens unless it is told otherwise: where clients of Kafka look first.
const DEFAULT_LISTEN: &str = "127.0.0.1:9092";

/// What the broker is started with.
pub(super) fn config(args: &Args) -> anyhow::Result<BrokerConfig> {
    let mut settings = match &args.config_file {
        Some(file) => properties::read(file)?,
        None => BTreeMap::new(),
    };
    if !args.listen.is_empty() {
        // The command line counts more than the file.
        settings.remove("listeners");
        settings.remove("advertised.listeners");
    }
    settings.extend(args.settings.iter().cloned());
    let storage = storage(args.data.clone(), &mut settings)?;
    let mut config = BrokerConfig {
        listen: DEFAULT_LISTEN.to_owned(),
        storage,
        default_partitions: args.partitions,
        metrics_listen: args.metrics.clone(),
        ..BrokerConfig::default()
    };
    listen(&args.listen, &args.advertised, &mut config, &mut settings).map_err(Usage)?;
    config.properties = settings;
    Ok(config)
}

/// The folder of the command line, or else that of Kafka's settings.
fn storage(data: Option<PathBuf>, settings: &mut BTreeMap<String, String>) -> anyhow::Result<Storage> {
    // What Kafka looks at first. The broker is told once.
    let set = [settings.remove("log.dirs"), settings.remove("log.dir")].into_iter().flatten().next();
    let folder = data.or_else(|| set.filter(|folder| !folder.is_empty()).map(PathBuf::from));
    match folder {
        None => Ok(Storage::Memory),
        Some(folder) if folder.to_string_lossy().contains(',') => {
            Err(Usage(format!("log.dirs={}: there is one folder for everything", folder.display())).into())
        }
        Some(folder) => Ok(Storage::Directory(folder)),
    }
}

/// Plain addresses are listeners without a setting more; named ones are Kafka's settings.
fn listen(
    listen: &[String],
    advertised: &[String],
    config: &mut BrokerConfig,
    settings: &mut BTreeMap<String, String>,
) -> Result<(), String> {
    let named = listen.iter().filter(|address| address.contains("://")).count();
    if listen.is_empty() {
        return Ok(());
    }
    if named == listen.len() {
        settings.insert("listeners".to_owned(), listen.join(","));
        if !advertised.is_empty() {
            settings.insert("advertised.listeners".to_owned(), advertised.join(","));
        }
        return Ok(());
    }
    if named > 0 {
        return Err("--listen: give every address a name, as in SSL://0.0.0.0:9093, or none".to_owned());
    }
    if advertised.len() > listen.len() {
        return Err("--advertised: there are more than addresses to --listen on".to_owned());
    }
    let name = |nth: usize| if nth == 0 { "PLAINTEXT".to_owned() } else { format!("PLAINTEXT_{}", nth + 1) };
    config.listeners = listen
        .iter()
        .enumerate()
        .map(|(nth, address)| Listener {
            advertised: advertised.get(nth).cloned(),
            ..Listener::new(name(nth), address.as_str())
        })
        .collect();
    Ok(())
}

/// The names of the listeners, in their order.
pub(super) fn listener_names(config: &BrokerConfig) -> Vec<String> {
    match config.properties.get("listeners") {
        Some(listeners) => {
            let names = listeners.split(',').filter_map(|listener| listener.split_once("://"));
            names.map(|(name, _)| name.trim().to_ascii_uppercase()).collect()
        }
        None if config.listeners.is_empty() => vec!["PLAINTEXT".to_owned()],
        None => config.listeners.iter().map(|listener| listener.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(args: &[&str]) -> anyhow::Result<BrokerConfig> {
        config(&Command::try_parse_from([&["broker"], args].concat())?.args)
    }

    #[test]
    fn several_addresses_are_listeners_of_their_own() {
        let config = parsed(&["-l", "127.0.0.1:1", "-l", "127.0.0.1:2", "--advertised", "a:1"]).unwrap();
        assert_eq!(listener_names(&config), ["PLAINTEXT", "PLAINTEXT_2"]);
        assert_eq!(config.listeners[0].advertised.as_deref(), Some("a:1"));
        assert_eq!(
            (config.listeners[1].listen.as_str(), &config.listeners[1].advertised),
            ("127.0.0.1:2", &None)
        );

        let config =
            parsed(&["-l", "INSIDE://127.0.0.1:1", "-l", "ssl://:2", "--advertised", "SSL://a:2"]).unwrap();
        assert_eq!(config.properties["listeners"], "INSIDE://127.0.0.1:1,ssl://:2");
        assert_eq!(config.properties["advertised.listeners"], "SSL://a:2");
        assert_eq!(listener_names(&config), ["INSIDE", "SSL"]);
        assert!(parsed(&["-l", "SSL://:2", "-l", "127.0.0.1:1"]).is_err());
        assert!(parsed(&["-l", ":2", "--advertised", "a:1", "--advertised", "a:2"]).is_err());
        assert_eq!(listener_names(&parsed(&[]).unwrap()), ["PLAINTEXT"]);
    }

    #[test]
    fn the_command_line_counts_more_than_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listeners=PLAINTEXT://:9\nlog.dirs=/from/file\nnum.partitions=3\n")
            .unwrap();
        let path = file.path().to_str().unwrap();
        let config = parsed(&["--config-file", path]).unwrap();
        assert_eq!(config.storage, Storage::Directory("/from/file".into()));
        assert_eq!(config.properties["listeners"], "PLAINTEXT://:9");
        let config =
            parsed(&["--config-file", path, "-l", ":1", "-d", "/mine", "-c", "num.partitions=4"]).unwrap();
        assert_eq!(config.storage, Storage::Directory("/mine".into()));
        assert_eq!(config.properties, BTreeMap::from([("num.partitions".to_owned(), "4".to_owned())]));
        assert_eq!(config.listeners[0].listen, ":1");
        assert!(parsed(&["-c", "log.dirs=/a,/b"]).unwrap_err().to_string().contains("one folder"));
    }
}
