//! PLAIN (RFC 4616): the client sends its name and its password.

use std::collections::BTreeMap;

use crate::security::mechanism::{Scram, equal};

/// Why a client is not let in: a sentence that it may be told, if it is one.
pub(crate) type Refused = Option<&'static str>;

/// Returns the user whose name and password `authorization NUL name NUL password` are.
pub(crate) fn authenticate(message: &[u8], users: &BTreeMap<String, String>) -> Result<String, Refused> {
    let message = std::str::from_utf8(message).map_err(|_| None)?;
    let mut parts = message.split('\0');
    let (Some(authorization), Some(name), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(None);
    };
    if name.is_empty() || password.is_empty() {
        return Err(None);
    }
    // Hashed, so that the time does not tell the length either.
    let hash = |password: &str| Scram::Sha256.hash(password.as_bytes());
    let expected = users.get(name).map(String::as_str);
    let same = equal(&hash(password), &hash(expected.unwrap_or_default()));
    if expected.is_none() || !same {
        return Err(Some("Authentication failed: Invalid username or password"));
    }
    if !authorization.is_empty() && authorization != name {
        return Err(Some(
            "Authentication failed: Client requested an authorization id that is different from username",
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_must_fit() {
        let users = [("alice".to_owned(), "secret".to_owned())].into();
        let tried = |message: &str| authenticate(message.as_bytes(), &users);
        assert_eq!(tried("\0alice\0secret"), Ok("alice".to_owned()));
        assert_eq!(tried("alice\0alice\0secret"), Ok("alice".to_owned()));
        for wrong in ["\0alice\0Secret", "\0bob\0secret", "\0bob\0bob"] {
            assert_eq!(tried(wrong), Err(Some("Authentication failed: Invalid username or password")));
        }
        assert!(tried("bob\0alice\0secret").unwrap_err().unwrap().contains("authorization id"));
        for wrong in ["", "alice\0secret", "\0\0secret", "\0alice\0", "\0alice\0secret\0"] {
            assert_eq!(tried(wrong), Err(None));
        }
    }
}
