//! A connection to a broker: TCP, perhaps TLS, perhaps a name and a password, and then one request after the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiVersionsRequest, ProduceRequest, RequestHeader, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request, StrBytes};
use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient};
use rustls::pki_types::ServerName;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

use super::answer::{self, Unreadable};
use super::{Mechanism, Sasl};
use crate::sink::excerpt::excerpt;

/// The longest answer that is read. Those that are asked for have some hundred bytes for each partition.
const MAX_ANSWER: usize = 16 << 20;
/// Of what the sink speaks, the oldest and the newest version of `Produce`: with batches of records, without tagged
/// fields.
const PRODUCE: (i16, i16) = (3, 8);
/// The first version of `Produce` that takes zstd.
const PRODUCE_ZSTD: i16 = 7;

/// Why a broker can't be spoken with. It comes again: most of this is mended on the other side.
#[derive(Debug, Error)]
pub(super) enum Error {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("it closed the connection: does it speak TLS and SASL as the options say?")]
    Closed,
    #[error("a request can't be encoded: {0}")]
    Encode(String),
    #[error("this version of Kafka is not spoken: from 0.11 on they are, with zstd from 2.1 on")]
    Version,
    #[error("{0}")]
    Code(ResponseError),
    #[error("it knows the mechanisms {}: give one of them as `sasl.mechanism`", .0.join(", "))]
    Mechanism(Vec<String>),
    #[error("the name or the password is not taken: {0}: check `sasl`")]
    Denied(String),
}

fn check(code: i16) -> Result<(), Error> {
    ResponseError::try_from_code(code).map_or(Ok(()), |error| Err(Error::Code(error)))
}

/// How brokers are connected to.
pub(super) struct Dialer {
    pub(super) client_id: StrBytes,
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) sasl: Option<Sasl>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Usable as long as each exchange is waited for: one that was dropped in the middle leaves it out of step.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    client_id: StrBytes,
    last_id: i32,
    /// The version of `Produce`.
    pub(super) produce: i16,
    /// The broker wants to be left alone so long: the clients' quota is used up.
    quiet_until: Instant,
}

impl Dialer {
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<Connection, Error> {
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
                Box::new(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?)
            }
        };
        let mut connection = Connection {
            stream,
            client_id: self.client_id.clone(),
            last_id: 0,
            produce: 0,
            quiet_until: Instant::now(),
        };
        let (code, versions) = answer::api_versions(&connection.ask(&ApiVersionsRequest::default(), 0).await?)?;
        check(code)?;
        let known = versions.iter().find(|versions| versions.key == ProduceRequest::KEY).ok_or(Error::Version)?;
        connection.produce = known.most.min(PRODUCE.1);
        if connection.produce < known.least.max(PRODUCE.0) {
            return Err(Error::Version);
        }
        if let Some(sasl) = &self.sasl {
            connection.authenticate(sasl).await?;
        }
        Ok(connection)
    }
}

impl Connection {
    pub(super) fn takes_zstd(&self) -> bool {
        self.produce >= PRODUCE_ZSTD
    }

    async fn authenticate(&mut self, sasl: &Sasl) -> Result<(), Error> {
        let name = match sasl.mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from(name));
        let (code, mechanisms) = answer::sasl_handshake(&self.ask(&handshake, 1).await?)?;
        if code != 0 {
            return Err(Error::Mechanism(mechanisms));
        }
        let denied = |error: &dyn std::fmt::Display| Error::Denied(error.to_string());
        let password = sasl.password.expose_secret().to_owned();
        let config = SASLConfig::with_credentials(None, sasl.username.clone(), password);
        let mechanism = Mechname::parse(name.as_bytes()).map_err(|error| denied(&error))?;
        let client = SASLClient::new(config.map_err(|error| denied(&error))?);
        let mut session = client.start_suggested(&[mechanism]).map_err(|error| denied(&error))?;
        let mut said: Option<Vec<u8>> = None;
        loop {
            let mut ours = Vec::new();
            let state = session.step(said.as_deref(), &mut ours).map_err(|error| denied(&error))?;
            if state.has_sent_message() {
                let request = SaslAuthenticateRequest::default().with_auth_bytes(ours.into());
                let (code, why, theirs) = answer::sasl_authenticate(&self.ask(&request, 0).await?)?;
                if let Some(error) = ResponseError::try_from_code(code) {
                    return Err(if why.is_empty() { denied(&error) } else { denied(&excerpt(&why)) });
                }
                said = Some(theirs);
            }
            if state.is_finished() {
                return Ok(());
            }
        }
    }

    /// Sends a request, and waits for its answer.
    pub(super) async fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<Vec<u8>, Error> {
        sleep_until(self.quiet_until).await;
        self.last_id = self.last_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.last_id)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::zeroed(4);
        let encoded = header
            .encode(&mut frame, <R as HeaderVersion>::header_version(version))
            .and_then(|()| request.encode(&mut frame, version));
        encoded.map_err(|error| Error::Encode(error.to_string()))?;
        let length = u32::try_from(frame.len() - 4).map_err(|error| Error::Encode(error.to_string()))?;
        if let Some(place) = frame.first_chunk_mut() {
            *place = length.to_be_bytes();
        }
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Vec<u8>, Error> {
        let closed = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Closed,
            _ => Error::Io(error),
        };
        let length = self.stream.read_u32().await.map_err(closed)? as usize;
        if !(4..=MAX_ANSWER).contains(&length) {
            return Err(Unreadable.into());
        }
        if self.stream.read_i32().await.map_err(closed)? != self.last_id {
            return Err(Unreadable.into());
        }
        let mut answer = vec![0; length - 4];
        self.stream.read_exact(&mut answer).await.map_err(closed)?;
        Ok(answer)
    }

    /// The next request waits so long.
    pub(super) fn be_quiet(&mut self, milliseconds: u64) {
        // Longer than any window of quotas is: nonsense.
        self.quiet_until = Instant::now() + Duration::from_millis(milliseconds.min(60_000));
    }
}
