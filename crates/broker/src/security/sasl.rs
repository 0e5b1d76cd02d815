//! SASL: what a listener demands of its clients, and how far one of them has come with it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kafka_protocol::ResponseError;

use crate::security::mechanism::Mechanism;
use crate::security::users::Users;
use crate::security::{plain, scram};

/// How the clients of a listener prove who they are.
///
/// ```
/// use thalweg_broker::{Listener, Mechanism, Sasl};
///
/// let mut sasl = Sasl::new([Mechanism::Plain]);
/// sasl.plain_users.insert("alice".into(), "secret".into());
/// let listener = Listener { sasl: Some(sasl), ..Listener::new("SASL_PLAINTEXT", "127.0.0.1:0") };
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    /// The ways that are open.
    pub mechanisms: Vec<Mechanism>,
    /// Names and passwords for PLAIN. Those for SCRAM are the broker's.
    pub plain_users: BTreeMap<String, String>,
    /// After how long clients have to prove it again; not at all if it is zero.
    pub reauthenticate: Duration,
}

impl Sasl {
    /// These ways are open, to nobody yet.
    pub fn new(mechanisms: impl IntoIterator<Item = Mechanism>) -> Self {
        Self {
            mechanisms: mechanisms.into_iter().collect(),
            plain_users: BTreeMap::new(),
            reauthenticate: Duration::ZERO,
        }
    }
}

/// Without passwords.
impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").field("mechanisms", &self.mechanisms).finish_non_exhaustive()
    }
}

/// One client's proof of who it is.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) sasl: &'a Sasl,
    stage: Stage,
    /// Who it has proved to be, and how.
    known: Option<(String, Mechanism)>,
    expires_ms: Option<i64>,
}

#[derive(Debug)]
enum Stage {
    /// It has not said how, or has nothing to prove.
    Handshake,
    /// It is at it.
    Proof {
        mechanism: Mechanism,
        scram: Option<scram::Exchange>,
        /// Whether its messages come without the frame of a request, as of old.
        raw: bool,
    },
}

/// What a client is told that is on its way, or there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) message: Vec<u8>,
    /// How long this will do, or 0.
    pub(crate) lifetime_ms: i64,
}

impl<'a> Session<'a> {
    pub(crate) fn new(sasl: &'a Sasl) -> Self {
        Self { sasl, stage: Stage::Handshake, known: None, expires_ms: None }
    }

    /// Whether the client may ask for anything.
    pub(crate) fn is_open(&self) -> bool {
        self.known.is_some() && matches!(self.stage, Stage::Handshake)
    }

