//! Messages for syslog.

use std::fmt;
use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
#[cfg(unix)]
use tokio::net::{UnixDatagram, UnixStream};
use tokio::sync::Mutex;

use super::{Body, Delivery, DeliveryError, EncodeError, Record, Refused, Sink};
use crate::event::EnhancedEvent;

/// The facility local0.
const FACILITY: u8 = 16;
/// The longest datagram of IPv4, without its headers.
const MAX_DATAGRAM: usize = 65_507;

/// Where the system's own daemon listens.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];
/// A datagram that is longer than the system lets it be (EMSGSIZE).
const TOO_LONG: i32 = if cfg!(target_os = "linux") { 90 } else { 40 };

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// One after the other, each with its length before it (RFC 6587, octet counting).
    Tcp,
    /// A datagram each; what gets lost on the way nobody knows. A message of more than 65,507 bytes is refused.
    Udp,
    /// To a daemon on this machine, at the path of a Unix socket: a line each.
    Unix,
    /// The same, a datagram each. What the system finds too long is refused (Linux: some 200 KiB).
    UnixDatagram,
    /// To this machine's daemon at one of its usual places, `/dev/log` above all, as datagrams or as lines. An address
    /// that is a path is another place to look at; any other is of no meaning.
    Local,
}

impl Transport {
    /// Whether the daemon is on this machine. Those of today read RFC 5424 from other machines only.
    fn is_local(self) -> bool {
        matches!(self, Self::Unix | Self::UnixDatagram | Self::Local)
    }
}

/// Where messages go.
#[derive(Debug, Clone)]
pub struct SyslogOptions {
    /// How.
    pub transport: Transport,
    /// Host and port, as `syslog:514`, or the path of a Unix socket.
    pub address: String,
    /// The name of the application (APP-NAME); `kube-events` where it is empty.
    pub tag: String,
    /// The name of the machine (HOSTNAME); where it is empty, what the system says. Local daemons aren't told.
    pub hostname: String,
    /// What of an event is the message.
    pub body: Body,
}

impl SyslogOptions {
    /// There, with the defaults.
    pub fn new(transport: Transport, address: impl Into<String>) -> Self {
        Self { transport, address: address.into(), tag: String::new(), hostname: String::new(), body: Body::default() }
    }
}

/// Sends each event as a message of RFC 5424, facility local0: severity warning or informational, the event's time, its
/// reason as MSGID. To a daemon on the same machine, it is in the form that these read, `<PRI>May  1 10:00:00 TAG[PID]:`,
/// in UTC.
///
/// Nobody answers in syslog: a batch is acknowledged when it is written to the connection. What was under way when that
/// breaks is lost, unless the system has told before the next batch.
///
/// ```
/// use kube_events::sink::Syslog;
/// use kube_events::sink::syslog::{SyslogOptions, Transport};
///
/// let sink = Syslog::new(SyslogOptions { tag: "events".to_owned(), ..SyslogOptions::new(Transport::Tcp, "log:514") });
/// ```
pub struct Syslog {
    options: SyslogOptions,
    /// `HOSTNAME APP-NAME`; `TAG[PID]` where the daemon is local.
    sender: String,
    connection: Mutex<Option<Connection>>,
}

enum Connection {
    Tcp(TcpStream),
    Udp(UdpSocket),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(unix)]
    UnixDatagram(UnixDatagram),
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Syslog {
    /// Connects with the first batch.
    pub fn new(options: SyslogOptions) -> Self {
        let hostname = if options.hostname.is_empty() { system_hostname() } else { options.hostname.clone() };
        let tag = if options.tag.is_empty() { env!("CARGO_PKG_NAME") } else { options.tag.as_str() };
        let sender = if options.transport.is_local() {
            format!("{}[{}]", word(tag, 48), std::process::id())
        } else {
            format!("{} {}", word(&hostname, 255), word(tag, 48))
        };
        Self { options, sender, connection: Mutex::default() }
    }

    async fn send(&self, batch: &[Record]) -> Result<Delivery, DeliveryError> {
        let mut place = self.connection.lock().await;
        // It is put back when all is written: one that was left in the middle of a message is of no use.
        let kept = place.take().filter(Connection::is_open);
        let failed = |error: io::Error| {
            DeliveryError::again(match self.options.address.as_str() {
                "" => error.to_string(),
                address => format!("{address}: {error}"),
            })
        };
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await.map_err(failed)?,
        };
        let delivery = match &mut connection {
            Connection::Tcp(stream) => {
                let mut frames = Vec::with_capacity(batch.iter().map(|record| record.body.len() + 8).sum());
                for record in batch {
                    frames.extend_from_slice(format!("{} ", record.body.len()).as_bytes());
                    frames.extend_from_slice(&record.body);
                }
                stream.write_all(&frames).await.map_err(failed)?;
                Delivery::default()
            }
            Connection::Udp(socket) => datagrams(&Datagrams::Udp(socket), batch).await.map_err(failed)?,
            #[cfg(unix)]
            Connection::Unix(stream) => {
                stream.write_all(&super::stdout::lines(batch)).await.map_err(failed)?;
                Delivery::default()
            }
            #[cfg(unix)]
            Connection::UnixDatagram(socket) => datagrams(&Datagrams::Unix(socket), batch).await.map_err(failed)?,
        };
        *place = Some(connection);
        Ok(delivery)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let address = self.options.address.as_str();
        match self.options.transport {
            Transport::Tcp => TcpStream::connect(address).await.map(Connection::Tcp),
            Transport::Udp => {
                let Some(to) = lookup_host(address).await?.next() else {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
                };
                let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
                socket.connect(to).await?;
                Ok(Connection::Udp(socket))
            }
            #[cfg(unix)]
            Transport::Unix => UnixStream::connect(address).await.map(Connection::Unix),
            #[cfg(unix)]
            Transport::UnixDatagram => datagram_to(address),
            #[cfg(unix)]
            Transport::Local => local(address).await,
            #[cfg(not(unix))]
            Transport::Unix | Transport::UnixDatagram | Transport::Local => {
                Err(io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets here: use tcp"))
            }
        }
    }
}

