//! A listener: where clients connect, where they are told to connect, and how that is secured.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use kafka_protocol::protocol::StrBytes;
use tokio_rustls::TlsAcceptor;

use crate::config::BrokerConfig;
use crate::error::BrokerError;
use crate::security;
use crate::security::sasl::Sasl;
use crate::security::tls::Tls;
use crate::server::properties;

/// A place that clients connect to. A client is told the advertised address of the listener it came by, so that
/// it keeps coming by the same one.
///
/// ```
/// use thalweg_broker::{Broker, BrokerConfig, Listener};
///
/// let inside = Listener::new("INSIDE", "127.0.0.1:0");
/// let outside = Listener { advertised: Some("example.org:9092".into()), ..Listener::new("OUTSIDE", "127.0.0.1:0") };
/// let broker = Broker::start(BrokerConfig { listeners: vec![inside, outside], ..BrokerConfig::default() })?;
/// assert!(broker.address_of("OUTSIDE").is_some());
/// # Ok::<(), thalweg_broker::BrokerError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, as in Kafka's `listeners`; no two have the same.
    pub name: String,
    /// `host:port` to listen on. Port 0 takes a free one, and without a host it is all interfaces.
    pub listen: String,
    /// `host:port` that clients are told to connect to; by default the address they have reached the broker at.
    pub advertised: Option<String>,
    /// How it encrypts, if it does.
    pub tls: Option<Tls>,
    /// How clients prove who they are, if they have to.
    pub sasl: Option<Sasl>,
    /// Connections it has at a time; further ones are closed at once. Without, those of the whole broker count alone.
    pub max_connections: Option<usize>,
}

impl Listener {
    /// A listener that neither encrypts nor authenticates.
    pub fn new(name: impl Into<String>, listen: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            listen: listen.into(),
            advertised: None,
            tls: None,
            sasl: None,
            max_connections: None,
        }
    }
}

/// The listeners of a broker: never none.
pub(crate) fn listeners(config: &BrokerConfig) -> Result<Vec<Listener>, BrokerError> {
    if config.listeners.is_empty() || config.properties.contains_key(properties::LISTENERS) {
        let advertised = config.advertised.clone();
        let simple = Listener { advertised, ..Listener::new("PLAINTEXT", config.listen.as_str()) };
        let named = properties::listeners(&config.properties, simple)?.into_iter();
        let secure =
            |(listener, protocol)| security::properties::secure(listener, protocol, &config.properties);
        return named.map(secure).collect();
    }
    for (n, listener) in config.listeners.iter().enumerate() {
        if config.listeners[..n].iter().any(|other| other.name == listener.name) {
            return Err(BrokerError::ListenerName(listener.name.clone()));
        }
    }
    Ok(config.listeners.clone())
}

/// A listener that has its port.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) endpoint: Endpoint,
}

/// What its connections have to know about a listener.
pub(crate) struct Endpoint {
    pub(crate) name: String,
    /// Host and port that clients are told, if not where they are.
    pub(crate) advertised: Option<Address>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) sasl: Option<Sasl>,
    /// As [`Listener::max_connections`].
    pub(crate) max_connections: Option<usize>,
}

#[cfg(test)]
impl Endpoint {
    /// One that neither encrypts nor authenticates.
    pub(crate) fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), advertised: None, tls: None, sasl: None, max_connections: None }
    }
}

impl Bound {
    /// Takes the port.
    pub(crate) fn new(listener: &Listener) -> Result<Self, BrokerError> {
        let failed = |source| BrokerError::Listen { address: listener.listen.clone(), source };
        let advertised = listener.advertised.as_deref().map(Address::advertised).transpose()?;
        let unusable = |reason| BrokerError::Listener { name: listener.name.clone(), reason };
        let tls = listener.tls.as_ref().map(Tls::acceptor).transpose().map_err(unusable)?;
        let socket = bind(&listener.listen).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let endpoint = Endpoint {
            name: listener.name.clone(),
            advertised,
            tls,
            sasl: listener.sasl.clone(),
            max_connections: listener.max_connections,
        };
        Ok(Self { socket, address, endpoint })
    }

    /// What clients take as `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> String {
        match &self.endpoint.advertised {
            Some(advertised) => advertised.to_string(),
            None if self.address.ip().is_unspecified() => format!("127.0.0.1:{}", self.address.port()),
            None => self.address.to_string(),
        }
    }
}

fn bind(address: &str) -> std::io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':').and_then(|port| port.parse().ok()) else {
        return TcpListener::bind(address);
    };
    // Of both families where there are both.
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A host and a port that clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: StrBytes,
    pub(crate) port: u16,
}

impl Address {
    /// Parses `host:port`, in which an IPv6 address stands in brackets.
    pub(crate) fn parse(address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self { host: StrBytes::from_string(host.to_owned()), port: port.parse().ok()? })
    }

    fn advertised(address: &str) -> Result<Self, BrokerError> {
        let parsed = Self::parse(address).filter(|parsed| !parsed.host.is_empty());
        parsed.ok_or_else(|| BrokerError::Advertised(address.to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_has_a_host_and_a_port() {
        let parsed = |address| Address::advertised(address).map(|address| address.to_string()).ok();
        for right in ["example.org:9092", "[::1]:9092"] {
            assert_eq!(parsed(right).as_deref(), Some(right));
        }
        for wrong in ["example.org", ":9092", "example.org:", "example.org:70000"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn without_a_host_it_is_all_interfaces() {
        let bound = Bound::new(&Listener::new("A", ":0")).unwrap();
        assert!(bound.address.ip().is_unspecified());
        assert_eq!(bound.bootstrap(), format!("127.0.0.1:{}", bound.address.port()));
    }
}
