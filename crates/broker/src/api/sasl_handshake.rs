//! SaslHandshake: the client says how it will prove who it is.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use crate::api::Call;
use crate::protocol::{code, text};
use crate::security::sasl::Session;

/// From version 1 on the proof comes in requests of its own, in version 0 naked.
pub(crate) fn handle(
    call: &Call<'_>,
    session: &mut Session<'_>,
    request: &SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    let begun = session.begin(&request.mechanism, call.version == 0);
    let mechanisms = session.sasl.mechanisms.iter().map(|mechanism| text(mechanism.name()));
    SaslHandshakeResponse::default().with_error_code(code(&begun)).with_mechanisms(mechanisms.collect())
}

/// Where nobody has to prove anything, or has already done so.
pub(super) fn refuse() -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code())
}
