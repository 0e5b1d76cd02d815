//! Numbers that nobody guesses.

use uuid::Uuid;

/// 32 letters and digits, of 122 random bits: for nonces.
pub(super) fn word() -> String {
    Uuid::new_v4().simple().to_string()
}

/// 32 bytes: for secrets and salts.
pub(super) fn bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    for half in bytes.chunks_exact_mut(16) {
        half.copy_from_slice(Uuid::new_v4().as_bytes());
    }
    bytes
}
