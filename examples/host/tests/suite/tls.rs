//! Web configurations → connections: certificates, client certificates, passwords, headers, and reloads of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use example_host::server::{Timeouts, listen, serve_with};
use example_host::tls::Web;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// Only a hang gets there.
const PATIENCE: Duration = Duration::from_mins(1);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key, as PEM.
fn certificate(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        fs::write(folder.join(name), text).unwrap();
    }
}

async fn start(web: &Arc<Web>) -> SocketAddr {
    let listener = listen("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/metrics", get(async || "samples"));
    tokio::spawn(serve_with(listener, app, Timeouts::default(), Some(web.clone()), CancellationToken::new()));
    address
}

fn client(authority: &Authority, own: Option<&(String, String)>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    TlsConnector::from(Arc::new(config))
}

/// What is answered to a request; an error where the server or we don't trust the other.
async fn ask(client: &TlsConnector, address: SocketAddr, headers: &str) -> std::io::Result<String> {
    let asked = async {
        let stream = TcpStream::connect(address).await?;
        let mut stream = client.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        request(&mut stream, headers).await
    };
    timeout(PATIENCE, asked).await.expect("it answers or refuses")
}

async fn request(stream: &mut TlsStream<TcpStream>, headers: &str) -> std::io::Result<String> {
    let request = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn a_certificate_is_shown_and_a_new_one_after_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (authority("old"), authority("new"));
    let (cert, key) = certificate(&old, "localhost");
    let config = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n  min_version: TLS13\n";
    write(folder.path(), &[("web.yaml", config), ("tls.crt", &cert), ("tls.key", &key)]);
    let web = Arc::new(Web::load(&folder.path().join("web.yaml")).unwrap());
    assert_eq!(web.files().len(), 3);
    let address = start(&web).await;
    assert!(ask(&client(&old, None), address, "").await.unwrap().ends_with("samples"));
    assert!(ask(&client(&new, None), address, "").await.is_err(), "nobody trusts just any certificate");

    // A key that does not fit changes nothing.
    let (cert, key) = certificate(&new, "localhost");
    write(folder.path(), &[("tls.crt", &cert)]);
    assert!(web.reload().unwrap_err().to_string().contains("tls_server_config: "));
    assert!(ask(&client(&old, None), address, "").await.is_ok());

    let stream = TcpStream::connect(address).await.unwrap();
    let mut open = client(&old, None).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    assert_eq!(open.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    write(folder.path(), &[("tls.key", &key)]);
    web.reload().unwrap();
    assert!(ask(&client(&new, None), address, "").await.unwrap().ends_with("samples"));
    assert!(request(&mut open, "").await.unwrap().ends_with("samples"), "an open connection goes on");
}

#[tokio::test]
async fn a_client_shows_the_certificate_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (authority("servers"), authority("clients"));
    let (cert, key) = certificate(&servers, "localhost");
    let config = |auth: &str| {
        format!(
            "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n  client_ca_file: ca.crt\n  \
             client_auth_type: {auth}\n"
        )
    };
    let required = config("RequireAndVerifyClientCert");
    write(folder.path(), &[("web.yaml", &required), ("tls.crt", &cert), ("tls.key", &key), ("ca.crt", &clients.pem())]);
    let web = Arc::new(Web::load(&folder.path().join("web.yaml")).unwrap());
    let address = start(&web).await;
    let (known, stranger) = (certificate(&clients, "prometheus"), certificate(&servers, "prometheus"));
    assert!(ask(&client(&servers, Some(&known)), address, "").await.unwrap().ends_with("samples"));
    assert!(ask(&client(&servers, Some(&stranger)), address, "").await.is_err());
    assert!(ask(&client(&servers, None), address, "").await.is_err());
    write(folder.path(), &[("web.yaml", &config("VerifyClientCertIfGiven"))]);
    web.reload().unwrap();
    assert!(ask(&client(&servers, None), address, "").await.unwrap().ends_with("samples"));
    assert!(ask(&client(&servers, Some(&stranger)), address, "").await.is_err());
}

