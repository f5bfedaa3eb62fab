//! Certificates of kubelets, trusted and not.

use std::io::ErrorKind;
use std::time::Duration;

use kubelet_summary::NodeTarget;
use kubelet_summary::fetch::{
    AddressType, Direct, DirectBuilder, DirectError, FetchError, Fetcher, TlsProblem, Token, Trust,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;

use super::kubelet::{Authority, DOCUMENT, Kubelet, reply, self_signed};

async fn kubelet(tls: TlsAcceptor) -> Kubelet {
    Kubelet::start("127.0.0.1", Some(tls), vec![reply(200, "", DOCUMENT)]).await.unwrap()
}

fn direct(trust: Trust) -> DirectBuilder {
    Direct::builder().trust(trust).token(Token::Fixed("s3cret".into()))
}

async fn problem(tls: TlsAcceptor, direct: DirectBuilder) -> (TlsProblem, String) {
    let kubelet = kubelet(tls).await;
    let error = direct.build().unwrap().fetch(&kubelet.node()).await.unwrap_err();
    assert!(kubelet.requests().is_empty(), "the token went to one who is not trusted");
    let text = error.to_string();
    let FetchError::Tls { problem, to } = error else { panic!("{text}") };
    assert_eq!(to, format!("127.0.0.1:{}", kubelet.address.port()));
    (problem, text)
}

#[tokio::test]
async fn it_works_in_a_process_without_a_crypto_provider() {
    let authority = Authority::new();
    let kubelet = kubelet(authority.acceptor(&["127.0.0.1"])).await;
    assert!(CryptoProvider::get_default().is_none());
    let direct = direct(Trust::Pem(authority.pem())).build().unwrap();
    assert!(direct.fetch(&kubelet.node()).await.is_ok());
    assert!(CryptoProvider::get_default().is_none(), "and leaves the choice to the host");
}

#[tokio::test]
async fn unknown_authorities_are_named_with_the_option_that_helps() {
    let authority = Authority::new();
    for tls in [self_signed(&["127.0.0.1"]), Authority::new().acceptor(&["127.0.0.1"])] {
        let (problem, text) = problem(tls, direct(Trust::Pem(authority.pem()))).await;
        assert_eq!(problem, TlsProblem::UnknownAuthority);
        assert!(
            ["serverTLSBootstrap", "Trust::PemFile", "Trust::Insecure"].iter().all(|it| text.contains(it)),
            "{text}"
        );
    }
    let (problem, _) = problem(self_signed(&["127.0.0.1"]), direct(Trust::System)).await;
    assert_eq!(problem, TlsProblem::UnknownAuthority);
}

#[tokio::test]
async fn wrong_names_are_named_with_the_option_that_helps() {
    let authority = Authority::new();
    let trust = || direct(Trust::Pem(authority.pem()));
    for (names, presented) in [(&["node-1", "10.0.0.1"][..], &["node-1", "10.0.0.1"][..]), (&[], &[])] {
        let (problem, text) = problem(authority.acceptor(names), trust()).await;
        let TlsProblem::WrongName { presented: told } = problem else { panic!("{text}") };
        assert_eq!(told, presented);
        assert!(["verify_node_name", "address_types", "Trust::Insecure"].iter().all(|it| text.contains(it)), "{text}");
        assert_eq!(text.contains("no subject alternative names"), names.is_empty(), "{text}");
    }
}

#[tokio::test]
async fn a_certificate_may_be_checked_against_the_nodes_name() {
    let authority = Authority::new();
    let trust = || direct(Trust::Pem(authority.pem())).verify_node_name(true);
    let kubelet = kubelet(authority.acceptor(&["node-1"])).await;
    assert!(trust().build().unwrap().fetch(&kubelet.node()).await.is_ok());
    let (problem, text) = problem(authority.acceptor(&["node-2", "127.0.0.1"]), trust()).await;
    assert!(matches!(problem, TlsProblem::WrongName { .. }), "{text}");
}

#[tokio::test]
async fn times_of_certificates_are_checked() {
    let authority = Authority::new();
    let trust = || direct(Trust::Pem(authority.pem()));
    let names = &["127.0.0.1"];
    let (problem_then, _) = problem(authority.acceptor_between(names, 2000, 2001), trust()).await;
    let (problem_later, _) = problem(authority.acceptor_between(names, 3000, 3001), trust()).await;
    assert_eq!((problem_then, problem_later), (TlsProblem::Expired, TlsProblem::NotYetValid));
}

#[tokio::test]
async fn insecure_takes_anyone_and_only_by_choice() {
    for tls in [self_signed(&[]), Authority::new().acceptor_between(&["elsewhere"], 2000, 2001)] {
        let kubelet = kubelet(tls).await;
        assert!(direct(Trust::Insecure).build().unwrap().fetch(&kubelet.node()).await.is_ok());
    }
}

#[tokio::test]
async fn plain_http_is_no_tls() {
    let kubelet = Kubelet::start("127.0.0.1", None, vec![reply(200, "", DOCUMENT)]).await.unwrap();
    // The other side waits for the end of a request, which never comes.
    let direct = direct(Trust::Insecure).connect_deadline(Duration::from_millis(200)).build().unwrap();
    let error = direct.fetch(&kubelet.node()).await.unwrap_err();
    assert!(!matches!(error, FetchError::Malformed { .. }), "{error:?}");
    assert!(kubelet.requests().is_empty(), "the token is not sent in plain text");
}

#[tokio::test]
async fn authorities_that_change_in_their_file_are_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    let (old, new) = (Authority::new(), Authority::new());
    std::fs::write(&file, old.pem()).unwrap();
    let direct = direct(Trust::PemFile(file.clone())).build().unwrap();
    let (before, after) = (kubelet(old.acceptor(&["127.0.0.1"])).await, kubelet(new.acceptor(&["127.0.0.1"])).await);
    assert!(direct.fetch(&before.node()).await.is_ok());
    assert!(direct.fetch(&after.node()).await.is_err());
    // A file that is being written is no reason to trust nobody.
    std::fs::write(&file, "-----BEGIN").unwrap();
    assert!(direct.fetch(&after.node()).await.is_err() && direct.fetch(&before.node()).await.is_ok());
    std::fs::write(&file, [old.pem(), new.pem()].concat()).unwrap();
    assert!(direct.fetch(&after.node()).await.is_ok() && direct.fetch(&before.node()).await.is_ok());
}

