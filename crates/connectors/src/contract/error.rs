//! What the errors of connectors say: system, address, what was tried, how often, and whether it will be tried again.

use std::fmt;
use std::time::Duration;

use thalweg_dataflow::error::{BoxError, Fatal};

use super::secret::without_credentials;

/// A system and an address in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    system: &'static str,
    address: String,
}

impl Place {
    /// `address` may have credentials in it; they are dropped here.
    pub fn new(system: &'static str, address: &str) -> Self {
        Self { system, address: without_credentials(address).into_owned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.system, self.address)
    }
}

/// Why one attempt failed.
#[derive(Debug)]
pub struct Failure {
    pub(super) error: BoxError,
    pub(super) passes: bool,
}

impl Failure {
    /// It may be over soon: a timeout, a refused connection, a throttled request. It is tried again.
    pub fn passing(error: impl Into<BoxError>) -> Self {
        Self { error: error.into(), passes: true }
    }

    /// What it failed with.
    pub fn error(&self) -> &BoxError {
        &self.error
    }

    /// Trying again cannot help: wrong credentials, a bucket that is not there.
    pub fn lasting(error: impl Into<BoxError>) -> Self {
        Self { error: error.into(), passes: false }
    }
}

/// What a connector fails with.
///
/// ```
/// use std::time::Duration;
///
/// use thalweg_connectors::contract::{Failure, Place, Retry};
///
/// let place = Place::new("S3", "http://me:secret@localhost:9/bucket");
/// let retry = Retry::new().attempts(3).first_pause(Duration::from_millis(1));
/// let refused = || Failure::passing("connection refused");
/// let error = retry.run(&place, "list `logs/`", |_| Err::<(), _>(refused())).unwrap_err();
/// let error = error.to_string();
/// assert!(error.starts_with("S3 http://***@localhost:9/bucket: cannot list `logs/`: connection refused (3 attempts in "), "{error}");
/// assert!(error.ends_with("it is tried again when the job restarts)"), "{error}");
/// ```
#[derive(Debug)]
pub struct ConnectorError {
    /// Where.
    pub place: Place,
    /// What was to be done there.
    pub what: String,
    /// How often it was tried.
    pub attempts: u32,
    /// For how long.
    pub within: Duration,
    /// What the last attempt failed with.
    pub failure: Failure,
}

impl ConnectorError {
    /// Of a single attempt.
    pub fn once(place: &Place, what: impl Into<String>, failure: Failure) -> Self {
        Self { place: place.clone(), what: what.into(), attempts: 1, within: Duration::ZERO, failure }
    }

    /// Whether a restart of the job may help.
    pub fn passes(&self) -> bool {
        self.failure.passes
    }

    /// As the engine wants it: what a restart cannot mend is marked as such, so that none is tried.
    pub fn boxed(self) -> BoxError {
        if self.passes() { Box::new(self) } else { Box::new(Fatal(Box::new(self))) }
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, what, attempts, within, failure } = self;
        write!(f, "{place}: cannot {what}: {} (", failure.error)?;
        if *attempts > 1 {
            write!(f, "{attempts} attempts in {:.1} s; ", within.as_secs_f64())?;
        }
        f.write_str(match failure.passes {
            true => "it is tried again when the job restarts)",
            false => "trying again cannot help)",
        })
    }
}

impl std::error::Error for ConnectorError {
    /// What comes after the error that is part of the text.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.failure.error.source()
    }
}
