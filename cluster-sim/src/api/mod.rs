//! The API: from a request to an answer.

pub(crate) mod accept;
pub(crate) mod authorize;
pub(crate) mod body;
pub(crate) mod delete;
mod discovery;
mod eviction;
mod openapi;
pub(crate) mod query;
mod read;
mod reviews;
pub(crate) mod route;
mod scale;
pub(crate) mod status;
mod watch;
pub(crate) mod write;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, USER_AGENT};
use http::{Method, StatusCode, Uri};
use serde_json::json;
use tokio::time::Instant;

use crate::access::Attempt;
use crate::fault::{Effects, Subject};
use crate::http::reply::Reply;
use crate::kubelet::proxy::{self, Forward};
use crate::object::selector::Scope;
use crate::object::shard::ShardSelector;
use crate::requests::Request;
use crate::resource::{Resource, Version};
use crate::server::Server;
use crate::store::State;
use crate::user::User;
use accept::Form;
use query::Query;
use route::{Route, Target, Verb};
use status::Status;

/// A request as HTTP delivered it.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The body, or why there is none.
    pub(crate) body: Result<Bytes, Status>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Reply, Effects),
    /// The connection is reset without an answer.
    Reset,
}

/// A request about a resource that the server serves.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) server: Arc<Server>,
    pub(crate) user: User,
    pub(crate) verb: Verb,
    pub(crate) target: Target,
    pub(crate) resource: Arc<Resource>,
    pub(crate) version: Version,
    pub(crate) query: Query,
    pub(crate) metadata_only: bool,
    pub(crate) effects: Effects,
    pub(crate) user_agent: String,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn name(&self) -> &str {
        self.target.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.target.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> String {
        self.resource.key(self.namespace(), self.name())
    }

    /// May the user create what the request, an apply or an update, turns out to be about? Upstream's refusal leaves out
    /// who cannot do what.
    pub(crate) fn may_create(&self, state: &State) -> Result<(), Status> {
        authorize::authorize_target(&self.server, state, &self.user, Verb::Create, &self.target, &self.query)
    }

    fn scope(&self) -> Result<Scope, Status> {
        Scope::parse(
            &self.resource,
            self.target.namespace.as_deref(),
            self.query.get("labelSelector"),
            self.query.get("fieldSelector"),
        )
        .map_err(Status::bad_request)
    }

    /// The scope of a list or watch, which can be one shard of it. A server that can't select by shard passes the
    /// parameter by, as any that it does not know.
    fn sharded_scope(&self) -> Result<Scope, Status> {
        let scope = self.scope()?;
        if !self.server.settings.sharded_lists() || !self.query.has("shardSelector") {
            return Ok(scope);
        }
        let selector = ShardSelector::parse(self.query.get("shardSelector"));
        Ok(scope.sharded(selector.map_err(|why| Status::bad_request(format!("invalid shardSelector: {why}")))?))
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            verb: self.verb,
            // The path is the plural itself: a watch is never about a subresource.
            resource: &self.target.plural,
            namespace: self.target.namespace.as_deref(),
            name: self.target.name.as_deref(),
        }
    }
}