    /// Whether a client that could ask for anything has to prove itself anew.
    pub(crate) fn is_over(&self, now_ms: impl FnOnce() -> i64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms())
    }

    /// Whether a client that may ask for anything may also prove itself anew. Kafka says no to those that need not.
    pub(crate) fn may_renew(&self) -> bool {
        self.expires_ms.is_some()
    }

    /// Whether the next message is no request.
    pub(crate) fn is_raw(&self) -> bool {
        matches!(self.stage, Stage::Proof { raw: true, .. })
    }

    /// Who the client is.
    pub(crate) fn user(&self) -> Option<&str> {
        self.known.as_ref().map(|(user, _)| user.as_str())
    }

    /// The client says how it will prove itself.
    pub(crate) fn begin(&mut self, mechanism: &str, raw: bool) -> Result<(), ResponseError> {
        let Stage::Handshake = self.stage else { return Err(ResponseError::IllegalSaslState) };
        let mechanism = Mechanism::named(mechanism).filter(|known| self.sasl.mechanisms.contains(known));
        let mechanism = mechanism.ok_or(ResponseError::UnsupportedSaslMechanism)?;
        let scram = match mechanism {
            Mechanism::Plain => None,
            Mechanism::Scram(scram) => Some(scram::Exchange::new(scram)),
        };
        self.stage = Stage::Proof { mechanism, scram, raw };
        Ok(())
    }

    /// The client proves itself. The error is what it is told, in Kafka's words.
    pub(crate) fn prove(
        &mut self,
        message: &[u8],
        users: &Users,
        now_ms: i64,
    ) -> Result<Step, (ResponseError, String)> {
        let Stage::Proof { mechanism, scram, .. } = &mut self.stage else {
            let reason = "SaslAuthenticate request received without a SaslHandshake before it".to_owned();
            return Err((ResponseError::IllegalSaslState, reason));
        };
        let mechanism = *mechanism;
        let failed = |reason: String| Err((ResponseError::SaslAuthenticationFailed, reason));
        let again = self.known.is_some();
        let said = match scram {
            None => plain::authenticate(message, &self.sasl.plain_users).map(|user| (Vec::new(), Some(user))),
            Some(exchange) => exchange.answer(message, users).map_err(|scram::Refused| None),
        };
        let (message, user) = match said {
            Ok((message, Some(user))) => (message, user),
            Ok((message, None)) => return Ok(Step { message, lifetime_ms: 0 }),
            Err(Some(reason)) => return failed(reason.to_owned()),
            Err(None) => {
                let what = if again { "re-authentication" } else { "authentication" };
                let name = mechanism.name();
                return failed(format!(
                    "Authentication failed during {what} due to invalid credentials with SASL mechanism {name}"
                ));
            }
        };
        match &self.known {
            Some((known, _)) if *known != user => {
                return failed(format!(
                    "Cannot change principals during re-authentication from User:{known} to User:{user}"
                ));
            }
            Some((_, known)) if *known != mechanism => {
                let (known, new) = (known.name(), mechanism.name());
                return failed(format!(
                    "SASL mechanism '{new}' requested by client is not supported for re-authentication of \
                     mechanism '{known}'"
                ));
            }
            _ => {}
        }
        self.known = Some((user, mechanism));
        self.stage = Stage::Handshake;
        let lifetime_ms = i64::try_from(self.sasl.reauthenticate.as_millis()).unwrap_or(i64::MAX);
        self.expires_ms = (lifetime_ms > 0).then(|| now_ms.saturating_add(lifetime_ms));
        Ok(Step { message, lifetime_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sasl(reauthenticate: Duration) -> Sasl {
        let users = ["alice", "bob"].map(|name| (name.to_owned(), "secret".to_owned()));
        Sasl { plain_users: users.into(), reauthenticate, ..Sasl::new([Mechanism::Plain]) }
    }

    #[test]
    fn a_client_is_let_in_by_a_way_that_is_open() {
        let (sasl, users) = (sasl(Duration::ZERO), Users::in_memory());
        let mut session = Session::new(&sasl);
        assert_eq!(
            session.prove(b"\0alice\0secret", &users, 0).unwrap_err().0,
            ResponseError::IllegalSaslState
        );
        assert_eq!(session.begin("SCRAM-SHA-256", false), Err(ResponseError::UnsupportedSaslMechanism));
        session.begin("PLAIN", false).unwrap();
        assert_eq!(session.begin("PLAIN", false), Err(ResponseError::IllegalSaslState));
        assert!(!session.is_open());
        let step = session.prove(b"\0alice\0secret", &users, 0).unwrap();
        assert_eq!(step, Step { message: Vec::new(), lifetime_ms: 0 });
        assert!(session.is_open() && !session.may_renew() && !session.is_over(|| i64::MAX));
        assert_eq!(session.user(), Some("alice"));
    }

    #[test]
    fn a_client_proves_itself_again_as_the_same() {
        let (sasl, users) = (sasl(Duration::from_secs(1)), Users::in_memory());
        let mut session = Session::new(&sasl);
        session.begin("PLAIN", false).unwrap();
        assert_eq!(session.prove(b"\0alice\0secret", &users, 5_000).unwrap().lifetime_ms, 1_000);
        assert!(!session.is_over(|| 5_999) && session.is_over(|| 6_000) && session.may_renew());
        session.begin("PLAIN", false).unwrap();
        assert!(!session.is_open());
        session.prove(b"\0alice\0secret", &users, 6_500).unwrap();
        assert!(session.is_open() && !session.is_over(|| 7_000));
        session.begin("PLAIN", false).unwrap();
        let (error, reason) = session.prove(b"\0bob\0secret", &users, 7_000).unwrap_err();
        assert_eq!(error, ResponseError::SaslAuthenticationFailed);
        assert!(reason.contains("User:alice to User:bob"));
        assert!(!session.is_open());
        let (_, reason) = session.prove(b"nonsense", &users, 7_000).unwrap_err();
        assert!(reason.contains("re-authentication due to invalid credentials"));
        assert!(!format!("{session:?}").contains("secret"));
    }
}