#[cfg(unix)]
async fn local(address: &str) -> io::Result<Connection> {
    let places = if address.starts_with('/') { vec![address] } else { LOCAL.to_vec() };
    for place in &places {
        if let Ok(connection) = datagram_to(place) {
            return Ok(connection);
        }
        if let Ok(stream) = UnixStream::connect(place).await {
            return Ok(Connection::Unix(stream));
        }
    }
    let hint = "let the process see the machine's, or give a network and an address";
    let problem = format!("no daemon listens at {}: {hint}", places.join(", "));
    Err(io::Error::new(io::ErrorKind::NotFound, problem))
}

#[cfg(unix)]
fn datagram_to(path: &str) -> io::Result<Connection> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(Connection::UnixDatagram(socket))
}

impl Connection {
    /// Whether the far side has not hung up, as far as is known.
    fn is_open(&self) -> bool {
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut [0; 256]),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_read(&mut [0; 256]),
            #[cfg(unix)]
            Self::UnixDatagram(_) => return true,
            Self::Udp(_) => return true,
        };
        // Whatever it says is of no meaning; an end is.
        match read {
            Ok(count) => count > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

enum Datagrams<'a> {
    Udp(&'a UdpSocket),
    #[cfg(unix)]
    Unix(&'a UnixDatagram),
}

impl Datagrams<'_> {
    async fn send(&self, body: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(_) if body.len() > MAX_DATAGRAM => Err(io::Error::from_raw_os_error(TOO_LONG)),
            Self::Udp(socket) => socket.send(body).await,
            #[cfg(unix)]
            Self::Unix(socket) => socket.send(body).await,
        }
    }
}

async fn datagrams(socket: &Datagrams<'_>, batch: &[Record]) -> io::Result<Delivery> {
    let mut delivery = Delivery::default();
    for (index, record) in batch.iter().enumerate() {
        match socket.send(&record.body).await {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(TOO_LONG) => {
                let reason = format!("{} bytes are too many for a datagram: use a stream", record.body.len());
                delivery.refused.push(Refused { index, reason });
            }
            Err(error) if index == 0 => return Err(error),
            Err(_) => {
                delivery.again = (index..batch.len()).collect();
                break;
            }
        }
    }
    Ok(delivery)
}

fn system_hostname() -> String {
    let named = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    named.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok()).unwrap_or_default()
}

/// A field of the header: printable ASCII without blanks, so many at most, `-` for none.
fn word(text: &str, most: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

impl Sink for Syslog {
    fn kind(&self) -> &'static str {
        "syslog"
    }

    fn encode(&self, event: &EnhancedEvent) -> Result<Record, EncodeError> {
        let severity = if event.event.type_ == "Warning" { 4 } else { 6 };
        let priority = FACILITY * 8 + severity;
        let mut message = if self.options.transport.is_local() {
            let time = event.timestamp().unwrap_or_else(Timestamp::now).strftime("%b %e %H:%M:%S");
            format!("<{priority}>{time} {}: ", self.sender).into_bytes()
        } else {
            let time = event.timestamp().map_or_else(|| "-".to_owned(), crate::event::micros);
            let id = word(&event.event.reason, 32);
            format!("<{priority}>1 {time} {} - {id} - ", self.sender).into_bytes()
        };
        message.extend_from_slice(&self.options.body.encode(event)?);
        Ok(Record::new(event, message))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        self.send(batch).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        async {
            let ended = match self.connection.lock().await.take() {
                Some(Connection::Tcp(mut stream)) => stream.shutdown().await,
                #[cfg(unix)]
                Some(Connection::Unix(mut stream)) => stream.shutdown().await,
                _ => Ok(()),
            };
            ended.map_err(DeliveryError::again)
        }
        .boxed()
    }
}
