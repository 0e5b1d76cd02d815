//! SaslAuthenticate: a message of the client's proof who it is.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};

use crate::api::Call;
use crate::protocol::text;
use crate::security::sasl::Session;

pub(crate) fn handle(
    call: &Call<'_>,
    session: &mut Session<'_>,
    request: &SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    match session.prove(&request.auth_bytes, &call.state.users, call.state.clock.now_ms()) {
        Ok(step) => SaslAuthenticateResponse::default()
            .with_auth_bytes(step.message.into())
            .with_session_lifetime_ms(step.lifetime_ms),
        Err((error, reason)) => failed(error, &reason),
    }
}

/// Where nobody has to prove anything, or has already done so.
pub(super) fn refuse() -> SaslAuthenticateResponse {
    let reason = "SaslAuthenticate request received after successful authentication";
    failed(ResponseError::IllegalSaslState, reason)
}

fn failed(error: ResponseError, reason: &str) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default().with_error_code(error.code()).with_error_message(Some(text(reason)))
}
