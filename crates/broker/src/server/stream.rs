//! What a connection reads from and writes to: a socket, or TLS upon one.

use std::fs::File;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::log::file::read_at;

/// Bytes of a file that are in memory at a time, where they have to be.
const PIECE: usize = 64 * 1024;

/// See the module.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Writes some of `len` bytes of a file from `position` on, and returns how many. It is an error if there are none.
    fn send_file(
        &mut self,
        file: &File,
        position: u64,
        len: usize,
    ) -> impl Future<Output = io::Result<usize>> + Send;
}

impl Stream for TcpStream {
    /// The system takes them from where it has them.
    #[cfg(target_os = "linux")]
    async fn send_file(&mut self, file: &File, position: u64, len: usize) -> io::Result<usize> {
        loop {
            self.writable().await?;
            let sent = self.try_io(Interest::WRITABLE, || {
                let mut at = position;
                Ok(rustix::fs::sendfile(&*self, file, Some(&mut at), len)?)
            });
            match sent {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                sent => return sent,
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    async fn send_file(&mut self, file: &File, position: u64, len: usize) -> io::Result<usize> {
        copy(self, file, position, len).await
    }
}

impl Stream for TlsStream<TcpStream> {
    async fn send_file(&mut self, file: &File, position: u64, len: usize) -> io::Result<usize> {
        copy(self, file, position, len).await
    }
}

/// What the fuzzer sends, and where answers go.
#[cfg(fuzzing)]
impl Stream for tokio::io::Join<&[u8], tokio::io::Sink> {
    async fn send_file(&mut self, file: &File, position: u64, len: usize) -> io::Result<usize> {
        copy(self, file, position, len).await
    }
}

async fn copy<W: AsyncWrite + Unpin>(
    to: &mut W,
    file: &File,
    position: u64,
    len: usize,
) -> io::Result<usize> {
    let piece = read_at(file, position, len.min(PIECE))?;
    to.write(&piece).await
}
