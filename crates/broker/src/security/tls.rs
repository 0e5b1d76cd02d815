//! TLS: the certificate that the broker shows, and those that it wants to see. Everything is PEM.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// How a listener encrypts.
///
/// ```no_run
/// use thalweg_broker::{Listener, Tls};
///
/// let pem = |name| std::fs::read_to_string(name);
/// let tls = Tls::new(pem("broker.crt")?, pem("broker.key")?);
/// let listener = Listener { tls: Some(tls), ..Listener::new("SSL", ":9093") };
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    /// The broker's certificate and behind it those up to its authority, in PEM.
    pub certificates: String,
    /// The private key of the first certificate, in PEM and not encrypted.
    pub key: String,
    /// Whether clients need a certificate.
    pub client_auth: ClientAuth,
    /// The authorities that clients' certificates may be from, in PEM.
    pub trusted: String,
    /// What is spoken.
    pub versions: Vec<TlsVersion>,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    None,
    /// They may have one, and if so it must be of a trusted authority.
    Requested,
    /// They must have one of a trusted authority.
    Required,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl Tls {
    /// Encrypts, and does not ask clients for certificates.
    pub fn new(certificates: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            certificates: certificates.into(),
            key: key.into(),
            client_auth: ClientAuth::None,
            trusted: String::new(),
            versions: vec![TlsVersion::V1_2, TlsVersion::V1_3],
        }
    }

    /// Reads keys and certificates. The error begins with the name of the setting that is wrong.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let provider = Arc::new(ring::default_provider());
        let versions: Vec<_> = self.versions.iter().map(|version| version.supported()).collect();
        let chain = certificates("ssl.keystore.certificate.chain", &self.certificates)?;
        let key = private_key(&self.key)?;
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| format!("ssl.enabled.protocols: {error}"))?;
        let config = match self.client_auth {
            ClientAuth::None => config.with_no_client_auth(),
            ClientAuth::Requested => config.with_client_cert_verifier(self.verifier(provider, true)?),
            ClientAuth::Required => config.with_client_cert_verifier(self.verifier(provider, false)?),
        };
        let config = config
            .with_single_cert(chain, key)
            .map_err(|error| format!("ssl.keystore.key: it does not fit the certificate: {error}"))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
        optional: bool,
    ) -> Result<Arc<dyn ClientCertVerifier>, String> {
        const SETTING: &str = "ssl.truststore.certificates";
        let mut roots = RootCertStore::empty();
        for authority in certificates(SETTING, &self.trusted)? {
            roots.add(authority).map_err(|error| format!("{SETTING}: {error}"))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map(|verifier| verifier as _).map_err(|error| format!("{SETTING}: {error}"))
    }
}

impl TlsVersion {
    /// As in `ssl.enabled.protocols`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "TLSv1.2",
            Self::V1_3 => "TLSv1.3",
        }
    }

    fn supported(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V1_2 => &TLS12,
            Self::V1_3 => &TLS13,
        }
    }
}

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("client_auth", &self.client_auth)
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}

fn certificates(setting: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = in_lines(pem);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => {
            Err(format!("{setting}: there is no certificate in PEM (-----BEGIN CERTIFICATE-----)"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{setting}: {error}")),
    }
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, String> {
    if pem.contains("ENCRYPTED") {
        return Err("ssl.keystore.key: the key is encrypted; decrypt it with 'openssl pkey -in KEY -out \
                    DECRYPTED' and keep it where only the broker can read it"
            .to_owned());
    }
    PrivateKeyDer::from_pem_slice(in_lines(pem).as_bytes()).map_err(|_| {
        "ssl.keystore.key: there is no private key in PEM (-----BEGIN PRIVATE KEY-----)".to_owned()
    })
}

/// Puts the first and last lines of PEM on lines of their own, since settings often come in one line.
fn in_lines(pem: &str) -> String {
    let mut parts = pem.split("-----");
    let mut lines = parts.next().unwrap_or_default().to_owned();
    while let (Some(label), Some(text)) = (parts.next(), parts.next()) {
        lines.push_str("\n-----");
        lines.push_str(label);
        lines.push_str("-----\n");
        // A line break may have come as the two characters that stand for one.
        for line in text.replace("\\n", "\n").split_whitespace() {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls() -> Tls {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Tls::new(made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn pem_may_be_in_one_line() {
        let one_line = |pem: &str| pem.split('\n').collect::<Vec<_>>().join(" ");
        let tls = tls();
        let tls = Tls { certificates: one_line(&tls.certificates), key: tls.key.replace('\n', "\\n"), ..tls };
        assert!(tls.acceptor().is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_the_setting() {
        let tls = tls();
        let (required, other) = (ClientAuth::Required, self::tls().key);
        let wrong = [
            ("ssl.keystore.certificate.chain", Tls { certificates: tls.key.clone(), ..tls.clone() }),
            ("ssl.keystore.key", Tls { key: tls.certificates.clone(), ..tls.clone() }),
            ("ssl.keystore.key", Tls { key: other, ..tls.clone() }),
            (
                "ssl.keystore.key",
                Tls { key: "-----BEGIN ENCRYPTED PRIVATE KEY-----".to_owned(), ..tls.clone() },
            ),
            ("ssl.truststore.certificates", Tls { client_auth: required, ..tls.clone() }),
            ("ssl.enabled.protocols", Tls { versions: Vec::new(), ..tls.clone() }),
        ];
        for (setting, tls) in wrong {
            let error = tls.acceptor().map(drop).unwrap_err();
            assert!(error.starts_with(setting), "{error}");
        }
        assert!(!format!("{tls:?}").contains("PRIVATE"));
    }
}
