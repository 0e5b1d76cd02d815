//! SCRAM (RFC 5802, RFC 7677), the server's side, without channel binding.
//!
//! Who asks for a user that does not exist gets a salt all the same, the same one each time, and is refused when
//! the proof is wrong, as anyone else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::security::mechanism::{Scram, equal};
use crate::security::random;
use crate::security::users::{Credential, Users};

/// The client is not who it says, or does not speak SCRAM.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// What the server says, and whom it has let in, if that is decided.
pub(crate) type Said = (Vec<u8>, Option<String>);

/// One exchange: two messages of the client and two answers.
#[derive(Debug)]
pub(crate) struct Exchange {
    scram: Scram,
    asked: Option<Asked>,
}

/// The first half of an exchange.
#[derive(Debug)]
struct Asked {
    user: String,
    /// None if there is no such user.
    credential: Option<Credential>,
    nonce: String,
    /// What the client has to repeat, encoded, as what it would have bound the exchange to.
    binding: String,
    /// The messages so far, which both sides sign.
    messages: String,
}

impl Exchange {
    pub(crate) fn new(scram: Scram) -> Self {
        Self { scram, asked: None }
    }

    /// Answers a message of the client.
    pub(crate) fn answer(&mut self, message: &[u8], users: &Users) -> Result<Said, Refused> {
        let message = std::str::from_utf8(message).map_err(|_| Refused)?;
        match self.asked.take() {
            None => self.first(message, users),
            Some(asked) => self.last(message, asked),
        }
    }

    /// `n,[a=…],n=user,r=nonce`
    fn first(&mut self, message: &str, users: &Users) -> Result<Said, Refused> {
        let rest = message.strip_prefix("n,").ok_or(Refused)?;
        let (authorization, bare) = rest.split_once(',').ok_or(Refused)?;
        let header = &message[..message.len() - bare.len()];
        let mut parts = bare.split(',');
        let user = parts.next().and_then(|part| part.strip_prefix("n=")).and_then(unescape).ok_or(Refused)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(Refused)?;
        if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Refused);
        }
        match authorization.strip_prefix("a=").map(unescape) {
            None if authorization.is_empty() => {}
            Some(Some(other)) if other == user => {}
            _ => return Err(Refused),
        }
        let credential = users.get(&user, self.scram);
        let (salt, iterations) = match &credential {
            Some(credential) => (credential.salt.clone(), credential.iterations),
            None => users.salt_of_nobody(&user, self.scram),
        };
        let nonce = format!("{nonce}{}", random::word());
        let answer = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        let messages = format!("{bare},{answer}");
        self.asked = Some(Asked { user, credential, nonce, binding: STANDARD.encode(header), messages });
        Ok((answer.into_bytes(), None))
    }

    /// `c=binding,r=nonce,p=proof`
    fn last(&self, message: &str, asked: Asked) -> Result<Said, Refused> {
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(Refused)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or(Refused)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or(Refused)?;
        let proof = STANDARD.decode(proof).map_err(|_| Refused)?;
        let credential = asked.credential.ok_or(Refused)?;
        if binding != asked.binding || nonce != asked.nonce {
            return Err(Refused);
        }
        let signed = format!("{},{without_proof}", asked.messages);
        let signature = self.scram.hmac(&credential.stored_key, signed.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(&signature).map(|(proof, sign)| proof ^ sign).collect();
        if proof.len() != signature.len() || !equal(&self.scram.hash(&client_key), &credential.stored_key) {
            return Err(Refused);
        }
        let verified = STANDARD.encode(self.scram.hmac(&credential.server_key, signed.as_bytes()));
        Ok((format!("v={verified}").into_bytes(), Some(asked.user)))
    }
}

