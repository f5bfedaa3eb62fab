//! What is in a document.

use crate::support::{client, names, of, sim, summary};

#[tokio::test]
async fn it_tells_of_the_pods_bound_to_the_node() {
    let sim = sim().await;
    let document = summary(&client(&sim), "a").await;
    let web = of(&document, "web");
    assert_eq!(web["podRef"]["uid"], "uid-of-web");
    assert_eq!(names(&web["containers"]), ["app", "proxy"]);
    assert_eq!(web["containers"][1]["startTime"], "2026-01-02T00:00:07Z");
}
