//! The `eviction` subresource of pods: a delete that asks disruption budgets first.

use http::StatusCode;
use serde_json::{Value, json};

use super::delete::{DeleteOptions, delete_object};
use super::status::Status;
use super::{Call, body};
use crate::http::reply::Reply;

pub(crate) fn evict(call: &Call) -> Result<Reply, Status> {
    let eviction = body::typed_document(&call.content_type, &call.body)?;
    let options: DeleteOptions = match eviction.get("deleteOptions") {
        Some(options) => serde_json::from_value(options.clone())
            .map_err(|error| Status::bad_request(format!("deleteOptions are not valid: {error}")))?,
        None => DeleteOptions::default(),
    };
    {
        let mut state = call.server.store.state.write();
        if let Some(budget) = exhausted_budget(call, &state) {
            let status = Status::new(
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequests",
                format!("Cannot evict pod as it would violate the pod's disruption budget {budget:?}."),
            );
            return Err(status);
        }
        let termination = call.server.settings.pod_termination;
        delete_object(&mut state, &call.resource, &call.key(), &options, call.server.clock.now(), termination)?;
    }
    call.server.chores.wake();
    Ok(Reply::json(
        StatusCode::CREATED,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
    ))
}

/// The name of a budget that covers the pod and has no disruption left.
fn exhausted_budget(call: &Call, state: &crate::store::State) -> Option<String> {
    let pod = state.get(&call.resource, &call.key())?;
    let budgets = state.registry.get("policy", "poddisruptionbudgets")?;
    let view = state.table(budgets)?.at(state.version())?;
    view.range(Some(call.namespace()), None).find_map(|entry| {
        let budget = entry.object();
        let labels = budget.pointer("/spec/selector/matchLabels").and_then(Value::as_object)?;
        let covers = labels
            .iter()
            .all(|(key, value)| pod.labels().any(|label| Some(label.1) == value.as_str() && label.0 == key));
        let left = budget.pointer("/status/disruptionsAllowed").and_then(Value::as_i64)?;
        (covers && left <= 0).then(|| entry.name().to_owned())
    })
}
