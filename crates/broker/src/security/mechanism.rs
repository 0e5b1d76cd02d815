//! The SASL mechanisms, and the hash functions that SCRAM is made of.

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// It sends its password. Only where the listener encrypts.
    Plain,
    /// It proves that it knows its password without sending it.
    Scram(Scram),
}

/// Which hash function SCRAM uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scram {
    /// SCRAM-SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    Sha256,
    /// SCRAM-SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    Sha512,
}

impl Mechanism {
    /// All that there are.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Scram(Scram::Sha256), Self::Scram(Scram::Sha512)];

    /// As it stands in `sasl.enabled.mechanisms`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(Scram::Sha256) => "SCRAM-SHA-256",
            Self::Scram(Scram::Sha512) => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

impl Scram {
    /// The number that Kafka's protocol has for it.
    pub(crate) fn wire(self) -> i8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }

    pub(crate) fn from_wire(number: i8) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|scram| scram.wire() == number)
    }

    pub(super) fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    pub(super) fn hmac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, bytes),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, bytes),
        }
    }

    /// `Hi` of RFC 5802: slow on purpose.
    pub(super) fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec(),
            Self::Sha512 => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec(),
        }
    }
}

fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8], bytes: &[u8]) -> Vec<u8> {
    // A key of HMAC has any length.
    let Ok(mac) = <M as Mac>::new_from_slice(key) else { return Vec::new() };
    mac.chain_update(bytes).finalize().into_bytes().to_vec()
}

/// Compares in a time that does not tell where the difference is.
pub(super) fn equal(left: &[u8], right: &[u8]) -> bool {
    let difference =
        left.iter().zip(right).fold(0, |seen, (left, right)| std::hint::black_box(seen | (left ^ right)));
    left.len() == right.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mechanisms_are_found_by_their_names() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::named(mechanism.name()), Some(mechanism));
        }
        assert_eq!(Mechanism::named("GSSAPI"), None);
        assert_eq!(Scram::from_wire(0), None);
    }

    #[test]
    fn only_what_is_equal_is_equal() {
        assert!(equal(b"abc", b"abc"));
        for other in [&b"abd"[..], b"ab", b"abcd", b""] {
            assert!(!equal(b"abc", other));
        }
    }
}
