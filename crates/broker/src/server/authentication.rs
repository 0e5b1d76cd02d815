//! The requests of a client that has not proved yet who it is, or does so again.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::ApiKey;

use crate::api::{Call, Frame, Refused, answer, decode, reply, sasl_authenticate, sasl_handshake};
use crate::security::sasl::Session;
use crate::server::output::Output;
use crate::state::State;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It may go on.
    Going,
    /// It gets its answer, later, and nothing after that.
    Failed,
}

/// Answers a request that belongs to the proof. Any other one is out of place.
pub(super) async fn prove(
    call: &Call<'_>,
    session: &mut Session<'_>,
    frame: Frame,
    out: &mut Output,
) -> Result<Proof, Refused> {
    let id = frame.correlation_id;
    let error_code = match frame.key {
        ApiKey::SaslHandshake => {
            let response = sasl_handshake::handle(call, session, &decode(call, frame.body)?);
            reply(call, id, out, &response)?;
            response.error_code
        }
        ApiKey::SaslAuthenticate => {
            let response = sasl_authenticate::handle(call, session, &decode(call, frame.body)?);
            reply(call, id, out, &response)?;
            response.error_code
        }
        ApiKey::ApiVersions if session.user().is_none() => {
            answer(call, frame, out).await?;
            0
        }
        _ => return Err(Refused::Unauthenticated),
    };
    Ok(if error_code == 0 { Proof::Going } else { Proof::Failed })
}

/// Answers a message that comes without the frame of a request, in the same way. Without a request there is no
/// answer that says what is wrong.
pub(super) fn prove_raw(
    state: &State,
    session: &mut Session<'_>,
    message: &Bytes,
    out: &mut Output,
) -> Proof {
    match session.prove(message, &state.users, state.clock.now_ms()) {
        Ok(step) => {
            let mark = out.mark();
            out.bytes().put_i32(0);
            out.bytes().put_slice(&step.message);
            out.put_length(mark);
            Proof::Going
        }
        Err(_) => Proof::Failed,
    }
}
