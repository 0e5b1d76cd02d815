//! Java's property files: those of Kafka's own tools, for librdkafka, and `server.properties` for the broker.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};

/// Reads a file of `key=value` lines.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn read(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(parse(&text))
}

/// Reads the properties of a Java client, and gives them librdkafka's names where these differ.
///
/// # Errors
/// A file that cannot be read, or a property that librdkafka has no word for.
pub(crate) fn for_librdkafka(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    translate(read(file)?).with_context(|| format!("in {}", file.display()))
}

/// The lines of `java.util.Properties`: comments, `=` or `:` or a blank after the key, a backslash at the end of a
/// line that goes on.
fn parse(text: &str) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while line.ends_with('\\') {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let end = line.find(|c: char| c == '=' || c == ':' || c.is_whitespace()).unwrap_or(line.len());
        let (key, rest) = line.split_at(end);
        let rest = rest.trim_start();
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim();
        properties.insert(key.to_owned(), value.to_owned());
    }
    properties
}

fn translate(java: BTreeMap<String, String>) -> anyhow::Result<BTreeMap<String, String>> {
    let pem =
        |store: &str| java.get(&format!("{store}.type")).is_some_and(|kind| kind.eq_ignore_ascii_case("PEM"));
    let mut properties = BTreeMap::new();
    for (name, value) in &java {
        let name = match name.as_str() {
            "sasl.jaas.config" => {
                for (ours, theirs) in [("sasl.username", "username"), ("sasl.password", "password")] {
                    let value = jaas(value, theirs)
                        .with_context(|| format!("sasl.jaas.config names no {theirs}; set {ours} instead"))?;
                    properties.insert(ours.to_owned(), value);
                }
                continue;
            }
            "ssl.truststore.location" if pem("ssl.truststore") => "ssl.ca.location",
            "ssl.truststore.location" | "ssl.truststore.password" => bail!(
                "{name} is a store of Java's; export its certificates as PEM, and set ssl.ca.location to that file"
            ),
            // What only Java's clients know, or what the other properties say already.
            "ssl.truststore.type"
            | "ssl.keystore.type"
            | "sasl.client.callback.handler.class"
            | "sasl.login.callback.handler.class"
            | "key.serializer"
            | "value.serializer"
            | "key.deserializer"
            | "value.deserializer"
            | "default.api.timeout.ms" => continue,
            name => name,
        };
        properties.insert(name.to_owned(), value.clone());
    }
    Ok(properties)
}

/// `option="value"` in the configuration of a login module.
fn jaas(config: &str, option: &str) -> Option<String> {
    let (_, rest) = config.split_once(&format!(" {option}="))?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next().map(str::to_owned),
        None => rest.split([' ', ';']).next().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_java_reads_them() {
        let read = parse("# comment\n! too\n a = b c \nd:e\nf g\nlong=one,\\\n   two\nempty=\n\n");
        let expected = [("a", "b c"), ("d", "e"), ("empty", ""), ("f", "g"), ("long", "one,two")];
        assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_java_clients_login_and_certificates_are_librdkafkas() {
        let login = "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\\n  \
                     username=\"anna\" password=\"a secret;\";\n";
        let java = format!(
            "{login}ssl.truststore.type=PEM\nssl.truststore.location=/ca.pem\nsecurity.protocol=SASL_SSL"
        );
        let expected = [
            ("sasl.password", "a secret;"),
            ("sasl.username", "anna"),
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", "/ca.pem"),
        ];
        assert_eq!(
            translate(parse(&java)).unwrap(),
            expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
        );
        let error = translate(parse("ssl.truststore.location=/ca.jks")).unwrap_err();
        assert!(error.to_string().contains("ssl.ca.location"), "{error}");
    }
}
