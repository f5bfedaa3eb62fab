//! What a kubelet answers, and how slowly.

use std::time::Duration;

use kubelet_summary::fetch::{AddressType, Direct, DirectBuilder, FetchError, Fetcher, Peer, Phase, Token, Trust};
use kubelet_summary::{NodeTarget, Parts, SummaryCache};

use super::kubelet::{Authority, DOCUMENT, Kubelet, Reply, bytes, gzip, reply};

/// A kubelet with a certificate that is trusted, and a fetcher that trusts it.
async fn kubelet(replies: Vec<Reply>) -> (Kubelet, DirectBuilder) {
    let authority = Authority::new();
    let kubelet = Kubelet::start("127.0.0.1", Some(authority.acceptor(&["127.0.0.1"])), replies).await.unwrap();
    let direct = Direct::builder().trust(Trust::Pem(authority.pem())).token(Token::Fixed("s3cret".into()));
    (kubelet, direct)
}

async fn failure(reply: Reply, change: impl FnOnce(DirectBuilder) -> DirectBuilder) -> FetchError {
    let (kubelet, direct) = kubelet(vec![reply]).await;
    let error = change(direct).build().unwrap().fetch(&kubelet.node()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    error
}

#[tokio::test]
async fn a_summary_comes_with_the_token_and_nothing_else() {
    let (kubelet, direct) = kubelet(vec![reply(200, "content-type: application/json\r\n", DOCUMENT)]).await;
    let direct = direct.build().unwrap();
    let summary = direct.fetch(&kubelet.node()).await.unwrap();
    assert_eq!((summary.node.node_name.as_str(), summary.pods.len()), ("node-1", 1));
    let request = &kubelet.requests()[0];
    for want in ["get /stats/summary http/1.1\r\n", "authorization: bearer s3cret\r\n", "accept: application/json\r\n"]
    {
        assert!(request.contains(want), "{request}");
    }
    assert!(!format!("{direct:?}").contains("s3cret"));
}

#[tokio::test]
async fn the_light_form_and_parts_are_asked_for() {
    let (kubelet, direct) = kubelet(vec![reply(200, "", DOCUMENT)]).await;
    let direct = direct.only_cpu_and_memory(true).parts(Parts::NONE).build().unwrap();
    let summary = direct.fetch(&kubelet.node()).await.unwrap();
    assert!(kubelet.requests()[0].starts_with("get /stats/summary?only_cpu_and_memory=true http/1.1\r\n"));
    assert_eq!(summary.node.cpu.usage_core_nano_seconds.get(), None);
}

#[tokio::test]
async fn statuses_say_what_to_change() {
    for (status, headers, body, wants) in [
        (401, "", "Unauthorized", "authentication.webhook.enabled"),
        (403, "", "Forbidden (user=system:serviceaccount:a:b)", "grant `get` on `nodes/stats`"),
        (404, "", "404 page not found", "port are a kubelet's"),
        (500, "", "Internal Error: failed to list pods", "failed to list pods"),
        (429, "retry-after: 7\r\n", "too many", "ask again in 7s"),
        (429, "retry-after: soon\r\n", "too many", "too many requests; ask less often"),
        (302, "location: https://127.0.0.1:1/\r\n", "", "answered 302"),
        (400, "", "Client sent an HTTP request to an HTTPS server.", "answered 400"),
    ] {
        let error = failure(reply(status, headers, body), |direct| direct).await;
        assert!(error.to_string().contains(wants) && error.to_string().contains(body), "{error}");
        let kind = match status {
            401 => matches!(error, FetchError::Unauthorized { by: Peer::Kubelet, .. }),
            403 => matches!(error, FetchError::Forbidden { by: Peer::Kubelet, .. }),
            404 => matches!(error, FetchError::NotFound { by: Peer::Kubelet, .. }),
            429 => matches!(error, FetchError::Throttled { by: Peer::Kubelet, .. }),
            500 => matches!(error, FetchError::Server { status: 500, .. }),
            _ => matches!(error, FetchError::Status { .. }),
        };
        assert!(kind, "{error:?}");
    }
    let error = failure(reply(500, "", vec![b'x'; 1 << 20]), |direct| direct).await;
    assert!(error.to_string().len() < 500, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_made_is_told_whatever_the_deadlines_are() {
    // The handshake never comes to an end.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = NodeTarget::new("node-1").address(AddressType::InternalIp, "127.0.0.1");
    let node = node.port(listener.local_addr().unwrap().port());
    let seconds = Duration::from_secs;
    for (deadline, connect, after) in
        [(10, None, seconds(5)), (2, None, seconds(1)), (20, Some(3), seconds(3)), (10, Some(10), seconds(9))]
    {
        let direct = Direct::builder().trust(Trust::Insecure).token(Token::None).deadline(seconds(deadline));
        let direct = match connect {
            Some(connect) => direct.connect_deadline(seconds(connect)),
            None => direct,
        };
        let error = direct.build().unwrap().fetch(&node).await.unwrap_err();
        let FetchError::Timeout { after: told, phase } = error else { panic!("{error}") };
        assert_eq!((told, phase), (after, Phase::Connect), "{deadline} s");
    }
}

#[tokio::test]
async fn a_failure_that_passes_is_over_at_the_next_attempt() {
    let (kubelet, direct) = kubelet(vec![reply(500, "", "starting"), reply(200, "", DOCUMENT)]).await;
    let cache = SummaryCache::builder(direct.build().unwrap()).ttl(Duration::ZERO).build();
    assert!(cache.get(&kubelet.node()).await.is_missing());
    let outcome = cache.get(&kubelet.node()).await;
    assert_eq!(outcome.summary().unwrap().pods.len(), 1);
    assert_eq!(kubelet.requests().len(), 2);
}

/// Time stands still while bytes move, and steps to the next deadline where none do: no machine is too slow for it.
#[tokio::test(start_paused = true)]
async fn slow_kubelets_have_until_the_deadline() {
    let soon = Reply::Late(Duration::from_millis(9_999), bytes(200, "", DOCUMENT));
    let (kubelet, direct) = kubelet(vec![soon]).await;
    assert!(direct.build().unwrap().fetch(&kubelet.node()).await.is_ok());
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec();
    for (reply, phase) in [(Reply::Stuck(Vec::new()), Phase::Answer), (Reply::Stuck(head), Phase::Body)] {
        let error = failure(reply, |direct| direct.deadline(Duration::from_millis(300))).await;
        let FetchError::Timeout { after, phase: told } = error else { panic!("{error:?}") };
        assert_eq!((after, told), (Duration::from_millis(300), phase));
    }
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_told_from_no_answer() {
    let (kubelet, direct) = kubelet(vec![reply(200, "", DOCUMENT)]).await;
    let node = kubelet.node();
    kubelet.stop().await;
    let error = direct.clone().build().unwrap().fetch(&node).await.unwrap_err();
    assert!(matches!(error, FetchError::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{}", node.port)) && error.to_string().contains("refused"));
    // One that takes connections, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = node.port(silent.local_addr().unwrap().port());
    let direct = direct.connect_deadline(Duration::from_millis(100)).build().unwrap();
    let error = direct.fetch(&node).await.unwrap_err();
    assert!(matches!(error, FetchError::Timeout { phase: Phase::Connect, .. }), "{error:?}");
}

#[tokio::test]
async fn bodies_that_break_off_or_are_none() {
    let whole = bytes(200, "", DOCUMENT);
    let cut = whole[..whole.len() - 40].to_vec();
    let error = failure(Reply::Bytes(cut), |direct| direct).await;
    assert!(matches!(error, FetchError::Broken { .. }), "{error:?}");
    let error = failure(reply(200, "", &DOCUMENT[..DOCUMENT.len() - 40]), |direct| direct).await;
    assert!(matches!(error, FetchError::Malformed { .. }) && error.to_string().contains("ends early"), "{error}");
    for body in ["<html>welcome</html>", "{}", "[]", ""] {
        let error = failure(reply(200, "", body), |direct| direct).await;
        assert!(matches!(error, FetchError::Malformed { .. }), "{body}: {error:?}");
    }
    let error = failure(reply(200, "content-encoding: gzip\r\n", DOCUMENT), |direct| direct).await;
    assert!(matches!(error, FetchError::Broken { .. }), "{error:?}");
    let error = failure(reply(200, "content-encoding: br\r\n", DOCUMENT), |direct| direct).await;
    assert!(matches!(error, FetchError::Malformed { .. }) && error.to_string().contains("encoded as"), "{error}");
}

#[tokio::test]
async fn documents_are_bounded_while_they_are_read() {
    let limit = DOCUMENT.len();
    let (kubelet, direct) = kubelet(vec![reply(200, "", DOCUMENT)]).await;
    assert!(direct.clone().max_bytes(limit).build().unwrap().fetch(&kubelet.node()).await.is_ok());
    // By what the header says, before anything is read.
    let error = direct.max_bytes(limit - 1).build().unwrap().fetch(&kubelet.node()).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: told } if told == limit - 1), "{error:?}");
    let huge = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n".to_vec();
    assert!(matches!(failure(Reply::Stuck(huge), |direct| direct).await, FetchError::TooLarge { .. }));
    // Without a length.
    let (kubelet, direct) = self::kubelet(vec![Reply::Endless]).await;
    let error = direct.max_bytes(1 << 20).build().unwrap().fetch(&kubelet.node()).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
    assert!(kubelet.written() < 32 << 20, "{} bytes are in buffers on the way", kubelet.written());
}

#[tokio::test]
async fn compressed_documents_are_bounded_by_what_they_unfold_to() {
    let (kubelet, direct) = kubelet(vec![reply(200, "content-encoding: gzip\r\n", gzip(DOCUMENT.as_bytes()))]).await;
    let summary = direct.build().unwrap().fetch(&kubelet.node()).await.unwrap();
    assert_eq!(summary.pods.len(), 1);
    assert!(kubelet.requests()[0].contains("accept-encoding: gzip"), "{:?}", kubelet.requests());
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    let bomb = reply(200, "content-encoding: gzip\r\n", bomb);
    let error = failure(bomb, |direct| direct.max_bytes(1 << 20)).await;
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_that_rotates_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let (kubelet, direct) = kubelet(vec![reply(200, "", DOCUMENT)]).await;
    let direct = direct.token(Token::File(file.clone())).build().unwrap();
    for token in ["first", "second"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        direct.fetch(&kubelet.node()).await.unwrap();
        let request = kubelet.requests().pop().unwrap();
        assert!(request.contains(&format!("authorization: bearer {token}\r\n")), "{request}");
    }
    std::fs::remove_file(&file).unwrap();
    let error = direct.fetch(&kubelet.node()).await.unwrap_err();
    assert!(matches!(error, FetchError::Token { .. }), "{error:?}");
    assert_eq!(kubelet.requests().len(), 2, "nothing is sent without a token");
}

#[tokio::test]
async fn the_read_only_port_is_asked_without_a_token() {
    let kubelet = Kubelet::start("127.0.0.1", None, vec![reply(200, "", DOCUMENT)]).await.unwrap();
    // The read-only port of loopback may be taken: the stub's own, by the same way.
    let direct = Direct::builder().read_only_port().port(kubelet.address.port()).build().unwrap();
    assert!(direct.fetch(&kubelet.node()).await.is_ok());
    assert!(!kubelet.requests()[0].contains("authorization"), "{:?}", kubelet.requests());
}

#[tokio::test]
async fn a_node_without_a_usable_address_is_not_asked() {
    let direct = Direct::builder().trust(Trust::Insecure).token(Token::Fixed("s3cret".into())).build().unwrap();
    let error = direct.fetch(&NodeTarget::new("n")).await.unwrap_err();
    assert!(matches!(error, FetchError::NoAddress { .. }), "{error:?}");
    let elsewhere = NodeTarget::new("n").address(AddressType::InternalIp, "evil.example/?");
    let error = direct.fetch(&elsewhere).await.unwrap_err();
    assert!(matches!(error, FetchError::BadAddress { .. }), "{error:?}");
}
