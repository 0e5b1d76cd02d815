//! A proxy between the job and the broker, which interferes when a transaction is to be committed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use thalweg_broker::{Broker, BrokerConfig};

use super::Cluster;

/// The API key of `EndTxn`.
const END_TXN: i16 = 26;

/// What happens at the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The broker commits, but its answer is lost with the connection.
    LoseAnswer,
    /// The broker commits; nobody gets through any more until the proxy is healed.
    CommitAndCut,
    /// The broker does not hear of it; nobody gets through any more until the proxy is healed.
    Cut,
}

#[derive(Default)]
struct State {
    fault: Mutex<Option<Fault>>,
    cut: AtomicBool,
    held: AtomicBool,
    stop: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

/// Holds back what goes through a proxy.
#[derive(Clone)]
pub(crate) struct Holder(Arc<State>);

impl Holder {
    /// Requests get no further until so much time is over: the broker is busy.
    pub(crate) fn hold(&self, time: std::time::Duration) {
        self.0.held.store(true, Ordering::SeqCst);
        let state = self.0.clone();
        std::thread::spawn(move || {
            std::thread::sleep(time);
            state.held.store(false, Ordering::SeqCst);
        });
    }

    /// Whether it holds requests back now.
    pub(crate) fn holds(&self) -> bool {
        self.0.held.load(Ordering::SeqCst)
    }
}

/// Clients of the cluster that comes with it are told to connect to the proxy.
pub(crate) struct Proxy {
    state: Arc<State>,
    address: SocketAddr,
}

impl Proxy {
    /// An embedded broker behind a proxy.
    pub(crate) fn start() -> (Self, Cluster) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = BrokerConfig {
            advertised: Some(address.to_string()),
            auto_create_topics: false,
            ..BrokerConfig::default()
        };
        let broker = Broker::start(config).unwrap();
        let (state, upstream) = (Arc::new(State::default()), broker.address());
        let accepting = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.stop.load(Ordering::SeqCst) {
                    return;
                }
                let (client, state) = (client.unwrap(), accepting.clone());
                if !state.cut.load(Ordering::SeqCst) {
                    std::thread::spawn(move || serve(client, upstream, &state));
                }
            }
        });
        let cluster = Cluster { bootstrap: address.to_string(), broker: Some(broker) };
        (Self { state, address }, cluster)
    }

    pub(crate) fn inject(&self, fault: Fault) {
        *self.state.fault.lock().unwrap() = Some(fault);
    }

    /// Whether the fault has happened.
    pub(crate) fn is_done(&self) -> bool {
        self.state.fault.lock().unwrap().is_none()
    }

    /// What holds requests back, for others to have.
    pub(crate) fn holder(&self) -> Holder {
        Holder(self.state.clone())
    }

    /// Lets nobody through.
    pub(crate) fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
        self.state.disconnect();
    }

    /// Lets everybody through again.
    pub(crate) fn heal(&self) {
        self.state.cut.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        self.state.disconnect();
    }
}

impl State {
    fn disconnect(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// Passes requests on, one frame at a time, and answers as they come. Ends with either side.
fn serve(mut client: TcpStream, upstream: SocketAddr, state: &State) {
    let Ok(mut broker) = TcpStream::connect(upstream) else { return };
    let clones = (client.try_clone(), broker.try_clone());
    let (Ok(mut to_client), Ok(mut from_broker)) = clones else { return };
    state.connections.lock().unwrap().extend([client.try_clone(), broker.try_clone()].into_iter().flatten());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_broker, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    while let Ok(frame) = read_frame(&mut client) {
        while state.held.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let fault = if is_commit(&frame) { state.fault.lock().unwrap().take() } else { None };
        match fault {
            None => {
                if broker.write_all(&frame).is_err() {
                    break;
                }
            }
            Some(fault) => {
                state.cut.store(fault != Fault::LoseAnswer, Ordering::SeqCst);
                // No answer finds its way back.
                let _ = client.shutdown(Shutdown::Both);
                if fault != Fault::Cut {
                    broker.write_all(&frame).unwrap();
                    // The broker answers when it has committed.
                    std::thread::sleep(std::time::Duration::from_millis(200));
                }
                if fault != Fault::LoseAnswer {
                    state.disconnect();
                }
                break;
            }
        }
    }
    let _ = broker.shutdown(Shutdown::Both);
}

fn read_frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut frame = length.to_vec();
    frame.resize(4 + u32::from_be_bytes(length) as usize, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// The last byte before the tagged fields, of which there are none, says whether it commits or aborts.
fn is_commit(frame: &[u8]) -> bool {
    let api = i16::from_be_bytes([frame[4], frame[5]]);
    let version = i16::from_be_bytes([frame[6], frame[7]]);
    let committed = if version >= 3 { frame[frame.len() - 2] } else { frame[frame.len() - 1] };
    api == END_TXN && committed == 1
}
