//! The pages at `/`: links, as upstream has them.

use axum::response::Html;
use ksm_core::Ksm;

/// The page of the main port.
pub(crate) fn page(ksm: &Ksm) -> Html<String> {
    // Names of resources are plain words.
    let resources =
        ksm.resources().into_iter().map(|name| format!("<li><a href=\"/metrics?resources={name}\">{name}</a></li>\n"));
    let resources: String = resources.collect();
    let body = format!(
        "<ul>\n<li><a href=\"/metrics\">metrics</a></li>\n<li><a href=\"/healthz\">healthz</a></li>\n\
         <li><a href=\"/livez\">livez</a></li>\n<li><a href=\"/readyz\">readyz</a></li>\n</ul>\n\
         <h2>Metrics of one resource</h2>\n<ul>\n{resources}</ul>\n"
    );
    document("ksm-exporter", &body)
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
         <style>body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 40rem; padding: 0 1rem }}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    ))
}