fn header(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Answer one request: faults first, then who asks, then what is asked.
pub(crate) async fn handle(server: &Arc<Server>, incoming: Incoming) -> Outcome {
    let at = Instant::now();
    let route = Route::parse(incoming.uri.path());
    let query_text = incoming.uri.query().unwrap_or_default().to_owned();
    let query = Query::parse(&query_text);
    let (verb, path) = match &route {
        Route::Resource(target) if target.is_known_subresource() && is_served(server, target) => {
            let verb = target.verb(&incoming.method, query.flag("watch")).unwrap_or(Verb::NonResource);
            (verb, target.resource_path())
        }
        _ => (Verb::NonResource, incoming.uri.path().to_owned()),
    };
    let target = match &route {
        Route::Resource(target) => target.clone(),
        _ => Target::default(),
    };
    let subject =
        Subject { verb, resource: &path, namespace: target.namespace.as_deref(), name: target.name.as_deref() };
    let mut record = Request {
        at,
        verb,
        group: if verb == Verb::NonResource { String::new() } else { target.group.clone() },
        resource: path.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        query: query_text,
        user: String::new(),
        user_agent: header(&incoming.headers, USER_AGENT).to_owned(),
        accept: header(&incoming.headers, ACCEPT).to_owned(),
        status: None,
    };

    let effects = server.faults.strike(&subject);
    if !effects.latency.is_zero() {
        tokio::time::sleep(effects.latency).await;
    }
    if effects.reset_before {
        server.requests.record(record);
        return Outcome::Reset;
    }
    let dispatched = match injected(&effects) {
        Some(reply) => Ok(Dispatched::Reply(reply)),
        None => authorize::authenticate(server, &incoming.headers).and_then(|user| {
            record.user.clone_from(&user.name);
            dispatch(server, route, verb, incoming, query, user, effects.clone())
        }),
    };
    let reply = match dispatched {
        Ok(Dispatched::Reply(reply)) => reply,
        Ok(Dispatched::Forward(forward)) => proxy::forward(server, *forward).await.unwrap_or_else(Reply::from),
        Err(status) => status.into(),
    };
    record.status = Some(reply.status.as_u16());
    server.requests.record(record);
    Outcome::Answer(reply, effects)
}

/// Counters and rules are about what the server serves, not about whatever a client writes into a path.
fn is_served(server: &Server, target: &Target) -> bool {
    reviews::is_review(target) || server.store.state.read().registry.get(&target.group, &target.plural).is_some()
}

fn injected(effects: &Effects) -> Option<Reply> {
    let code = StatusCode::from_u16(effects.status?).ok()?;
    let mut status = Status::of_code(code);
    if let Some(seconds) = effects.retry_after {
        status = status.with_retry_after(seconds);
    }
    Some(status.into())
}

/// What a request comes to.
#[derive(Debug)]
enum Dispatched {
    Reply(Reply),
    /// A kubelet has the answer.
    Forward(Box<Forward>),
}

fn dispatch(
    server: &Arc<Server>,
    route: Route,
    verb: Verb,
    incoming: Incoming,
    query: Query,
    user: User,
    effects: Effects,
) -> Result<Dispatched, Status> {
    let public = matches!(route, Route::Version | Route::Health);
    if user.is_anonymous() && !public {
        return Err(Status::unauthorized());
    }
    let target = match route {
        Route::Resource(target) => target,
        other => {
            let method = incoming.method.as_str().to_lowercase();
            let attempt = Attempt::Path { verb: &method, path: incoming.uri.path() };
            authorize::authorize(server, &server.store.state.read(), &user, &attempt)?;
            return non_resource(server, &other, &incoming).map(Dispatched::Reply);
        }
    };
    if let Some(verb) = target.verb(&incoming.method, query.flag("watch")) {
        authorize::authorize_target(server, &server.store.state.read(), &user, verb, &target, &query)?;
    }
    if reviews::is_review(&target) {
        let review = body::typed_document(header(&incoming.headers, CONTENT_TYPE), &incoming.body?)?;
        return Ok(Dispatched::Reply(reviews::review(server, &target, &user, review)));
    }
    let (resource, version) = {
        let state = server.store.state.read();
        let resource = state.registry.get(&target.group, &target.plural).ok_or_else(Status::no_such_path)?;
        let version = resource.version(&target.version).ok_or_else(Status::no_such_path)?;
        (Arc::clone(resource), version.clone())
    };
    let one_object = target.name.is_some() || verb == Verb::Create;
    if resource.namespaced != target.namespace.is_some() && (one_object || !resource.namespaced) {
        return Err(Status::no_such_path());
    }
    if proxy::concerns(&target) {
        let Incoming { method, uri, headers, .. } = incoming;
        return Ok(Dispatched::Forward(Box::new(Forward { target, method, uri, headers })));
    }
    let form = accept::negotiate(header(&incoming.headers, ACCEPT))?;
    let call = Call {
        server: Arc::clone(server),
        user,
        verb,
        target,
        resource,
        version,
        query,
        metadata_only: form == Form::Metadata,
        effects,
        user_agent: header(&incoming.headers, USER_AGENT).to_owned(),
        content_type: header(&incoming.headers, CONTENT_TYPE).to_owned(),
        body: incoming.body?,
    };
    resource_call(call).map(Dispatched::Reply)
}

fn resource_call(call: Call) -> Result<Reply, Status> {
    match (call.target.subresource.as_deref(), call.verb) {
        (None, Verb::Get) => read::get(&call),
        (None, Verb::List) => read::list(&call),
        (None, Verb::Watch) => watch::watch(Arc::new(call)),
        (None, Verb::Create) if call.target.name.is_none() => write::create(&call),
        (None, Verb::Update) => write::update(&call),
        (None, Verb::Patch) => write::patch(&call),
        (None, Verb::Delete) => delete::delete(&call),
        (None, Verb::DeleteCollection) => delete::delete_collection(&call),
        (Some("status"), verb) if call.version.status => match verb {
            Verb::Get => read::get(&call),
            Verb::Update => write::update(&call),
            Verb::Patch => write::patch(&call),
            _ => Err(Status::method_not_allowed()),
        },
        (Some("scale"), verb) => scale::scale(&call, verb),
        (Some("eviction"), Verb::Create) if call.resource.is("", "pods") => eviction::evict(&call),
        (Some(_), _) => Err(Status::no_such_path()),
        (None, _) => Err(Status::method_not_allowed()),
    }
}

fn non_resource(server: &Server, route: &Route, incoming: &Incoming) -> Result<Reply, Status> {
    if !matches!(incoming.method, Method::GET | Method::HEAD) {
        return Err(Status::method_not_allowed());
    }
    match route {
        Route::Version => Ok(version(server)),
        Route::Health => Ok(Reply::text("ok")),
        Route::OpenApiV2 => Ok(openapi::v2(header(&incoming.headers, ACCEPT))),
        Route::OpenApiV3 => openapi::v3(incoming.uri.path()),
        other => {
            let aggregated = accept::negotiate(header(&incoming.headers, ACCEPT))? == Form::AggregatedDiscovery;
            let host = header(&incoming.headers, http::header::HOST);
            discovery::discover(&server.store.state.read().registry, other, aggregated, host)
        }
    }
}

fn version(server: &Server) -> Reply {
    let version = &server.settings.version;
    let mut numbers = version.trim_start_matches('v').split('.');
    Reply::json(
        StatusCode::OK,
        &json!({
            "major": numbers.next().unwrap_or_default(),
            "minor": numbers.next().unwrap_or_default(),
            "gitVersion": version,
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "none",
            "compiler": "rustc",
            "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        }),
    )
}
