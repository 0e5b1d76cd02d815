//! Credentials: in the memory of the connector, and nowhere else.

use std::borrow::Cow;
use std::fmt;

/// A password, a key, a token. Neither `Display` nor `Debug` shows it, and it is wiped from nowhere by itself: it is for keeping it out of logs
/// and messages, not out of memory.
///
/// ```
/// use thalweg_connectors::contract::Secret;
///
/// let key = Secret::new("wJalrXUtnFEMI");
/// assert_eq!(format!("{key} {key:?}"), "*** ***");
/// assert_eq!(key.expose(), "wJalrXUtnFEMI");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// What an environment variable holds.
    pub fn from_env(name: &str) -> Option<Self> {
        std::env::var(name).ok().map(Self)
    }

    /// The secret itself, to be handed to the system.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What Azure's addresses begin with. What is before their `@` is a container.
const OF_CONTAINERS: [&str; 4] = ["abfs", "abfss", "wasb", "wasbs"];

/// An address without what is between its scheme and its `@`, and without its query, where signatures are. In Azure's addresses there is a container before the `@`, which stays.
///
/// ```
/// use thalweg_connectors::contract::without_credentials;
///
/// assert_eq!(without_credentials("https://me:secret@host:99/a/b?X-Amz-Signature=4711"), "https://***@host:99/a/b?***");
/// assert_eq!(without_credentials("s3://bucket/a@b"), "s3://bucket/a@b");
/// assert_eq!(without_credentials("abfss://logs@me.dfs.core.windows.net/a"), "abfss://logs@me.dfs.core.windows.net/a");
/// ```
pub fn without_credentials(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else { return Cow::Borrowed(address) };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    let host_ends = rest.find('/').unwrap_or(rest.len());
    // A password may have an `@` of its own.
    match rest[..host_ends].rfind('@') {
        Some(at) if OF_CONTAINERS.contains(&scheme) && !rest[..at].contains([':', '@']) => {
            match query.is_empty() {
                true => Cow::Borrowed(address),
                false => Cow::Owned(format!("{scheme}://{rest}{query}")),
            }
        }
        Some(at) => Cow::Owned(format!("{scheme}://***{}{query}", &rest[at..])),
        None if query.is_empty() => Cow::Borrowed(address),
        None => Cow::Owned(format!("{scheme}://{rest}{query}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_is_left_in_an_address() {
        for address in [
            "hdfs://u:s3cr3t@nn:8020",
            "abfss://c:s3cr3t@h/x",
            "abfs://c@h/x?s3cr3t",
            "x://s3cr3t@h",
            "http://h/p?token=s3cr3t",
            "a://u:s3@cr3t@h/x",
        ] {
            let shown = without_credentials(address);
            assert!(!shown.contains("cr3t"), "{shown}");
        }
        assert_eq!(without_credentials("/a/b?c@d"), "/a/b?c@d");
    }
}