#[tokio::test]
async fn all_requests_that_fail_by_an_old_authority_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    let (old, new) = (Authority::new(), Authority::new());
    std::fs::write(&file, old.pem()).unwrap();
    let direct = direct(Trust::PemFile(file.clone())).build().unwrap();
    std::fs::write(&file, new.pem()).unwrap();
    let mut kubelets = Vec::new();
    for _ in 0..8 {
        kubelets.push(kubelet(new.acceptor(&["127.0.0.1"])).await);
    }
    // All of them begin before the first has an answer.
    let nodes: Vec<_> = kubelets.iter().map(Kubelet::node).collect();
    let fetched = futures::future::join_all(nodes.iter().map(|node| direct.fetch(node))).await;
    let failed: Vec<_> = fetched.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn authorities_that_cannot_be_read_are_told_at_the_start() {
    let missing = Direct::builder().trust(Trust::PemFile("/nowhere/ca.crt".into())).build().unwrap_err();
    assert!(matches!(missing, DirectError::Authorities { .. }) && missing.to_string().contains("/nowhere/ca.crt"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    // Sound at its begin, and longer than is read.
    std::fs::write(&file, [Authority::new().pem(), "\n".repeat(4 << 20)].concat()).unwrap();
    let long = Direct::builder().trust(Trust::PemFile(file)).build().unwrap_err();
    assert!(long.to_string().contains("more than 4194304 bytes"), "{long}");
    let empty = Direct::builder().trust(Trust::Pem(String::new())).build().unwrap_err();
    assert!(matches!(empty, DirectError::Authorities { .. }), "{empty}");
}

#[tokio::test]
async fn ipv6_addresses_work_like_others() {
    let authority = Authority::new();
    let replies = vec![reply(200, "", DOCUMENT)];
    // On a machine without IPv6, how the address is written can still be seen: of a port where nobody listens.
    let nobody = NodeTarget::new("node-1").address(AddressType::InternalIp, "::1").port(1);
    let error = direct(Trust::Pem(authority.pem())).build().unwrap().fetch(&nobody).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }) && error.to_string().contains("[::1]:1"), "{error}");
    let kubelet = match Kubelet::start("::1", Some(authority.acceptor(&["::1", "node-1"])), replies).await {
        Ok(kubelet) => kubelet,
        Err(error) => {
            let lacks = matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
                || error.raw_os_error() == Some(97);
            assert!(lacks, "[::1] cannot be listened on: {error}");
            eprintln!("skipped: this machine has no IPv6 ({error}), so nobody can be asked by it");
            return;
        }
    };
    for by_name in [false, true] {
        let direct = direct(Trust::Pem(authority.pem())).verify_node_name(by_name).build().unwrap();
        assert!(direct.fetch(&kubelet.node()).await.is_ok());
    }
    let port = kubelet.address.port();
    let hosts: Vec<_> =
        kubelet.requests().iter().map(|request| request.contains(&format!("host: [::1]:{port}"))).collect();
    assert_eq!(hosts, [true, false]);
}

#[tokio::test]
async fn names_are_resolved_as_usual() {
    let authority = Authority::new();
    let kubelet = kubelet(authority.acceptor(&["localhost"])).await;
    let node = NodeTarget::new("node-1").address(AddressType::Hostname, "localhost").port(kubelet.address.port());
    assert!(direct(Trust::Pem(authority.pem())).build().unwrap().fetch(&node).await.is_ok());
}

#[tokio::test]
async fn the_nodes_name_is_checked_of_a_dns_address_too() {
    let authority = Authority::new();
    let trust = || direct(Trust::Pem(authority.pem())).verify_node_name(true).build().unwrap();
    let at = |kubelet: &Kubelet| {
        NodeTarget::new("node-1.invalid").address(AddressType::InternalDns, "localhost").port(kubelet.address.port())
    };
    let right = kubelet(authority.acceptor(&["node-1.invalid"])).await;
    assert!(trust().fetch(&at(&right)).await.is_ok());
    let wrong = kubelet(authority.acceptor(&["localhost"])).await;
    let error = trust().fetch(&at(&wrong)).await.unwrap_err();
    assert!(matches!(error, FetchError::Tls { problem: TlsProblem::WrongName { .. }, .. }), "{error}");
}
