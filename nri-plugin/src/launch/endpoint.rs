//! Where a connection comes from.

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

/// Where containerd and CRI-O listen by default (NRI 0.3 and later; 0.2 had `/var/run/nri.sock`).
pub const DEFAULT_SOCKET: &str = "/var/run/nri/nri.sock";

/// Gives connections to a runtime: an [`Endpoint`], or any function that does.
///
/// ```
/// use nri_plugin::launch::Dial;
///
/// // Through a proxy, say.
/// let dial = || async { tokio::net::TcpStream::connect("127.0.0.1:7000").await };
/// assert!(Dial::can_dial_again(&dial));
/// ```
pub trait Dial: Send + Sync + 'static {
    /// A connection.
    type Trunk: AsyncRead + AsyncWrite + Send + 'static;

    /// Connects.
    fn dial(&self) -> impl Future<Output = io::Result<Self::Trunk>> + Send;

    /// Whether there can be another connection after one that has ended.
    fn can_dial_again(&self) -> bool {
        true
    }
}

impl<D, F, T> Dial for D
where
    D: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<T>> + Send,
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    type Trunk = T;

    fn dial(&self) -> impl Future<Output = io::Result<T>> + Send {
        self()
    }
}

/// Where the connection to the runtime comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A socket that the runtime listens on.
    Socket(PathBuf),
    /// A descriptor that this process was started with. Its connection is there once.
    Inherited(i32),
}

impl Dial for Endpoint {
    type Trunk = UnixStream;

    async fn dial(&self) -> io::Result<UnixStream> {
        match self {
            Self::Socket(path) => UnixStream::connect(path).await.map_err(|error| {
                let advice = match error.kind() {
                    io::ErrorKind::PermissionDenied => ": run as root, or make the socket its user's",
                    io::ErrorKind::NotFound => ": no runtime is there, or its NRI is off (containerd before 2.0)",
                    _ => "",
                };
                io::Error::new(error.kind(), format!("{}: {error}{advice}", path.display()))
            }),
            Self::Inherited(descriptor) => inherited(*descriptor).map_err(|error| {
                let text = format!("descriptor {descriptor}, which NRI_PLUGIN_SOCKET names: {error}");
                io::Error::new(error.kind(), text)
            }),
        }
    }

    fn can_dial_again(&self) -> bool {
        matches!(self, Self::Socket(_))
    }
}

/// The kernel duplicates a process's own descriptor like another's (Linux 5.6), which no one has to promise that nobody
/// else owns. The original stays open until the process ends; closing the session shuts the connection down for both.
#[cfg(target_os = "linux")]
fn inherited(descriptor: i32) -> io::Result<UnixStream> {
    use std::os::unix::net::UnixStream as Stream;

    use rustix::net::sockopt::{socket_domain, socket_type};
    use rustix::net::{AddressFamily, SocketType};
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let socket = pidfd_getfd(this, descriptor, PidfdGetfdFlags::empty())?;
    if socket_domain(&socket)? != AddressFamily::UNIX || socket_type(&socket)? != SocketType::STREAM {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no stream socket of the unix domain"));
    }
    let stream = Stream::from(socket);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

#[cfg(not(target_os = "linux"))]
fn inherited(_: i32) -> io::Result<UnixStream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "descriptors are inherited on Linux only"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream as Stream;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_inherited_connection_is_the_one_that_was_open() {
        let (near, far) = Stream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        let mut far = UnixStream::from_std(far).unwrap();
        let mut trunk = Endpoint::Inherited(near.as_raw_fd()).dial().await.unwrap();
        trunk.write_all(b"here").await.unwrap();
        trunk.shutdown().await.unwrap();
        // Though the original is open.
        let mut came = String::new();
        far.read_to_string(&mut came).await.unwrap();
        assert_eq!(came, "here");
    }

    #[tokio::test]
    async fn what_is_no_connection_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let datagrams = std::os::unix::net::UnixDatagram::unbound().unwrap();
        for descriptor in [file.as_raw_fd(), datagrams.as_raw_fd(), 1_000_000] {
            assert!(Endpoint::Inherited(descriptor).dial().await.is_err());
        }
    }
}
