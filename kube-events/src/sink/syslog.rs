//! Messages for syslog.

use std::fmt;
use std::io;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::sync::Mutex;

use super::{Body, Delivery, DeliveryError, EncodeError, Record, Refused, Sink};
use crate::event::EnhancedEvent;

/// The facility local0.
const FACILITY: u8 = 16;
/// The longest datagram of IPv4, without its headers.
const MAX_DATAGRAM: usize = 65_507;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One after the other, each with its length before it (RFC 6587, octet counting).
    Tcp,
    /// A datagram each; what gets lost on the way nobody knows. A message of more than 65,507 bytes is refused.
    Udp,
}

/// Where messages go.
#[derive(Debug, Clone)]
pub struct SyslogOptions {
    /// How.
    pub transport: Transport,
    /// Host and port: `syslog:514`.
    pub address: String,
    /// The name of the application (APP-NAME); `kube-events` where it is empty.
    pub tag: String,
    /// The name of the machine (HOSTNAME); where it is empty, what the system says.
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
/// reason as MSGID.
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
    /// `HOSTNAME APP-NAME`.
    sender: String,
    connection: Mutex<Option<Connection>>,
}

enum Connection {
    Tcp(TcpStream),
    Udp(UdpSocket),
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
        let sender = format!("{} {}", word(&hostname, 255), word(tag, 48));
        Self { options, sender, connection: Mutex::default() }
    }

    async fn send(&self, batch: &[Record]) -> Result<Delivery, DeliveryError> {
        let mut place = self.connection.lock().await;
        // It is put back when all is written: one that was left in the middle of a message is of no use.
        let kept = place.take().filter(Connection::is_open);
        let failed = |error: io::Error| DeliveryError::again(format!("{}: {error}", self.options.address));
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
            Connection::Udp(socket) => datagrams(socket, batch).await.map_err(failed)?,
        };
        *place = Some(connection);
        Ok(delivery)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let address = &self.options.address;
        if self.options.transport == Transport::Tcp {
            let stream = TcpStream::connect(address).await?;
            return Ok(Connection::Tcp(stream));
        }
        let Some(to) = lookup_host(address).await?.next() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
        };
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).await?;
        socket.connect(to).await?;
        Ok(Connection::Udp(socket))
    }
}

impl Connection {
    /// Whether the far side has not hung up, as far as is known.
    fn is_open(&self) -> bool {
        match self {
            Self::Udp(_) => true,
            // Whatever it says is of no meaning; an end is.
            Self::Tcp(stream) => match stream.try_read(&mut [0; 256]) {
                Ok(count) => count > 0,
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            },
        }
    }
}

async fn datagrams(socket: &UdpSocket, batch: &[Record]) -> io::Result<Delivery> {
    let mut delivery = Delivery::default();
    for (index, record) in batch.iter().enumerate() {
        if record.body.len() > MAX_DATAGRAM {
            let reason = format!("{} bytes are too many for a datagram: use tcp", record.body.len());
            delivery.refused.push(Refused { index, reason });
            continue;
        }
        match socket.send(&record.body).await {
            Ok(_) => {}
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
        let time = event.timestamp().map_or_else(|| "-".to_owned(), crate::event::micros);
        let id = word(&event.event.reason, 32);
        let mut message = format!("<{priority}>1 {time} {} - {id} - ", self.sender).into_bytes();
        message.extend_from_slice(&self.options.body.encode(event)?);
        Ok(Record::new(event, message))
    }

    fn deliver<'a>(&'a self, batch: &'a [Record]) -> BoxFuture<'a, Result<Delivery, DeliveryError>> {
        self.send(batch).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        async {
            if let Some(Connection::Tcp(mut stream)) = self.connection.lock().await.take() {
                stream.shutdown().await.map_err(DeliveryError::again)?;
            }
            Ok(())
        }
        .boxed()
    }
}
