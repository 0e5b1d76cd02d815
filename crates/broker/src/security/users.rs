//! The users of SCRAM. What is kept of a password proves that someone knows it, and no more.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::journal::replace;
use crate::security::mechanism::Scram;
use crate::security::random;

/// How often a password is hashed at least, and if nothing else is said.
pub(crate) const MIN_ITERATIONS: u32 = 4096;
/// How often it is hashed at most, since clients have to do it as well.
pub(crate) const MAX_ITERATIONS: u32 = 16_384;

/// A user that is there from the start.
///
/// ```
/// use thalweg_broker::{BrokerConfig, Scram, ScramUser};
///
/// let alice = ScramUser::new("alice", Scram::Sha256, "secret");
/// let config = BrokerConfig { scram_users: vec![alice], ..BrokerConfig::default() };
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ScramUser {
    /// The user's name.
    pub name: String,
    /// What the password is good for.
    pub scram: Scram,
    /// The password.
    pub password: String,
    /// How often it is hashed: 4096 to 16384 times.
    pub iterations: u32,
}

impl ScramUser {
    /// A user whose password is hashed as often as Kafka's tools do it.
    pub fn new(name: impl Into<String>, scram: Scram, password: impl Into<String>) -> Self {
        Self { name: name.into(), scram, password: password.into(), iterations: MIN_ITERATIONS }
    }
}

/// Without the password.
impl fmt::Debug for ScramUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramUser")
            .field("name", &self.name)
            .field("scram", &self.scram)
            .finish_non_exhaustive()
    }
}

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    #[serde(with = "encoded")]
    pub(super) salt: Vec<u8>,
    pub(crate) iterations: u32,
    #[serde(with = "encoded")]
    pub(super) stored_key: Vec<u8>,
    #[serde(with = "encoded")]
    pub(super) server_key: Vec<u8>,
}

impl Credential {
    /// Of a password that has been salted and hashed.
    pub(crate) fn new(scram: Scram, salt: Vec<u8>, iterations: u32, salted_password: &[u8]) -> Self {
        Self {
            salt,
            iterations,
            stored_key: scram.hash(&scram.hmac(salted_password, b"Client Key")),
            server_key: scram.hmac(salted_password, b"Server Key"),
        }
    }
}

/// Without anything.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

mod encoded {
    use super::{Deserialize, Deserializer, Engine, STANDARD, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// By name and mechanism.
type ByName = BTreeMap<String, BTreeMap<Scram, Credential>>;

/// A change: another credential, or none any more.
pub(crate) type Alteration = (String, Scram, Option<Credential>);

/// All users of SCRAM, and the file that they are in, if they are kept.
#[derive(Debug)]
pub(crate) struct Users {
    by_name: Mutex<ByName>,
    file: Option<PathBuf>,
    /// What the salts of users are made from that do not exist.
    secret: [u8; 32],
}

impl Users {
    /// None, and no file.
    pub(crate) fn in_memory() -> Self {
        Self { by_name: Mutex::default(), file: None, secret: random::bytes() }
    }

    /// Those in the file.
    pub(crate) fn open(file: &Path) -> io::Result<Self> {
        let by_name = match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => ByName::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { by_name: Mutex::new(by_name), file: Some(file.to_owned()), ..Self::in_memory() })
    }

    /// Gives users the passwords that they have from the start; others keep theirs.
    pub(crate) fn add(&self, users: &[ScramUser]) -> Result<(), String> {
        let mut alterations = Vec::new();
        for user in users {
            if user.name.is_empty() || user.password.is_empty() {
                return Err(format!("the user {:?} needs a name and a password", user.name));
            }
            if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&user.iterations) {
                let (name, iterations) = (&user.name, user.iterations);
                return Err(format!(
                    "the user {name:?} has {iterations} iterations; choose {MIN_ITERATIONS} to {MAX_ITERATIONS}"
                ));
            }
            let salt = random::bytes();
            let salted = user.scram.salted(user.password.as_bytes(), &salt, user.iterations);
            let credential = Credential::new(user.scram, salt.to_vec(), user.iterations, &salted);
            alterations.push((user.name.clone(), user.scram, Some(credential)));
        }
        match alterations.is_empty() {
            true => Ok(()),
            false => self.alter(alterations).map_err(|error| format!("users cannot be stored: {error}")),
        }
    }

    /// What proves that someone is that user.
    pub(crate) fn get(&self, name: &str, scram: Scram) -> Option<Credential> {
        self.lock().get(name)?.get(&scram).cloned()
    }

    /// How often the passwords of each user are hashed.
    pub(crate) fn iterations(&self) -> BTreeMap<String, Vec<(Scram, u32)>> {
        let of_user = |credentials: &BTreeMap<Scram, Credential>| {
            credentials.iter().map(|(scram, credential)| (*scram, credential.iterations)).collect()
        };
        self.lock().iter().map(|(name, credentials)| (name.clone(), of_user(credentials))).collect()
    }

    /// Makes all changes or none, and keeps them.
    pub(crate) fn alter(&self, alterations: Vec<Alteration>) -> io::Result<()> {
        let mut by_name = self.lock();
        let mut altered = by_name.clone();
        for (name, scram, credential) in alterations {
            let of_user = altered.entry(name.clone()).or_default();
            match credential {
                Some(credential) => drop(of_user.insert(scram, credential)),
                None => drop(of_user.remove(&scram)),
            }
            if of_user.is_empty() {
                altered.remove(&name);
            }
        }
        if let Some(file) = &self.file {
            replace(file, &serde_json::to_vec_pretty(&altered)?)?;
        }
        *by_name = altered;
        Ok(())
    }

    /// A salt like those that Kafka's tools make, always the same for the same name.
    pub(super) fn salt_of_nobody(&self, name: &str, scram: Scram) -> (Vec<u8>, u32) {
        const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let bytes = scram.hmac(&self.secret, name.as_bytes());
        let salt = bytes.iter().take(26).map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()]);
        (salt.collect(), MIN_ITERATIONS)
    }

    fn lock(&self) -> MutexGuard<'_, ByName> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn users_outlive_a_restart_and_their_passwords_are_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("users.json");
        let users = Users::open(&file).unwrap();
        users.add(&[ScramUser::new("alice", Scram::Sha256, "secret")]).unwrap();
        users.add(&[ScramUser::new("alice", Scram::Sha512, "secret")]).unwrap();
        users.add(&[ScramUser::new("bob", Scram::Sha512, "secret")]).unwrap();
        users.alter(vec![("bob".to_owned(), Scram::Sha512, None)]).unwrap();
        let again = Users::open(&file).unwrap();
        let both = vec![(Scram::Sha256, 4096), (Scram::Sha512, 4096)];
        assert_eq!(again.iterations(), [("alice".to_owned(), both)].into());
        assert_eq!(again.get("alice", Scram::Sha256), users.get("alice", Scram::Sha256));
        assert!(!std::fs::read_to_string(&file).unwrap().contains("secret"));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{:?}", ScramUser::new("alice", Scram::Sha256, "secret")).contains("secret"));
    }

    #[test]
    fn a_user_needs_a_name_a_password_and_some_iterations() {
        let user = ScramUser::new("alice", Scram::Sha256, "secret");
        for wrong in [
            ScramUser { name: String::new(), ..user.clone() },
            ScramUser { password: String::new(), ..user.clone() },
            ScramUser { iterations: 4095, ..user.clone() },
            ScramUser { iterations: 16_385, ..user.clone() },
        ] {
            assert!(Users::in_memory().add(&[user.clone(), wrong]).is_err());
        }
    }
}
