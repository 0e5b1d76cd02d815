//! Which errors of a store pass.

use std::io::ErrorKind;

use object_store::Error;

use crate::contract::{ConnectorError, Failure};

/// What S3, Azure and Google call errors that stay.
const LASTING: [&str; 14] = [
    "NoSuchBucket",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccessDenied",
    "InvalidBucketName",
    "ContainerNotFound",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "AuthorizationPermissionMismatch",
    "NoAuthenticationInformation",
    "AccountIsDisabled",
    "InvalidResourceName",
    "The specified bucket does not exist",
    "Invalid Credentials",
];

/// What Azure answers when blocks are to be committed that are not there: they have been already, or nobody has for a week.
const NO_BLOCKS: &str = "InvalidBlockList";

/// What a request failed with, and whether to try it again.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Generic { store, source } if source.to_string().contains(NO_BLOCKS) => {
            Failure::lasting(Error::NotFound { path: store.to_owned(), source })
        }
        // The client tells these from what passes in single requests alone, not in lists.
        Error::Generic { source, .. } if LASTING.iter().any(|code| source.to_string().contains(code)) => {
            Failure::lasting(source)
        }
        Error::Generic { .. } | Error::JoinError { .. } | Error::NotModified { .. } => {
            Failure::passing(error)
        }
        // It is not there, not allowed, not known: nor will it be in a second.
        _ => Failure::lasting(error),
    }
}

/// As a kind of I/O error.
pub(super) fn kind(error: &ConnectorError) -> ErrorKind {
    match error.failure.error().downcast_ref::<Error>() {
        Some(Error::NotFound { .. }) => ErrorKind::NotFound,
        Some(Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => ErrorKind::PermissionDenied,
        Some(Error::AlreadyExists { .. }) => ErrorKind::AlreadyExists,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Place;

    fn kind_of(text: &str) -> (ErrorKind, bool) {
        let failure = failure(Error::Generic { store: "a store", source: text.into() });
        let error = ConnectorError::once(&Place::new("a store", "x://y"), "list", failure);
        (kind(&error), error.passes())
    }

    #[test]
    fn blocks_that_are_gone_are_not_there_and_a_container_that_is_not_there_does_not_come() {
        assert_eq!(kind_of("400: <Code>InvalidBlockList</Code>"), (ErrorKind::NotFound, false));
        assert_eq!(kind_of("404: <Code>ContainerNotFound</Code>"), (ErrorKind::Other, false));
        assert_eq!(kind_of("503: <Code>ServerBusy</Code>"), (ErrorKind::Other, true));
    }
}
