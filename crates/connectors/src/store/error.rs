//! Which errors of a store pass.

use std::io::ErrorKind;

use object_store::Error;

use crate::contract::{ConnectorError, Failure};

/// What S3, Azure, Google and HDFS call errors that stay.
const LASTING: [&str; 15] = [
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
    "org.apache.hadoop.security.AccessControlException",
];

/// What is answered when a file is to be published of which there is nothing, as it has been published already: by Azure about its blocks, which are not there either when nobody
/// has committed them for a week, and by HDFS about the hidden file.
const NOTHING_TO_PUBLISH: [&str; 2] = ["InvalidBlockList", "java.io.FileNotFoundException rename source"];

/// What a request failed with, and whether to try it again.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Generic { store, source } if says(&*source, &NOTHING_TO_PUBLISH) => {
            Failure::lasting(Error::NotFound { path: store.to_owned(), source })
        }
        // The client tells these from what passes in single requests alone, not in lists.
        Error::Generic { source, .. } if says(&*source, &LASTING) => Failure::lasting(source),
        Error::Generic { .. } | Error::JoinError { .. } | Error::NotModified { .. } => {
            Failure::passing(error)
        }
        // It is not there, not allowed, not known: nor will it be in a second.
        _ => Failure::lasting(error),
    }
}

fn says(error: &dyn std::error::Error, codes: &[&str]) -> bool {
    let text = error.to_string();
    codes.iter().any(|code| text.contains(code))
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
    fn what_has_been_published_is_not_there_and_a_container_that_is_not_there_does_not_come() {
        assert_eq!(kind_of("400: <Code>InvalidBlockList</Code>"), (ErrorKind::NotFound, false));
        let renamed = "RPC error: java.io.FileNotFoundException rename source /x is not found.";
        assert_eq!(kind_of(renamed), (ErrorKind::NotFound, false));
        // A lease that is lost, which a restart mends.
        assert!(kind_of("RPC error: java.io.FileNotFoundException File does not exist: /x (inode 1)").1);
        assert_eq!(kind_of("404: <Code>ContainerNotFound</Code>"), (ErrorKind::Other, false));
        assert_eq!(kind_of("503: <Code>ServerBusy</Code>"), (ErrorKind::Other, true));
    }
}