/// `=2C` is a comma and `=3D` an equals sign; there is no other use of them.
fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match part.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        plain.push(sign);
        plain.push_str(rest);
    }
    (!plain.is_empty()).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWORD: &str = "pencil";

    fn users(scram: Scram) -> Users {
        let users = Users::in_memory();
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = scram.salted(PASSWORD.as_bytes(), &salt, 4096);
        let credential = Credential::new(scram, salt, 4096, &salted);
        users.alter(vec![("us,er=".to_owned(), scram, Some(credential))]).unwrap();
        users
    }

    /// The client's last message, and what the server must say to it.
    fn prove(scram: Scram, password: &str, first: &str, server: &[u8]) -> (String, String) {
        let server = std::str::from_utf8(server).unwrap();
        let mut parts = server.split(',').map(|part| &part[2..]);
        let (nonce, salt) = (parts.next().unwrap(), STANDARD.decode(parts.next().unwrap()).unwrap());
        let salted = scram.salted(password.as_bytes(), &salt, parts.next().unwrap().parse().unwrap());
        let last = format!("c=biws,r={nonce}");
        let signed = format!("{},{server},{last}", &first[3..]);
        let client_key = scram.hmac(&salted, b"Client Key");
        let signature = scram.hmac(&scram.hash(&client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, sign)| key ^ sign).collect();
        let server_signature = scram.hmac(&scram.hmac(&salted, b"Server Key"), signed.as_bytes());
        (format!("{last},p={}", STANDARD.encode(proof)), format!("v={}", STANDARD.encode(server_signature)))
    }

    const FIRST: &str = "n,,n=us=2Cer=3D,r=rOprNGfwEbeRWgbNEkqO";

    #[test]
    fn whoever_knows_the_password_is_let_in_and_nobody_else() {
        for scram in [Scram::Sha256, Scram::Sha512] {
            let users = users(scram);
            let mut exchange = Exchange::new(scram);
            let (asked, None) = exchange.answer(FIRST.as_bytes(), &users).unwrap() else { panic!() };
            let (last, verified) = prove(scram, PASSWORD, FIRST, &asked);
            let said = exchange.answer(last.as_bytes(), &users).unwrap();
            assert_eq!(said, (verified.into_bytes(), Some("us,er=".to_owned())));

            let (asked, _) = exchange.answer(FIRST.as_bytes(), &users).unwrap();
            let (last, _) = prove(scram, "pencils", FIRST, &asked);
            assert_eq!(exchange.answer(last.as_bytes(), &users), Err(Refused));
            let (asked, _) = exchange.answer(FIRST.as_bytes(), &users).unwrap();
            let (last, _) = prove(scram, PASSWORD, FIRST, &asked);
            assert_eq!(exchange.answer(last.replace("biws", "eSws").as_bytes(), &users), Err(Refused));
        }
    }

    #[test]
    fn a_user_that_does_not_exist_looks_like_one_that_does() {
        let users = users(Scram::Sha256);
        let first = "n,,n=nobody,r=rOprNGfwEbeRWgbNEkqO";
        let salt = || {
            let mut exchange = Exchange::new(Scram::Sha256);
            let (asked, _) = exchange.answer(first.as_bytes(), &users).unwrap();
            let (last, _) = prove(Scram::Sha256, "", first, &asked);
            assert_eq!(exchange.answer(last.as_bytes(), &users), Err(Refused));
            String::from_utf8(asked).unwrap().split(',').skip(1).collect::<String>()
        };
        assert_eq!(salt(), salt());
    }

    /// RFC 7677, section 3.
    #[test]
    fn the_example_of_the_standard_holds() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = Scram::Sha256.salted(PASSWORD.as_bytes(), &salt, 4096);
        let credential = Credential::new(Scram::Sha256, salt, 4096, &salted);
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let asked = Asked {
            user: "user".to_owned(),
            credential: Some(credential),
            nonce: nonce.to_owned(),
            binding: "biws".to_owned(),
            messages: format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
        };
        let mut exchange = Exchange { scram: Scram::Sha256, asked: Some(asked) };
        let last = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let said = exchange.answer(last.as_bytes(), &Users::in_memory()).unwrap().0;
        assert_eq!(said, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_is_not_scram_is_refused() {
        let users = users(Scram::Sha256);
        for wrong in [
            "",
            "n,,",
            "y,,n=us,r=a",
            "p=tls-unique,,n=us,r=a",
            "n,,n=,r=a",
            "n,,n=us",
            "n,,n=us,r=",
            "n,,n=us=,r=a",
            "n,,n=us=2Dx,r=a",
            "n,a=other,n=us,r=a",
            "n,x,n=us,r=a",
            "n,,m=ext,n=us,r=a",
        ] {
            assert_eq!(
                Exchange::new(Scram::Sha256).answer(wrong.as_bytes(), &users),
                Err(Refused),
                "{wrong}"
            );
        }
        assert!(Exchange::new(Scram::Sha256).answer(&[0xff], &users).is_err());
    }
}
