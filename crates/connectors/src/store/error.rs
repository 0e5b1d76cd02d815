//! Which errors of a store pass.

use std::io::ErrorKind;

use object_store::Error;

use crate::contract::{ConnectorError, Failure};

/// What S3 calls errors that stay.
const LASTING: [&str; 5] =
    ["NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidBucketName"];

/// What a request failed with, and whether to try it again.
pub(super) fn failure(error: Error) -> Failure {
    match error {
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
