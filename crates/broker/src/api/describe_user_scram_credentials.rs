//! DescribeUserScramCredentials: which users there are, and how often their passwords are hashed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};

use crate::api::Call;
use crate::api::config_resource::named_twice;
use crate::api::proportion::once;
use crate::protocol::text;

pub(super) fn handle(
    call: &Call<'_>,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let users = call.state.users.iterations();
    let wanted: Vec<String> = match request.users.filter(|users| !users.is_empty()) {
        Some(wanted) => wanted.iter().map(|user| user.name.to_string()).collect(),
        None => users.keys().cloned().collect(),
    };
    let twice = named_twice(wanted.iter());
    let mut names: Vec<&String> = wanted.iter().collect();
    once(&mut names, |name| *name);
    let mut results: Vec<DescribeUserScramCredentialsResult> = Vec::with_capacity(names.len());
    for name in names {
        let result = DescribeUserScramCredentialsResult::default().with_user(text(name));
        let failed = |error: ResponseError, reason: &str| {
            let reason = format!("{reason}: {name}");
            result.clone().with_error_code(error.code()).with_error_message(Some(text(&reason)))
        };
        results.push(match users.get(name) {
            _ if twice.contains(name) => failed(
                ResponseError::DuplicateResource,
                "Cannot describe SCRAM credentials for the same user twice in a single request",
            ),
            None => failed(
                ResponseError::ResourceNotFound,
                "Attempt to describe a user credential that does not exist",
            ),
            Some(credentials) => {
                let info = |&(scram, iterations): &(crate::security::mechanism::Scram, u32)| {
                    CredentialInfo::default()
                        .with_mechanism(scram.wire())
                        .with_iterations(i32::try_from(iterations).unwrap_or(i32::MAX))
                };
                result.clone().with_credential_infos(credentials.iter().map(info).collect())
            }
        });
    }
    DescribeUserScramCredentialsResponse::default().with_results(results)
}
