//! AlterUserScramCredentials: gives users passwords, and takes them away.
//!
//! The client has salted and hashed the password: it is not seen here.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_user_scram_credentials_request::ScramCredentialUpsertion;
use kafka_protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use kafka_protocol::messages::{AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse};

use crate::api::Call;
use crate::api::proportion::check_size;
use crate::protocol::text;
use crate::security::mechanism::Scram;
use crate::security::users::{Alteration, Credential, MAX_ITERATIONS, MIN_ITERATIONS};

type Failed = (ResponseError, &'static str);

pub(super) fn handle(
    call: &Call<'_>,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let deleted = request.deletions.iter().map(|deletion| {
        let name = deletion.name.as_str();
        (name, scram(name, deletion.mechanism).and_then(|scram| delete(call, name, scram)))
    });
    let upserted = request.upsertions.iter().map(|upsertion| {
        let name = upsertion.name.as_str();
        (name, scram(name, upsertion.mechanism).and_then(|scram| upsert(upsertion, scram)))
    });
    // Of a user one thing may be altered in a request, whatever the mechanism.
    let mut by_user: BTreeMap<&str, Result<Alteration, Failed>> = BTreeMap::new();
    for (name, alteration) in deleted.chain(upserted) {
        let twice = "A user credential cannot be altered twice in the same request";
        by_user
            .entry(name)
            .and_modify(|of_user| {
                if of_user.is_ok() {
                    *of_user = Err((ResponseError::DuplicateResource, twice));
                }
            })
            .or_insert(alteration);
    }
    let all = by_user.values().filter_map(|of_user| of_user.as_ref().ok()).cloned();
    let stored = call.state.users.alter(all.collect());
    if let Err(error) = &stored {
        tracing::error!(%error, "users cannot be stored");
    }
    let results = by_user.into_iter().map(|(name, of_user)| {
        let result = AlterUserScramCredentialsResult::default().with_user(text(name));
        let failed = |error: ResponseError, reason: &str| {
            result.clone().with_error_code(error.code()).with_error_message(Some(text(reason)))
        };
        match (of_user, &stored) {
            (Err((error, reason)), _) => failed(error, reason),
            (Ok(_), Err(_)) => {
                failed(ResponseError::UnknownServerError, "It cannot be stored; the broker's log says why")
            }
            (Ok(_), Ok(())) => result,
        }
    });
    AlterUserScramCredentialsResponse::default().with_results(results.collect())
}

fn scram(name: &str, mechanism: i8) -> Result<Scram, Failed> {
    if name.is_empty() {
        return Err((ResponseError::UnacceptableCredential, "Username must not be empty"));
    }
    if check_size([name.len()]).is_err() {
        return Err((ResponseError::UnacceptableCredential, "The username is too long"));
    }
    let unknown = (ResponseError::UnsupportedSaslMechanism, "Unknown SCRAM mechanism");
    Scram::from_wire(mechanism).ok_or(unknown)
}

fn delete(call: &Call<'_>, name: &str, scram: Scram) -> Result<Alteration, Failed> {
    if call.state.users.get(name, scram).is_none() {
        let reason = "Attempt to delete a user credential that does not exist";
        return Err((ResponseError::ResourceNotFound, reason));
    }
    Ok((name.to_owned(), scram, None))
}

fn upsert(upsertion: &ScramCredentialUpsertion, scram: Scram) -> Result<Alteration, Failed> {
    let refused = |reason| Err((ResponseError::UnacceptableCredential, reason));
    let iterations = match u32::try_from(upsertion.iterations) {
        Ok(iterations) if iterations > MAX_ITERATIONS => return refused("Too many iterations"),
        Ok(iterations) if iterations >= MIN_ITERATIONS => iterations,
        _ => return refused("Too few iterations"),
    };
    if check_size([upsertion.salt.len(), upsertion.salted_password.len()]).is_err() {
        return refused("The salt and the salted password are too long");
    }
    if upsertion.salt.is_empty() || upsertion.salted_password.is_empty() {
        return refused("The salt and the salted password must not be empty");
    }
    let credential = Credential::new(scram, upsertion.salt.to_vec(), iterations, &upsertion.salted_password);
    Ok((upsertion.name.to_string(), scram, Some(credential)))
}
