//! The pages at `/`: links, as upstream has them.

use axum::response::Html;
use ksm_core::{Ksm, ResourceStatus};

/// The page of the main port.
pub(crate) fn page(ksm: &Ksm) -> Html<String> {
    let rows: String = ksm.status().iter().map(row).collect();
    let body = format!(
        "<p><a href=\"/metrics\">metrics</a> · <a href=\"/healthz\">healthz</a> · <a href=\"/livez\">livez</a> · \
         <a href=\"/readyz\">readyz</a></p>\n<table>\n<thead><tr><th scope=\"col\">Resource</th>\
         <th scope=\"col\" class=\"number\">Objects</th><th scope=\"col\" class=\"number\">Series</th>\
         <th scope=\"col\" class=\"number\">Last event</th><th scope=\"col\">State</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n"
    );
    document("ksm-exporter", &body)
}

/// How one resource is doing. Names of resources and namespaces are plain words.
fn row(status: &ResourceStatus) -> String {
    let name = &status.resource;
    let place = status.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    let store = status.store.unwrap_or_default();
    let age = status.last_event.map_or_else(|| "–".to_owned(), |age| format!("{} s ago", age.as_secs()));
    let state = match status {
        _ if status.not_served => "not served by this cluster",
        _ if status.withdrawn => "withdrawn: the API server can't be reached",
        _ if status.failing => "failing, will be tried again",
        _ if status.synced_for.is_none() => "being listed",
        _ => "in sync",
    };
    format!(
        "<tr><th scope=\"row\"><a href=\"/metrics?resources={name}\">{name}</a>{place}</th>\
         <td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{age}</td><td>{state}</td></tr>\n",
        store.objects, store.samples
    )
}

/// The page of the telemetry port.
pub(crate) async fn telemetry_page() -> Html<String> {
    document(
        "ksm-exporter, about itself",
        "<ul>\n<li><a href=\"/metrics\">metrics</a></li>\n<li><a href=\"/readyz\">readyz</a></li>\n\
         <li><a href=\"/healthz\">healthz</a></li>\n</ul>\n",
    )
}

fn document(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 52rem; padding: 0 1rem }}\n\
         table {{ border-collapse: collapse; width: 100% }}\n\
         th, td {{ border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); padding: .3rem .5rem; \
         text-align: left; font-weight: normal }}\n\
         thead th {{ font-weight: bold }}\ntbody th {{ overflow-wrap: anywhere }}\n.number {{ text-align: right; white-space: nowrap }}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    ))
}
