//! Who may scrape, by the API server's word: TokenReview says who asks, SubjectAccessReview whether they may.
//!
//! Needs `create` on `tokenreviews.authentication.k8s.io` and `subjectaccessreviews.authorization.k8s.io`. Who is to
//! scrape needs a ClusterRole with `nonResourceURLs: ["/metrics"]`, `verbs: ["get"]`.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// How long a yes holds: a token that is revoked is good for this long.
const ADMITTED: Duration = Duration::from_mins(1);
/// How long a no holds: a right that is granted takes this long.
const REFUSED: Duration = Duration::from_secs(10);
/// Answers that are remembered. Beyond it, the oldest go.
const REMEMBERED: usize = 1024;
/// Reviews at a time: made-up tokens don't become a flood on the API server.
const AT_A_TIME: usize = 8;
/// How long the API server may take for one review.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the API server whether the bearer of a token may get a path.
pub struct AuthFilter {
    client: Client,
    answers: Mutex<HashMap<Question, (Verdict, Instant)>>,
    keys: (RandomState, RandomState),
    permits: Semaphore,
}

impl fmt::Debug for AuthFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFilter").field("remembered", &self.answers.lock().len()).finish_non_exhaustive()
    }
}

/// A token and a path, hashed by keys of this process: tokens are not kept.
type Question = (u64, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Admitted,
    /// Nobody knows the token.
    Unknown,
    /// Its bearer may not.
    Forbidden,
}

impl AuthFilter {
    /// A filter that asks by this client.
    pub fn new(client: Client) -> Arc<Self> {
        let keys = (RandomState::new(), RandomState::new());
        Arc::new(Self { client, answers: Mutex::default(), keys, permits: Semaphore::new(AT_A_TIME) })
    }

    /// As axum's middleware: answers 401 without a token that the API server knows, 403 where its bearer may not, 503
    /// where the API server does not say.
    pub async fn check(self: Arc<Self>, request: Request, next: Next) -> Response {
        let path = request.uri().path().to_owned();
        let Some(token) = bearer(request.headers()) else {
            return unauthorized("give a bearer token");
        };
        match self.verdict(token, &path).await {
            Ok(Verdict::Admitted) => next.run(request).await,
            Ok(Verdict::Unknown) => unauthorized("the token is not known"),
            Ok(Verdict::Forbidden) => {
                let told = format!("the token's user needs the verb get on the nonResourceURL {path}\n");
                (StatusCode::FORBIDDEN, told).into_response()
            }
            Err(problem) => {
                tracing::warn!("no scrape: the API server did not review a token: {problem}");
                (StatusCode::SERVICE_UNAVAILABLE, "the API server does not say who may scrape: try again\n")
                    .into_response()
            }
        }
    }

    async fn verdict(&self, token: &str, path: &str) -> Result<Verdict, String> {
        let question = (self.keys.0.hash_one((token, path)), self.keys.1.hash_one((token, path)));
        if let Some(verdict) = self.remembered(question) {
            return Ok(verdict);
        }
        let _permit = self.permits.acquire().await.map_err(|error| error.to_string())?;
        // Another request may have asked meanwhile.
        if let Some(verdict) = self.remembered(question) {
            return Ok(verdict);
        }
        let verdict = timeout(PATIENCE, self.ask(token, path)).await;
        let verdict = verdict.map_err(|_| format!("no answer within {PATIENCE:?}"))??;
        self.remember(question, verdict);
        Ok(verdict)
    }

    async fn ask(&self, token: &str, path: &str) -> Result<Verdict, String> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await.map_err(told("TokenReview"))?;
        let status = review.status.unwrap_or_default();
        let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else {
            return Ok(Verdict::Unknown);
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some("get".to_owned()),
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await.map_err(told("SubjectAccessReview"))?;
        let allowed = review.status.is_some_and(|status| status.allowed && status.denied != Some(true));
        Ok(if allowed { Verdict::Admitted } else { Verdict::Forbidden })
    }

    fn remembered(&self, question: Question) -> Option<Verdict> {
        let answers = self.answers.lock();
        answers.get(&question).filter(|(_, until)| *until > Instant::now()).map(|(verdict, _)| *verdict)
    }

    fn remember(&self, question: Question, verdict: Verdict) {
        let now = Instant::now();
        let holds = if verdict == Verdict::Admitted { ADMITTED } else { REFUSED };
        let mut answers = self.answers.lock();
        if answers.len() >= REMEMBERED {
            answers.retain(|_, (_, until)| *until > now);
        }
        if answers.len() >= REMEMBERED {
            let oldest = answers.iter().min_by_key(|(_, (_, until))| *until).map(|(question, _)| *question);
            oldest.map(|question| answers.remove(&question));
        }
        answers.insert(question, (verdict, now + holds));
    }
}

/// An error as text; the request's body, which holds the token, is not part of it.
fn told(what: &'static str) -> impl Fn(kube::Error) -> String {
    move |error| match &error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{what}: forbidden: grant `create` on it to this program's service account")
        }
        _ => format!("{what}: {error}"),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn unauthorized(told: &'static str) -> Response {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], format!("{told}\n")).into_response()
}