#[tokio::test]
async fn passwords_keep_others_out_and_headers_are_added() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority("any");
    let (cert, key) = certificate(&authority, "localhost");
    let hash = bcrypt::hash("secret", 4).unwrap();
    let config = format!(
        "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\nbasic_auth_users:\n  prometheus: {hash}\n\
         http_server_config:\n  http2: true\n  headers:\n    X-Frame-Options: DENY\n"
    );
    write(folder.path(), &[("web.yaml", &config), ("tls.crt", &cert), ("tls.key", &key)]);
    let web = Arc::new(Web::load(&folder.path().join("web.yaml")).unwrap());
    let address = start(&web).await;
    let ask = async |headers: &str| ask(&client(&authority, None), address, headers).await.unwrap();
    // prometheus:secret, and then with other words.
    for _ in 0..2 {
        let answer = ask("authorization: Basic cHJvbWV0aGV1czpzZWNyZXQ=\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-frame-options: DENY\r\n"), "{answer}");
    }
    for wrong in
        ["", "authorization: Basic cHJvbWV0aGV1czpmYWxzZQ==\r\n", "authorization: Basic bm9ib2R5OnNlY3JldA==\r\n"]
    {
        let answer = ask(wrong).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("www-authenticate: Basic\r\n"), "{answer}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(&authority("any"), "localhost");
    write(folder.path(), &[("tls.crt", &cert), ("tls.key", &key), ("empty", "")]);
    let files = "tls_server_config:\n  cert_file: tls.crt\n  key_file: tls.key\n";
    for (config, told) in [
        ("tls_server_config:\n  cert_file: tls.crt\n".to_owned(), "web.yaml:2:3: tls_server_config needs key_file"),
        (format!("{files}  cert: x\n"), "cert and cert_file exclude each other"),
        (format!("{files}  colour: red\n"), "web.yaml:4:3: "),
        (format!("{files}  min_version: TLS10\n"), "web.yaml:4:16: min_version: \"TLS10\" is not spoken"),
        (format!("{files}  min_version: TLS13\n  max_version: TLS12\n"), "max_version is below min_version"),
        (format!("{files}  client_auth_type: Maybe\n"), "web.yaml:4:21: client_auth_type: there is no \"Maybe\""),
        (format!("{files}  client_auth_type: RequireAnyClientCert\n"), "keeps nobody out"),
        (format!("{files}  client_auth_type: RequireAndVerifyClientCert\n"), "needs client_ca_file"),
        (format!("{files}  client_ca_file: tls.crt\n"), "client_ca_file says nothing without client_auth_type"),
        (format!("{files}  client_allowed_sans: [a]\n"), "client_allowed_sans is not supported"),
        (format!("{files}  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n"), "\"TLS_RSA_WITH_RC4_128_SHA\" is not spoken"),
        (format!("{files}  curve_preferences: [CurveP521]\n"), "\"CurveP521\" is not spoken"),
        (files.replace("tls.key", "none"), "none: key_file: it can't be read"),
        (files.replace("tls.key", "empty"), "empty: key_file: no private key in PEM"),
        (files.replace("tls.crt", "tls.key"), "tls.key: cert_file: no certificate in PEM"),
        ("http_server_config:\n  headers:\n    Server: x\n".to_owned(), "headers: \"Server\" can't be set"),
        ("[".to_owned(), "web.yaml:"),
    ] {
        write(folder.path(), &[("web.yaml", &config)]);
        let error = Web::load(&folder.path().join("web.yaml")).unwrap_err().to_string();
        assert!(error.contains(told), "{config}: {error}");
        assert!(!error.contains("PRIVATE KEY"), "{error}");
    }
    let every = format!(
        "{files}  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n  curve_preferences: [X25519, CurveP256]\n  \
         max_version: TLS12\n  prefer_server_cipher_suites: true\n"
    );
    write(folder.path(), &[("web.yaml", &every)]);
    assert!(Web::load(&folder.path().join("web.yaml")).unwrap().is_tls());
    write(folder.path(), &[("web.yaml", "# nothing\n")]);
    assert!(!Web::load(&folder.path().join("web.yaml")).unwrap().is_tls());
}
